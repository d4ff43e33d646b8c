package watchcache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sampan-project/sampan/pkg/apiserver/storage"
)

// The types of events, in the API's words.
const (
	Added    = "ADDED"
	Modified = "MODIFIED"
	Deleted  = "DELETED"
)

// Selection says which objects a list or a watch wants. The zero value wants all.
type Selection struct {
	Prefix string // of keys: a namespace's, or one object's whole key with Exact
	Exact  bool
	Labels labels.Selector
	Fields fields.Selector
	// Values gives the fields of an entry, where they are not those that it was stored with.
	Values func(e *Entry) fields.Fields
	// IndexField and IndexValue name an indexed field that Fields demands to have a value: the part of the
	// store, or of its log, that needs to be looked at.
	IndexField, IndexValue string
}

// Matches says whether an entry is wanted.
func (w *Selection) Matches(e *Entry) bool {
	if e == nil || w.Exact && e.key != w.Prefix || !w.Exact && !strings.HasPrefix(e.key, w.Prefix) {
		return false
	}
	return (w.Labels == nil || w.Labels.Empty() || w.Labels.Matches(e.labels)) &&
		(w.Fields == nil || w.Fields.Empty() || w.Fields.Matches(w.values(e)))
}

func (w *Selection) values(e *Entry) fields.Fields {
	if w.Values != nil {
		return w.Values(e)
	}
	return e
}

// subKey names the narrowest log that holds everything that is wanted, "" for the resource's own.
func (w *Selection) subKey() string {
	switch {
	case w.Exact:
		return "key " + w.Prefix
	case w.IndexField != "":
		return "field " + w.IndexField + "=" + w.IndexValue
	case w.Prefix != "":
		return "prefix " + w.Prefix
	}
	return ""
}

// subKeys names the logs that a record belongs to, beside the resource's own.
func (s *Store) subKeys(r *record) []string {
	if len(s.sub) == 0 {
		return nil
	}
	e := r.entry
	if e == nil {
		e = r.previous
	}
	keys := []string{"key " + e.key, "prefix " + e.key[:strings.LastIndexByte(e.key, '/')+1]}
	for f := range s.indexes {
		keys = append(keys, "field "+f+"="+e.Get(f))
		if r.previous != nil && r.previous.Get(f) != e.Get(f) {
			keys = append(keys, "field "+f+"="+r.previous.Get(f))
		}
	}
	return keys
}

// Event is one change as a watcher sees it. For one that deletes, or leaves the selection, Entry is the
// last state and Revision that of the change.
type Event struct {
	Type     string
	Entry    *Entry
	Revision int64
	frames   *frames
}

// frames are the encoded forms of an event, made once for all watchers that see it with one type.
type frames struct {
	mu   sync.Mutex
	made map[frameKey][]byte
}

// clear lets go of them; whoever asks again makes them anew.
func (f *frames) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made = nil
}

type frameKey struct {
	eventType string
	format    any
}

// Frame gives the event in a format, made by make the first time.
func (e *Event) Frame(format any, make func() ([]byte, error)) ([]byte, error) {
	if e.frames == nil {
		return make()
	}
	f, key := e.frames, frameKey{e.Type, format}
	f.mu.Lock()
	defer f.mu.Unlock()
	if b, ok := f.made[key]; ok {
		return b, nil
	}
	b, err := make()
	if err != nil {
		return nil, err
	}
	if f.made == nil {
		f.made = map[frameKey][]byte{}
	}
	f.made[key] = b
	return b, nil
}

// Watcher follows a store's log from a position. It owns nothing but the position, so a slow one costs
// nothing but its own lag. It is for one goroutine; Close it.
type Watcher struct {
	store     *Store
	log       *log
	key       string // of a log that is not the resource's own
	events    []Event
	selection Selection
	position  int64
	after     int64 // events up to this revision are not wanted
	revision  int64
	closed    bool
}

// mostReused is how many events a watcher keeps the room of.
const mostReused = 16

// batch is how many records a watcher takes at a time.
const batch = 256

// Watch follows what is selected after a revision. ErrExpired where the window does not reach so far.
func (s *Store) Watch(after int64, w Selection) (*Watcher, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watch(after, w)
}

// WatchFromNow gives the store as it is and a watcher of what comes after.
func (s *Store) WatchFromNow(w Selection) (*Snapshot, *Watcher, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.snap()
	watcher, err := s.watch(s.reached(), w)
	return n, watcher, err
}

func (s *Store) watch(after int64, w Selection) (*Watcher, error) {
	if after < s.floor || s.closed {
		return nil, fmt.Errorf("%w: %d (%d)", ErrExpired, after, s.floor)
	}
	l, key := s.main, w.subKey()
	if key != "" {
		if l = s.sub[key]; l == nil {
			l = newLog(s.cache.cfg.Window)
			l.since, s.sub[key] = after, l
			for _, r := range s.main.records {
				if r.revision > after {
					for _, k := range s.subKeys(r) {
						if k == key {
							l.add(r)
							break
						}
					}
				}
			}
		} else if after < l.since {
			l, key = s.main, "" // the narrow log began later than this watcher wants
		}
	}
	l.readers++
	return &Watcher{store: s, log: l, key: key, selection: w, position: l.after(after), after: after, revision: after}, nil
}

// Next waits for events, and answers those there are, in order, until it is called again. With wake closed or ctx ended it answers
// none. ErrExpired ends the watch: the client was too slow, or must list anew; and so does ErrRemade.
func (w *Watcher) Next(ctx context.Context, wake <-chan struct{}) ([]Event, error) {
	if clear(w.events); cap(w.events) > mostReused { // who waits holds no objects
		w.events = nil
	}
	for {
		w.store.mu.Lock()
		records, err := w.log.from(w.position, batch)
		changed, reached := w.log.changed, w.store.cache.revision.Load()
		w.store.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if len(records) > 0 {
			w.position += int64(len(records))
			w.revision = max(w.revision, records[len(records)-1].revision)
			if events := w.selected(records); len(events) > 0 {
				return events, nil
			}
			continue
		}
		w.revision = max(w.revision, reached)
		select {
		case <-changed:
		case <-wake:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Revision is how far the watcher has seen everything.
func (w *Watcher) Revision() int64 { return w.revision }

// selected gives the events among records that concern the selection.
func (w *Watcher) selected(records []*record) []Event {
	out := w.events[:0]
	for _, r := range records {
		if r.revision <= w.after {
			continue // another server told the client of it, which is ahead of this one
		}
		is, was := w.selection.Matches(r.entry), w.selection.Matches(r.previous)
		e := Event{Revision: r.revision, Entry: r.entry, frames: &r.frames}
		switch {
		case is && was:
			e.Type = Modified
		case is:
			e.Type = Added
		case was:
			e.Type, e.Entry = Deleted, r.previous
		default:
			continue
		}
		out = append(out, e)
	}
	w.events = out
	return out
}

// Close ends the watcher.
func (w *Watcher) Close() {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	if !w.closed {
		w.closed = true
		if w.log.readers--; w.log.readers == 0 && w.store.sub[w.key] == w.log {
			delete(w.store.sub, w.key)
		}
	}
}

// expired turns etcd's word for a forgotten revision into this package's.
func expired(err error) error {
	if errors.Is(err, storage.ErrCompacted) {
		return fmt.Errorf("%w: %w", ErrExpired, err)
	}
	return err
}
