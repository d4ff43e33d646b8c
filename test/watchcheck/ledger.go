package watchcheck

import (
	"fmt"
	"sync"
)

// Write is what a client asked for: a mark at a key, or a deletion, which is what has no mark.
type Write struct {
	Resource, Key, Mark string
	// Revision is what the server answered; 0 for a deletion.
	Revision int64
	// Maybe says that no answer came: the write happened or did not.
	Maybe bool
}

// Ledger is what all clients wrote, in each key's order. Each key has one writer.
type Ledger struct {
	mu     sync.Mutex
	writes map[[2]string][]Write
}

func (l *Ledger) add(w Write) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writes == nil {
		l.writes = map[[2]string][]Write{}
	}
	k := [2]string{w.Resource, w.Key}
	l.writes[k] = append(l.writes[k], w)
}

// Len is how many writes were acknowledged.
func (l *Ledger) Len() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, all := range l.writes {
		for _, w := range all {
			if !w.Maybe {
				n++
			}
		}
	}
	return n
}

// Judge says which acknowledged writes etcd does not know, and what etcd knows that nobody wrote.
func (l *Ledger) Judge(h *History) (wrong []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	happened := map[[2]string][]Write{}
	for _, k := range kinds {
		for _, c := range h.of(k.resource) {
			w := Write{Resource: k.resource}
			if c.Now != nil {
				w.Key, w.Mark, w.Revision = c.Now.Key, c.Now.Mark, c.Revision
			} else if w.Key = c.Was.Key; k.resource == "events" {
				continue // their time was over, which nobody wrote
			}
			key := [2]string{k.resource, w.Key}
			happened[key] = append(happened[key], w)
		}
	}
	for key, writes := range l.writes {
		for _, text := range judgeWrites(writes, happened[key]) {
			wrong = append(wrong, fmt.Sprintf("%s %s: %s", key[0], key[1], text))
		}
	}
	return wrong
}

// judgeWrites lays what one key's writer did beside what happened to it.
func judgeWrites(writes, happened []Write) (wrong []string) {
	last := ""
	for i, w := range writes {
		if w.Maybe && w.Mark == "" && i+1 < len(writes) && writes[i+1].Mark == "" {
			continue // the object was still there: it was deleted again
		}
		if w.Mark == "" && len(happened) > 0 && last != "" && happened[0].Mark == last {
			happened = happened[1:] // kinds that end gracefully are marked before they are gone
		}
		is := len(happened) > 0 && happened[0].Mark == w.Mark && (w.Maybe || happened[0].Revision == w.Revision)
		switch {
		case is:
			last, happened = happened[0].Mark, happened[1:]
		case !w.Maybe:
			return append(wrong, fmt.Sprintf("%+v was acknowledged; etcd knows %+v", w, happened[:min(1, len(happened))]))
		}
	}
	for _, w := range happened {
		wrong = append(wrong, fmt.Sprintf("%+v was written by nobody", w))
	}
	return wrong
}
