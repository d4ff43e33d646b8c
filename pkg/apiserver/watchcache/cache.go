// Package watchcache holds the cluster in memory in the order of etcd's revisions: one log for all
// resources, and for each a store with its indexes and a window of recent events. It knows bytes, objects
// and indexes; it knows no rules and no HTTP.
package watchcache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/storage"
)

// ErrExpired says that a revision is older than what is kept: the client must list anew (410 Gone).
var ErrExpired = errors.New("the resourceVersion is too old")

// ErrRemade says that what was watched is now read as another kind: the client may go on from where it is.
var ErrRemade = errors.New("the objects are read anew")

// Kind declares how the objects of one resource are read and found.
type Kind struct {
	// Prefix of the keys, with the slash at its end: "/registry/pods/".
	Prefix string
	// Decode reads a stored value; it sets resourceVersion and fills in defaults.
	Decode func(value []byte, revision int64) (Object, error)
	Encode func(o Object, enc Encoding) ([]byte, error)
	// Splice appends an encoding without decoding, where the stored value allows it; may be nil. Only values are spliced
	// that are written here, or of which Whole says that they lack nothing that Decode filled in.
	Splice func(to, value []byte, revision int64, enc Encoding) ([]byte, bool)
	Whole  func(value []byte, o Object) bool
	// Fields gives the values that field selectors see. Indexed names those with an index.
	Fields  func(o Object) map[string]string
	Indexed []string
	// Large objects are decoded again at each use and not kept.
	Large bool
	// Versioned: what Decode gives may have different versions.
	Versioned bool

	made *made // the forms of its entries
}

// Config is what a Cache is made of.
type Config struct {
	Store  storage.Interface
	Root   string // "/registry/"
	Window int    // events kept for each resource; 0 for the usual
	Clock  clock.WithTicker
	Log    logr.Logger
}

// defaultWindow is how many events of a resource a watcher may be behind, and windowBytes what the superseded
// states among them may take. Fewer than leastWindow are not kept for want of room.
const (
	defaultWindow = 10000
	windowBytes   = 32 << 20
	leastWindow   = 256
)

// formsBudget bounds the forms of single entries. What lists share is much smaller than what is stored, and may
// take a quarter of that, or listsLeast.
const (
	formsBudget = 8 << 20
	listsLeast  = 16 << 20
)

// ageEvery is how often forms grow older though there is room: what nobody used twice so long is dropped.
const ageEvery = 5 * time.Minute

// Cache follows etcd. Add its kinds at any time.
type Cache struct {
	cfg Config

	mu       sync.RWMutex // guards stores and orphans, and is held while a batch is applied
	stores   map[string]*Store
	orphans  map[string]storage.KeyValue // under no kind's prefix: those of kinds that may come
	revision atomic.Int64
	pending  pendings
	ids      atomic.Uint64 // the last one given to an entry

	// What is made again when it is missing: of single entries for reads, writes and watches, and of many for
	// lists. They are kept apart, for many writes would else drive out what few lists took long to make.
	forms, lists *made
	stored       atomic.Int64 // bytes of what is in all stores

	present question // what etcd's revision is
	waitMu  sync.Mutex
	reached chan struct{} // closed when revision rises
	synced  chan struct{} // closed when the first list is in
}

// New makes an empty cache.
func New(cfg Config) *Cache {
	if cfg.Window == 0 {
		cfg.Window = defaultWindow
	}
	c := &Cache{
		cfg: cfg, stores: map[string]*Store{}, orphans: map[string]storage.KeyValue{},
		reached: make(chan struct{}), synced: make(chan struct{}), present: question{ask: cfg.Store.Revision}, pending: pendings{byKey: map[string][]*Pending{}},
	}
	c.forms = newMade(func() int64 { return formsBudget })
	c.lists = newMade(func() int64 { return max(listsLeast, c.stored.Load()/4) })
	return c
}

// Add makes a store for a kind. Objects that were seen already are in it. Where there is a store for the prefix
// it takes the kind over: its objects are decoded anew, and its watchers get ErrRemade.
func (c *Cache) Add(k Kind) *Store {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.stores[k.Prefix]; s != nil {
		s.remake(k)
		return s
	}
	s := newStore(c, k)
	c.stores[k.Prefix] = s
	for key, kv := range c.orphans {
		if strings.HasPrefix(key, k.Prefix) {
			s.load(kv)
			delete(c.orphans, key)
		}
	}
	s.revision = c.revision.Load()
	s.floor = s.revision
	return s
}

// Remove ends a kind's store: its watchers get ErrExpired. Its objects are kept for a kind that may come.
func (c *Cache) Remove(prefix string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stores[prefix]
	if s == nil {
		return
	}
	delete(c.stores, prefix)
	s.Snapshot().Ascend("", "", func(e *Entry) bool {
		c.orphans[e.key] = storage.KeyValue{Key: e.key, Value: e.value, ModRevision: e.revision}
		return true
	})
	s.expire()
}

// Synced is closed once the whole of etcd has been read.
func (c *Cache) Synced() <-chan struct{} { return c.synced }

// Revision is the last one that the log has reached.
func (c *Cache) Revision() int64 { return c.revision.Load() }

// WaitFor waits until the log has reached a revision.
func (c *Cache) WaitFor(ctx context.Context, revision int64) error {
	if c.revision.Load() >= revision {
		return nil
	}
	asked := time.Duration(0)
	for {
		c.waitMu.Lock()
		reached := c.reached
		c.waitMu.Unlock()
		if c.revision.Load() >= revision {
			return nil
		}
		// A revision of a key outside of the root comes as progress only: ask for it, again if it is lost.
		if err := c.cfg.Store.RequestProgress(ctx); err != nil {
			return fmt.Errorf("asking etcd for progress: %w", err)
		}
		asked = min(asked+20*time.Millisecond, 200*time.Millisecond)
		timer := c.cfg.Clock.NewTimer(asked)
		select {
		case <-reached:
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		timer.Stop()
	}
}

func (c *Cache) advance(revision int64) {
	if revision <= c.revision.Load() {
		return
	}
	c.revision.Store(revision)
	c.waitMu.Lock()
	close(c.reached)
	c.reached = make(chan struct{})
	c.waitMu.Unlock()
}

// Run follows etcd until ctx ends. When etcd no longer has what this log has not seen, everything is read
// anew, the difference becomes events, and watchers that would have missed some get ErrExpired.
func (c *Cache) Run(ctx context.Context) error {
	go c.age(ctx)
	pause := 100 * time.Millisecond
	for ctx.Err() == nil {
		err := c.follow(ctx)
		if ctx.Err() != nil {
			break
		}
		c.cfg.Log.Error(err, "The watch on etcd ended; it is begun again")
		select {
		case <-ctx.Done():
		case <-c.cfg.Clock.After(pause):
		}
	}
	return nil
}

func (c *Cache) follow(ctx context.Context) error {
	after := c.revision.Load()
	if after == 0 {
		var err error
		if after, err = c.readAll(ctx); err != nil {
			return err
		}
	}
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	for b := range c.cfg.Store.Watch(watch, c.cfg.Root, after) {
		if errors.Is(b.Err, storage.ErrCompacted) {
			_, err := c.readAll(ctx)
			return errors.Join(b.Err, err)
		}
		if b.Err != nil {
			return b.Err
		}
		c.apply(b)
	}
	return errors.New("etcd closed the watch")
}

// readAll reads every key under the root as of one revision and replaces what was known.
func (c *Cache) readAll(ctx context.Context) (int64, error) {
	const pageSize = 5000
	var all []storage.KeyValue
	var revision int64
	for from := ""; ; {
		page, err := c.cfg.Store.List(ctx, c.cfg.Root, revision, pageSize, from)
		if err != nil {
			return 0, err
		}
		revision = page.Revision
		all = append(all, page.Items...)
		if !page.More {
			break
		}
		from = page.Items[len(page.Items)-1].Key + "\x00"
	}
	c.mu.Lock()
	c.orphans = map[string]storage.KeyValue{}
	parts := map[*Store][]storage.KeyValue{}
	for _, kv := range all {
		if s := c.storeOf(kv.Key); s != nil {
			parts[s] = append(parts[s], kv)
		} else {
			c.orphans[kv.Key] = kv
		}
	}
	for _, s := range c.stores {
		s.replace(parts[s], revision)
	}
	c.mu.Unlock()
	c.advance(revision)
	select {
	case <-c.synced:
	default:
		close(c.synced)
	}
	return revision, nil
}

// storeOf finds the store that a key belongs to: the one with the longest prefix.
func (c *Cache) storeOf(key string) *Store {
	for end := strings.LastIndexByte(key, '/'); end > 0; end = strings.LastIndexByte(key[:end], '/') {
		if s := c.stores[key[:end+1]]; s != nil {
			return s
		}
	}
	return nil
}

// apply takes over a batch in order.
func (c *Cache) apply(b storage.Batch) {
	if len(b.Events) > 0 {
		c.mu.RLock()
		touched := map[*Store]bool{}
		var orphaned []storage.Event
		for rest := b.Events; len(rest) > 0; {
			s, n := c.storeOf(rest[0].Key), 1
			// What one transaction changed, as the end of a lease does, is seen whole or not at all.
			for n < len(rest) && rest[n].ModRevision == rest[0].ModRevision && c.storeOf(rest[n].Key) == s {
				n++
			}
			if s != nil {
				s.apply(rest[:n]...)
				touched[s] = true
			} else {
				orphaned = append(orphaned, rest[:n]...)
			}
			rest = rest[n:]
		}
		for s := range touched {
			s.publish()
		}
		c.mu.RUnlock()
		c.keepOrphans(orphaned)
	}
	c.advance(b.Revision)
}

func (c *Cache) keepOrphans(events []storage.Event) {
	if len(events) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range events {
		switch s := c.storeOf(e.Key); {
		case s != nil: // it was added just now
			s.apply(e)
			s.publish()
		case e.Deleted:
			delete(c.orphans, e.Key)
		default:
			c.orphans[e.Key] = e.KeyValue
		}
	}
}

// age lets go of the forms that nobody asked for in a while.
func (c *Cache) age(ctx context.Context) {
	ticker := c.cfg.Clock.NewTicker(ageEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
		c.forms.grow()
		c.lists.grow()
		c.pending.sweep(c.revision.Load())
	}
}
