package watchcache

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/btree"

	"github.com/sampan-project/sampan/pkg/apiserver/storage"
)

// Store holds one resource.
type Store struct {
	cache *Cache
	kind  *Kind // replaced as a whole, under the cache's lock and mu

	received atomic.Uint64 // events of etcd's

	mu       sync.Mutex
	tree     *btree.BTreeG[*Entry]
	indexes  map[string]map[string]*btree.BTreeG[*Entry] // field, value
	labels   *btree.BTreeG[*Entry]                       // the same entries in the order of their labels
	revision int64                                       // of the last event here
	snapshot *Snapshot                                   // of the present tree; nil after a change
	main     *log
	sub      map[string]*log // by what a watcher selects: see subKeys
	touched  []*log          // of sub, since the last publish
	floor    int64           // watchers from before this revision would miss events
	closed   bool
}

func byKey(a, b *Entry) bool { return a.key < b.key }

func newTree() *btree.BTreeG[*Entry] { return btree.NewG(32, byKey) }

func newStore(c *Cache, k Kind) *Store {
	k.made = c.forms
	s := &Store{cache: c, kind: &k, tree: newTree(), labels: newLabelTree(), indexes: map[string]map[string]*btree.BTreeG[*Entry]{}, main: newLog(c.cfg.Window), sub: map[string]*log{}}
	for _, f := range k.Indexed {
		s.indexes[f] = map[string]*btree.BTreeG[*Entry]{}
	}
	return s
}

// entry makes an entry of a stored value. What cannot be decoded is kept with its bytes alone, so that it
// can be seen and removed.
func (s *Store) entry(kv storage.KeyValue) *Entry {
	return s.entryOf(s.kind, kv)
}

func (s *Store) entryOf(kind *Kind, kv storage.KeyValue) *Entry {
	o, err := kind.Decode(kv.Value, kv.ModRevision)
	if err != nil {
		s.cache.cfg.Log.Error(err, "A stored object cannot be decoded", "key", kv.Key)
		e := s.newEntry(kind, kv.Key, kv.ModRevision, kv.Value)
		e.broken = true
		return e
	}
	e := s.entryOfObject(kind, kv.Key, kv.ModRevision, kv.Value, o)
	e.whole = kind.Whole != nil && kind.Whole(kv.Value, o)
	return e
}

func (s *Store) entryOfObject(kind *Kind, key string, revision int64, value []byte, o Object) *Entry {
	e := s.newEntry(kind, key, revision, value)
	if !kind.Large {
		kind.made.put(decoded, e, o, decodedSize(value))
	}
	e.labels = pairsOf(o.GetLabels())
	if kind.Versioned {
		e.version = o.GetObjectKind().GroupVersionKind().Version
	}
	if kind.Fields != nil {
		f := kind.Fields(o)
		delete(f, nameField)
		delete(f, namespaceField)
		e.fields = pairsOf(f)
	}
	return e
}

func (s *Store) newEntry(kind *Kind, key string, revision int64, value []byte) *Entry {
	return &Entry{kind: kind, id: s.cache.ids.Add(1), key: key, revision: revision, value: value, labels: noPairs, fields: noPairs}
}

// At is an entry as it was deleted, at a later revision. ok is false where its forms would have to be made by decoding
// it anew.
func (s *Store) At(e *Entry, revision int64) (deleted *Entry, ok bool) {
	if !e.whole || e.kind.Splice == nil {
		return nil, false
	}
	c := *e
	c.id, c.revision = s.cache.ids.Add(1), revision
	return &c, true
}

// written is the entry of a change: the writer's own where it was written here.
func (s *Store) written(kv storage.KeyValue) *Entry {
	if p := s.cache.pending.take(kv.Key, kv.ModRevision, kv.Value); p != nil {
		if e := p.settle(kv.ModRevision); e.kind == s.kind {
			return e
		}
	}
	return s.entry(kv)
}

// load takes over a value that was read, not heard of: no event.
func (s *Store) load(kv storage.KeyValue) {
	e := s.entry(kv)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(e)
}

// remake reads everything that is known as another kind; watchers must begin again.
func (s *Store) remake(k Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.tree
	s.leave()
	k.made = s.cache.forms
	s.kind, s.tree, s.labels, s.snapshot, s.floor = &k, newTree(), newLabelTree(), nil, s.revision
	s.indexes = map[string]map[string]*btree.BTreeG[*Entry]{}
	for _, f := range k.Indexed {
		s.indexes[f] = map[string]*btree.BTreeG[*Entry]{}
	}
	known.Ascend(func(e *Entry) bool {
		s.put(s.entry(storage.KeyValue{Key: e.key, Value: e.value, ModRevision: e.revision}))
		return true
	})
	s.endLogs(ErrRemade)
}

// replace takes over everything as it was read anew at a revision; watchers must begin again. Readers see
// what was before or what is after, and never a part of it.
func (s *Store) replace(all []storage.KeyValue, revision int64) {
	entries := make([]*Entry, len(all))
	for i, kv := range all {
		entries[i] = s.entry(kv)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leave()
	s.tree, s.labels, s.snapshot, s.revision, s.floor = newTree(), newLabelTree(), nil, revision, revision
	for f := range s.indexes {
		s.indexes[f] = map[string]*btree.BTreeG[*Entry]{}
	}
	for _, e := range entries {
		s.put(e)
	}
	s.endLogs(ErrExpired)
}

// leave counts what is in the store as stored no longer.
func (s *Store) leave() {
	s.tree.Ascend(func(e *Entry) bool {
		s.cache.stored.Add(-int64(len(e.value)))
		return true
	})
}

func (s *Store) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.leave()
	s.endLogs(ErrExpired)
}

func (s *Store) endLogs(err error) {
	s.main.end(err)
	for _, l := range s.sub {
		l.end(err)
	}
	s.main, s.sub = newLog(s.cache.cfg.Window), map[string]*log{}
}

// Received counts the events of etcd's that were for this resource.
func (s *Store) Received() uint64 { return s.received.Load() }

// apply takes over the changes of one revision.
func (s *Store) apply(events ...storage.Event) {
	s.received.Add(uint64(len(events)))
	records := make([]*record, len(events))
	for i, ev := range events {
		records[i] = &record{revision: ev.ModRevision}
		if !ev.Deleted {
			records[i].entry = s.written(ev.KeyValue)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range records {
		s.change(events[i].Key, r)
	}
}

func (s *Store) change(key string, r *record) {
	r.previous, _ = s.tree.Get(&Entry{key: key})
	switch {
	case r.entry != nil:
		s.put(r.entry)
	case r.previous == nil:
		return
	default:
		s.remove(r.previous)
	}
	s.revision = r.revision
	if dropped := s.main.add(r); dropped > 0 {
		s.floor = max(s.floor, dropped)
		for _, l := range s.sub {
			l.dropThrough(dropped)
		}
	}
	s.main.rest()
	for _, key := range s.subKeys(r) {
		if l := s.sub[key]; l != nil {
			l.add(r)
			s.touched = append(s.touched, l)
		}
	}
}

func (s *Store) put(e *Entry) {
	s.snapshot = nil
	old, had := s.tree.ReplaceOrInsert(e)
	s.cache.stored.Add(int64(len(e.value)))
	if had {
		s.cache.stored.Add(-int64(len(old.value)))
		if old.labels != e.labels {
			s.labels.Delete(old)
		}
	}
	s.labels.ReplaceOrInsert(e)
	for f, index := range s.indexes {
		if had && old.Get(f) != e.Get(f) {
			unindex(index, f, old)
		}
		t := index[e.Get(f)]
		if t == nil {
			t = newTree()
			index[e.Get(f)] = t
		}
		t.ReplaceOrInsert(e)
	}
}

func (s *Store) remove(e *Entry) {
	s.snapshot = nil
	s.tree.Delete(e)
	s.labels.Delete(e)
	s.cache.stored.Add(-int64(len(e.value)))
	for f, index := range s.indexes {
		unindex(index, f, e)
	}
}

func unindex(index map[string]*btree.BTreeG[*Entry], field string, e *Entry) {
	if t := index[e.Get(field)]; t != nil {
		t.Delete(e)
		if t.Len() == 0 {
			delete(index, e.Get(field))
		}
	}
}

// publish wakes the watchers of what was applied.
func (s *Store) publish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.main.wake()
	for _, l := range s.touched { // of many only these: nobody else has anything to see
		l.wake()
	}
	clear(s.touched)
	s.touched = s.touched[:0]
}

// Get finds an entry by its key.
func (s *Store) Get(key string) (*Entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tree.Get(&Entry{key: key})
}

// Snapshot is the store as it is now.
func (s *Store) Snapshot() *Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snap()
}

// Now is the store as it is now, and the revision up to which it holds everything and after which nothing.
func (s *Store) Now() (*Snapshot, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snap(), s.reached()
}

// reached is how far the store holds everything: as far as the cache, which tells so only after all stores
// took over their part, or further.
func (s *Store) reached() int64 { return max(s.revision, s.cache.revision.Load()) }

func (s *Store) snap() *Snapshot {
	if s.snapshot == nil {
		s.snapshot = &Snapshot{tree: s.tree.Clone(), labels: s.labels.Clone(), store: s, revision: s.revision}
	}
	return s.snapshot
}

// SnapshotAt is the store as it was at a revision: from the window of events undone, or, where that does
// not reach so far, from etcd. ErrExpired where etcd has forgotten it too.
func (s *Store) SnapshotAt(ctx context.Context, revision int64) (*Snapshot, error) {
	s.mu.Lock()
	now := s.snap()
	if revision >= now.revision {
		s.mu.Unlock()
		return now, nil
	}
	if revision >= s.floor {
		tree := now.tree.Clone()
		s.main.undo(tree, revision)
		s.mu.Unlock()
		return &Snapshot{tree: tree, revision: revision}, nil
	}
	s.mu.Unlock()
	return s.Stored(ctx, revision)
}

// Stored is the store as etcd has it at a revision, of which the log need not have heard. ErrExpired where etcd has
// forgotten it.
func (s *Store) Stored(ctx context.Context, revision int64) (*Snapshot, error) {
	s.mu.Lock()
	kind := s.kind
	s.mu.Unlock()
	page, err := s.cache.cfg.Store.List(ctx, kind.Prefix, revision, 0, "")
	if err != nil {
		return nil, expired(err)
	}
	tree := newTree()
	for _, kv := range page.Items {
		tree.ReplaceOrInsert(s.entryOf(kind, kv))
	}
	return &Snapshot{tree: tree, revision: revision}, nil
}

// Snapshot is a resource at one moment. It never changes.
type Snapshot struct {
	tree     *btree.BTreeG[*Entry]
	labels   *btree.BTreeG[*Entry] // nil for an old moment
	store    *Store                // nil for an old moment
	revision int64
}

// Revision is that of the resource's last event; the cache as a whole may be further.
func (n *Snapshot) Revision() int64 { return n.revision }

// Ascend calls f for each entry under prefix ("" for all) whose key is not before from, in order, until
// it answers false.
func (n *Snapshot) Ascend(prefix, from string, f func(*Entry) bool) {
	ascend(n.tree, prefix, from, f)
}

func ascend(t *btree.BTreeG[*Entry], prefix, from string, f func(*Entry) bool) {
	t.AscendGreaterOrEqual(&Entry{key: max(prefix, from)}, func(e *Entry) bool {
		return strings.HasPrefix(e.key, prefix) && f(e)
	})
}

// Len counts the entries under prefix, which costs a walk unless it is all.
func (n *Snapshot) Len(prefix, from string) int {
	if prefix == "" && from == "" {
		return n.tree.Len()
	}
	count := 0
	n.Ascend(prefix, from, func(*Entry) bool { count++; return true })
	return count
}

// ByIndex is the part of the present store with a value in an indexed field. ok is false where there is
// no such index, or the snapshot is of an old moment.
func (n *Snapshot) ByIndex(field, value string) (part *Snapshot, ok bool) {
	if n.store == nil {
		return nil, false
	}
	n.store.mu.Lock()
	defer n.store.mu.Unlock()
	index := n.store.indexes[field]
	if index == nil {
		return nil, false
	}
	if n.store.snapshot != n { // a change came between: the index is of another moment
		return nil, false
	}
	t := index[value]
	if t == nil {
		t = newTree()
	}
	return &Snapshot{tree: t.Clone(), revision: n.revision}, true
}
