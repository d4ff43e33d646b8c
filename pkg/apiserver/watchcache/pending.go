package watchcache

import (
	"bytes"
	"slices"
	"strconv"
	"sync"
)

// Pending is a write on its way to etcd. The object that is written becomes the entry of the revision that
// etcd gives it, whoever hears of that first: the writer by its answer, or the log by its event. So what was
// just written is not decoded again, and its forms are made once for the writer and for all who watch.
type Pending struct {
	store  *Store
	kind   *Kind // the store's when the write was announced: should that be replaced meanwhile, the object is of the old one
	key    string
	value  []byte
	object Object
	judged bool

	mu    sync.Mutex
	entry *Entry // once the revision is known
}

// pendings are the writes under way, by key.
type pendings struct {
	mu    sync.Mutex
	byKey map[string][]*Pending
}

// Past is the object for a write that is about to supersede it: what has to be decoded for that is not kept. It may
// be shared with others.
func (e *Entry) Past() (o Object, shared bool, err error) {
	if o, ok := e.kind.made.peek(decoded, []*Entry{e}).(Object); ok {
		return o, true, nil
	}
	o, err = e.decode()
	return o, false, err
}

// Begin announces that o, encoded as value, is about to be written. o must not be used until Done or Drop, and
// after Done not be changed. judged is what Entry.Judged tells.
func (s *Store) Begin(key string, value []byte, o Object, judged bool) *Pending {
	s.mu.Lock()
	p := &Pending{store: s, kind: s.kind, key: key, value: value, object: o, judged: judged}
	s.mu.Unlock()
	all := &s.cache.pending
	all.mu.Lock()
	defer all.mu.Unlock()
	all.byKey[key] = append(all.byKey[key], p)
	return p
}

// Done tells the revision of the write and gives the entry.
func (p *Pending) Done(revision int64) *Entry {
	e := p.settle(revision)
	if p.store.cache.revision.Load() >= revision {
		p.store.cache.pending.remove(p) // the log is past it
	}
	return e
}

// Drop says that nothing was written, or that nobody knows.
func (p *Pending) Drop() { p.store.cache.pending.remove(p) }

func (p *Pending) settle(revision int64) *Entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.entry == nil {
		p.object.SetResourceVersion(strconv.FormatInt(revision, 10))
		p.entry = p.store.entryOfObject(p.kind, p.key, revision, p.value, p.object)
		p.entry.whole, p.entry.judged = true, p.judged
	}
	return p.entry
}

// settled is the revision, 0 where it is not known yet.
func (p *Pending) settled() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.entry == nil {
		return 0
	}
	return p.entry.revision
}

func (all *pendings) remove(p *Pending) {
	all.mu.Lock()
	defer all.mu.Unlock()
	rest := slices.DeleteFunc(all.byKey[p.key], func(o *Pending) bool { return o == p })
	if len(rest) == 0 {
		delete(all.byKey, p.key)
		return
	}
	all.byKey[p.key] = rest
}

// take finds the write that an event tells of. Two that could be meant are none: one of them was refused.
func (all *pendings) take(key string, revision int64, value []byte) *Pending {
	all.mu.Lock()
	defer all.mu.Unlock()
	var found *Pending
	for _, p := range all.byKey[key] {
		if known := p.settled(); known != revision && (known != 0 || !bytes.Equal(p.value, value)) {
			continue
		}
		if found != nil {
			return nil
		}
		found = p
	}
	if found != nil {
		rest := slices.DeleteFunc(all.byKey[key], func(o *Pending) bool { return o == found })
		if all.byKey[key] = rest; len(rest) == 0 {
			delete(all.byKey, key)
		}
	}
	return found
}

// sweep forgets the writes that the log has passed without their event: it was read anew meanwhile.
func (all *pendings) sweep(reached int64) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for key, list := range all.byKey {
		list = slices.DeleteFunc(list, func(p *Pending) bool { at := p.settled(); return at != 0 && at <= reached })
		if all.byKey[key] = list; len(list) == 0 {
			delete(all.byKey, key)
		}
	}
}
