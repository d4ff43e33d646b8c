package watchcheck

import (
	"context"
	"fmt"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Change is one change of one object. Now is nil where it was deleted, Was where it was made.
type Change struct {
	Revision int64
	Was, Now *State
}

// History is what etcd says that happened, from its first revision on.
type History struct {
	mu      sync.Mutex
	changes map[string][]Change // by resource
	present map[string]*State   // by key in etcd
	reached int64
	moved   chan struct{} // closed when reached rises
	err     error
}

func newHistory() *History {
	return &History{changes: map[string][]Change{}, present: map[string]*State{}, moved: make(chan struct{})}
}

// Follow reads the history of an etcd until ctx ends.
func Follow(ctx context.Context, etcd *clientv3.Client) *History {
	h := newHistory()
	events := etcd.Watch(ctx, "/registry/", clientv3.WithPrefix(), clientv3.WithRev(1), clientv3.WithProgressNotify())
	go func() {
		for r := range events {
			err := r.Err()
			for _, e := range r.Events {
				if err == nil {
					err = h.add(e)
				}
			}
			h.advance(r.Header.Revision, err)
		}
	}()
	return h
}

func (h *History) add(e *clientv3.Event) error {
	key := string(e.Kv.Key)
	k := kept(key)
	if k == nil {
		return nil
	}
	var now *State
	if e.Type == clientv3.EventTypePut {
		s, err := k.state(e.Kv.Value, e.Kv.ModRevision)
		if err != nil {
			return fmt.Errorf("reading %s: %w", key, err)
		}
		now = &s
	}
	h.change(k.resource, key, e.Kv.ModRevision, now)
	return nil
}

func (h *History) change(resource, key string, revision int64, now *State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changes[resource] = append(h.changes[resource], Change{Revision: revision, Was: h.present[key], Now: now})
	if h.present[key] = now; now == nil {
		delete(h.present, key)
	}
}

func (h *History) advance(revision int64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reached = max(h.reached, revision)
	if h.err == nil {
		h.err = err
	}
	close(h.moved)
	h.moved = make(chan struct{})
}

// Reached is the revision up to which the history is known.
func (h *History) Reached() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reached
}

// Wait waits until the history is known up to a revision.
func (h *History) Wait(ctx context.Context, revision int64) error {
	for {
		h.mu.Lock()
		reached, moved, err := h.reached, h.moved, h.err
		h.mu.Unlock()
		switch {
		case err != nil:
			return fmt.Errorf("etcd's history was cut off: %w", err)
		case reached >= revision:
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("etcd's history is known to %d of %d: %w", reached, revision, ctx.Err())
		}
	}
}

// of gives the changes of a resource so far.
func (h *History) of(resource string) []Change {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changes[resource][:len(h.changes[resource]):len(h.changes[resource])]
}
