package watchcache

import (
	"sort"

	"github.com/google/btree"
)

// record is one change. entry is nil for a deletion, previous for an addition. It is shared by the
// resource's log and those of its indexes.
type record struct {
	revision        int64
	entry, previous *Entry
	frames          frames
}

// log is a window of records in order. Readers hold a position; what falls out of the window is gone for
// those who were behind it.
type log struct {
	records []*record
	first   int64 // position of records[0]
	since   int64 // the revision after which it holds everything
	limit   int
	bytes   int           // what superseded states take
	changed chan struct{} // closed when records were added
	added   bool
	ended   error // why nobody may go on reading
	readers int
}

func newLog(limit int) *log { return &log{limit: limit, changed: make(chan struct{})} }

// add appends a record; it answers the revision of the last one that fell out, 0 where none did.
func (l *log) add(r *record) (dropped int64) {
	if n := len(l.records); n >= l.limit || l.bytes > windowBytes && n > leastWindow {
		dropped = l.records[n/4-1].revision // a quarter at once, so that copying costs little for each
		l.dropThrough(dropped)
	}
	l.records = append(l.records, r)
	l.bytes += r.size()
	l.added = true
	return dropped
}

// dropThrough lets go of the records up to a revision.
func (l *log) dropThrough(revision int64) {
	l.since = max(l.since, revision)
	cut := int(l.after(revision) - l.first)
	if cut == 0 {
		return
	}
	for _, r := range l.records[:cut] {
		l.bytes -= r.size()
	}
	l.records = append(make([]*record, 0, min(2*len(l.records), l.limit)), l.records[cut:]...)
	l.first += int64(cut)
}

// rest lets go of what only watchers who are up to date use of the record that leastWindow others follow:
// its frames, and the forms of the state that it superseded. Who is that far behind makes them again.
func (l *log) rest() {
	n := len(l.records) - 1 - leastWindow
	if n < 0 {
		return
	}
	r := l.records[n]
	r.frames.clear()
	if r.previous != nil {
		r.previous.slim()
	}
}

// size is what a record holds in memory that nothing else does.
func (r *record) size() int {
	if r.previous == nil {
		return 0
	}
	return len(r.previous.value)
}

// wake tells the readers who wait.
func (l *log) wake() {
	if l.added {
		l.added = false
		close(l.changed)
		l.changed = make(chan struct{})
	}
}

func (l *log) end(err error) {
	l.ended = err
	close(l.changed)
	l.changed = make(chan struct{})
}

// after is the position of the first record after a revision.
func (l *log) after(revision int64) int64 {
	return l.first + int64(sort.Search(len(l.records), func(i int) bool { return l.records[i].revision > revision }))
}

// from gives the records from a position on, at most n; ErrExpired where some have fallen out.
func (l *log) from(position int64, n int) ([]*record, error) {
	switch {
	case l.ended != nil:
		return nil, l.ended
	case position < l.first:
		return nil, ErrExpired
	}
	rest := l.records[position-l.first:]
	return rest[:min(n, len(rest)):min(n, len(rest))], nil
}

// undo takes from a tree what happened after a revision.
func (l *log) undo(tree *btree.BTreeG[*Entry], revision int64) {
	for i := len(l.records) - 1; i >= 0 && l.records[i].revision > revision; i-- {
		switch r := l.records[i]; {
		case r.previous != nil:
			tree.ReplaceOrInsert(r.previous)
		default:
			tree.Delete(r.entry)
		}
	}
}
