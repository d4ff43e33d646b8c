package storage

import (
	"bytes"
	"context"
	"sort"
	"strings"
	"sync"
	"time"
)

// Memory is a store in memory: the fake beside Etcd. It keeps its whole history until Compact and forgets
// nothing by itself: a ttl has no effect.
type Memory struct {
	mu        sync.Mutex
	revision  int64
	compacted int64
	history   []Event // one for each revision after compacted
	kept      map[string]KeyValue
	base      map[string]KeyValue // as of compacted
	changed   chan struct{}
}

// NewMemory is an empty store at revision 1.
func NewMemory() *Memory {
	return &Memory{revision: 1, kept: map[string]KeyValue{}, base: map[string]KeyValue{}, changed: make(chan struct{})}
}

func (m *Memory) Get(_ context.Context, key string) (KeyValue, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	kv, ok := m.kept[key]
	if !ok {
		return KeyValue{}, m.revision, ErrNotFound
	}
	return kv, m.revision, nil
}

func (m *Memory) Create(_ context.Context, key string, value []byte, _ time.Duration) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(value) > MaxValue {
		return 0, ErrTooLarge
	}
	if _, ok := m.kept[key]; ok {
		return 0, ErrExists
	}
	return m.apply(Event{KeyValue: KeyValue{Key: key, Value: bytes.Clone(value), CreateRevision: m.revision + 1}}), nil
}

func (m *Memory) Update(_ context.Context, key string, value []byte, expected int64, _ time.Duration) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(value) > MaxValue {
		return 0, ErrTooLarge
	}
	if err := m.guard(key, expected); err != nil {
		return 0, err
	}
	return m.apply(Event{KeyValue: KeyValue{Key: key, Value: bytes.Clone(value), CreateRevision: m.kept[key].CreateRevision}}), nil
}

func (m *Memory) Delete(_ context.Context, key string, expected int64) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.guard(key, expected); err != nil {
		return 0, err
	}
	return m.apply(Event{KeyValue: KeyValue{Key: key}, Deleted: true}), nil
}

func (m *Memory) guard(key string, expected int64) error {
	kv, ok := m.kept[key]
	if !ok {
		return &ConflictError{}
	}
	if kv.ModRevision != expected {
		return &ConflictError{Current: &kv}
	}
	return nil
}

func (m *Memory) apply(e Event) int64 {
	m.revision++
	e.ModRevision = m.revision
	m.history = append(m.history, e)
	put(m.kept, e)
	close(m.changed)
	m.changed = make(chan struct{})
	return m.revision
}

func put(to map[string]KeyValue, e Event) {
	if e.Deleted {
		delete(to, e.Key)
	} else {
		to[e.Key] = e.KeyValue
	}
}

func (m *Memory) List(_ context.Context, prefix string, revision, limit int64, from string) (Page, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.kept
	switch {
	case revision > m.revision:
		return Page{}, ErrFuture
	case revision != 0 && revision < m.compacted:
		return Page{}, ErrCompacted
	case revision != 0 && revision < m.revision:
		at = map[string]KeyValue{}
		for k, kv := range m.base {
			at[k] = kv
		}
		for _, e := range m.history {
			if e.ModRevision <= revision {
				put(at, e)
			}
		}
	}
	if revision == 0 {
		revision = m.revision
	}
	page := Page{Revision: revision}
	for k, kv := range at {
		if strings.HasPrefix(k, prefix) && k >= from {
			page.Items = append(page.Items, kv)
		}
	}
	sort.Slice(page.Items, func(i, j int) bool { return page.Items[i].Key < page.Items[j].Key })
	if limit > 0 && int64(len(page.Items)) > limit {
		page.Items, page.More = page.Items[:limit], true
	}
	return page, nil
}

func (m *Memory) Watch(ctx context.Context, prefix string, after int64) <-chan Batch {
	out := make(chan Batch)
	go func() {
		defer close(out)
		for {
			m.mu.Lock()
			b, changed := Batch{Revision: m.revision}, m.changed
			if after < m.compacted {
				b.Err = ErrCompacted
			}
			news := sort.Search(len(m.history), func(i int) bool { return m.history[i].ModRevision > after })
			for _, e := range m.history[news:] {
				if strings.HasPrefix(e.Key, prefix) {
					b.Events = append(b.Events, e)
				}
			}
			m.mu.Unlock()
			after = b.Revision
			select {
			case out <- b:
			case <-ctx.Done():
				return
			}
			if b.Err != nil {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// RequestProgress has nothing to do: every batch of this store's watches tells the current revision.
func (m *Memory) RequestProgress(context.Context) error { return nil }

func (m *Memory) Revision(context.Context) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.revision, nil
}

func (m *Memory) Compact(_ context.Context, revision int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := m.history[:0:0]
	for _, e := range m.history {
		if e.ModRevision <= revision {
			put(m.base, e)
		} else {
			kept = append(kept, e)
		}
	}
	m.history, m.compacted = kept, max(m.compacted, revision)
	return nil
}

func (m *Memory) Size(context.Context) (size int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, kv := range m.kept {
		size += int64(len(kv.Value))
	}
	return size, nil
}

func (m *Memory) Healthy(context.Context) error { return nil }
func (m *Memory) Close() error                  { return nil }
