package watchcache

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/storage"
)

// boats is a kind whose objects are JSON and have a field "node", taken from an annotation.
func boats(decoded *int) Kind {
	var mu sync.Mutex
	return Kind{
		Prefix: "/registry/boats/",
		Decode: func(value []byte, revision int64) (Object, error) {
			mu.Lock()
			*decoded++
			mu.Unlock()
			o := &metav1.PartialObjectMetadata{}
			if err := json.Unmarshal(value, o); err != nil {
				return nil, err
			}
			o.ResourceVersion = strconv.FormatInt(revision, 10)
			return o, nil
		},
		Encode:  func(o Object, _ Encoding) ([]byte, error) { return json.Marshal(o) },
		Fields:  func(o Object) map[string]string { return map[string]string{"node": o.GetAnnotations()["node"]} },
		Indexed: []string{"node"},
	}
}

func boat(name, color, node string) []byte {
	b, _ := json.Marshal(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: name, Labels: map[string]string{"color": color}, Annotations: map[string]string{"node": node}}})
	return b
}

func boatOf(o *metav1.PartialObjectMetadata) []byte {
	b, _ := json.Marshal(o)
	return b
}

type rig struct {
	*Store
	cache   *Cache
	etcd    *storage.Memory
	decoded int
	ctx     context.Context
}

func newRig(t *testing.T, window int) *rig {
	r := &rig{etcd: storage.NewMemory()}
	r.cache = New(Config{Store: r.etcd, Root: "/registry/", Window: window, Clock: clock.RealClock{}, Log: logr.Discard()})
	r.Store = r.cache.Add(boats(&r.decoded))
	ctx, cancel := context.WithCancel(context.Background())
	r.ctx = ctx
	done := make(chan struct{})
	go func() { defer close(done); _ = r.cache.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	<-r.cache.Synced()
	return r
}

func (r *rig) put(t *testing.T, key string, value []byte) int64 {
	t.Helper()
	key = "/registry/boats/" + key
	kv, _, err := r.etcd.Get(r.ctx, key)
	var revision int64
	switch {
	case errors.Is(err, storage.ErrNotFound):
		revision, err = r.etcd.Create(r.ctx, key, value, 0)
	case err == nil && value == nil:
		revision, err = r.etcd.Delete(r.ctx, key, kv.ModRevision)
	case err == nil:
		revision, err = r.etcd.Update(r.ctx, key, value, kv.ModRevision, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func keysOf(n *Snapshot, prefix string) (out []string) {
	n.Ascend(prefix, "", func(e *Entry) bool {
		out = append(out, strings.TrimPrefix(e.Key(), "/registry/boats/"))
		return true
	})
	return out
}

func TestFreshListsHoldWhatWasJustWritten(t *testing.T) {
	r := newRig(t, 0)
	for i := range 50 {
		key := fmt.Sprintf("ns/b%02d", i)
		r.put(t, key, boat(key, "red", "n1"))
		if _, err := r.cache.Fresh(r.ctx); err != nil {
			t.Fatal(err)
		}
		if _, ok := r.Get("/registry/boats/" + key); !ok {
			t.Fatalf("%s is missing after a wait for freshness", key)
		}
	}
	if n := r.Received(); n != 50 {
		t.Errorf("%d events were received, want 50", n)
	}
}

func TestOldMomentsAreFoundAgain(t *testing.T) {
	r := newRig(t, 8)
	var at []int64
	for i := range 6 {
		at = append(at, r.put(t, fmt.Sprintf("ns/%d", i), boat("b", "red", "n")))
	}
	last := r.put(t, "ns/0", nil)
	if _, err := r.cache.Fresh(r.ctx); err != nil {
		t.Fatal(err)
	}
	for i, revision := range at {
		n, err := r.SnapshotAt(r.ctx, revision)
		if err != nil || n.Len("", "") != i+1 {
			t.Errorf("at %d: %v, %v", revision, n, err)
		}
	}
	if n, _ := r.SnapshotAt(r.ctx, last); n.Len("", "") != 5 {
		t.Errorf("now: %v", keysOf(n, ""))
	}
	for i := range 30 { // past the window: etcd still knows
		r.put(t, "ns/1", boat("b", "red", strconv.Itoa(i)))
	}
	newest, _ := r.cache.Fresh(r.ctx)
	if n, err := r.SnapshotAt(r.ctx, at[2]); err != nil || n.Len("", "") != 3 {
		t.Errorf("past the window: %v", err)
	}
	_ = r.etcd.Compact(r.ctx, newest)
	if _, err := r.SnapshotAt(r.ctx, at[2]); !errors.Is(err, ErrExpired) {
		t.Errorf("after compaction: %v", err)
	}
}

func TestIndexHoldsOnePart(t *testing.T) {
	r := newRig(t, 0)
	for i := range 10 {
		r.put(t, fmt.Sprintf("ns/%d", i), boat("b", "red", fmt.Sprint("n", i%3)))
	}
	r.put(t, "ns/0", boat("b", "red", "n1"))
	r.put(t, "ns/3", nil)
	_, _ = r.cache.Fresh(r.ctx)
	part, ok := r.Snapshot().ByIndex("node", "n0")
	if got := keysOf(part, ""); !ok || len(got) != 2 || got[0] != "ns/6" {
		t.Errorf("got %v, %v", got, ok)
	}
	if part, ok := r.Snapshot().ByIndex("node", "none"); !ok || part.Len("", "") != 0 {
		t.Error("a value that nobody has must be an empty part")
	}
	if _, ok := r.Snapshot().ByIndex("color", "red"); ok {
		t.Error("there is no such index")
	}
}

func TestFormsAreMadeOnce(t *testing.T) {
	r := newRig(t, 0)
	r.put(t, "ns/a", boat("a", "red", "n"))
	_, _ = r.cache.Fresh(r.ctx)
	e, _ := r.Get("/registry/boats/ns/a")
	one, _ := e.Append(nil, JSON)
	kept, _ := r.cache.forms.peek(JSON, []*Entry{e}).([]byte)
	two, _ := e.Append([]byte("x"), JSON)
	again, _ := r.cache.forms.peek(JSON, []*Entry{e}).([]byte)
	if "x"+string(one) != string(two) || len(kept) == 0 || &kept[0] != &again[0] || r.decoded != 1 {
		t.Errorf("%q and %q, kept %q and %q; decoded %d times", one, two, kept, again, r.decoded)
	}
	asJSON := func(to []byte, e *Entry) ([]byte, error) { return e.AppendPassing(to, JSON) }
	block, err := r.cache.Block(JSON, []*Entry{e}, asJSON)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := r.cache.Block(JSON, []*Entry{e}, asJSON); again != block || err != nil {
		t.Errorf("a block was made anew: %v", err)
	}
	// Two blocks and an end are one stream.
	plain, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(block.Deflated), bytes.NewReader(block.Deflated), strings.NewReader("\x03\x00"))))
	if err != nil || string(plain) != string(one)+string(one) {
		t.Errorf("%v: %q", err, plain)
	}
	e.slim()
	if again, err := e.Append(nil, JSON); err != nil || !bytes.Equal(one, again) || r.decoded != 2 {
		t.Errorf("%v; decoded %d times", err, r.decoded)
	}
}

// TestOnlyWhatLacksNothingIsSpliced: a value that was stored by another server may lack what Decode fills in.
func TestOnlyWhatLacksNothingIsSpliced(t *testing.T) {
	r := newRig(t, 0)
	k := boats(&r.decoded)
	k.Prefix = "/registry/ships/"
	k.Splice = func(to, _ []byte, revision int64, _ Encoding) ([]byte, bool) {
		return fmt.Appendf(to, "spliced at %d", revision), true
	}
	k.Whole = func(_ []byte, o Object) bool { return o.GetLabels()["color"] == "red" }
	ships := r.cache.Add(k)
	for name, want := range map[string]bool{"red": true, "blue": false} {
		key := k.Prefix + "ns/" + name
		revision, err := r.etcd.Create(r.ctx, key, boat(name, name, "n"), 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.cache.Fresh(r.ctx); err != nil {
			t.Fatal(err)
		}
		e, _ := ships.Get(key)
		for _, enc := range []Encoding{JSON, Protobuf} {
			b, err := e.Append([]byte("x"), enc)
			passing, perr := e.AppendPassing([]byte("x"), enc)
			kept, kerr := e.AppendKept([]byte("x"), enc)
			if spliced := string(b) == fmt.Sprintf("xspliced at %d", revision); spliced != want || err != nil || perr != nil || kerr != nil || !bytes.Equal(b, passing) || !bytes.Equal(b, kept) {
				t.Errorf("%s: %q, %q and %q, %v, %v, %v", name, b, passing, kept, err, perr, kerr)
			}
			// What is spliced is kept only for lists, and as JSON.
			if is := r.cache.forms.peek(enc, []*Entry{e}) != nil; is != (!want || enc == JSON) {
				t.Errorf("%s: kept %v in encoding %v", name, is, enc)
			}
		}
	}
}

func TestWatcherThatFallsBehindExpires(t *testing.T) {
	r := newRig(t, 8)
	slow, err := r.Watch(r.Snapshot().Revision(), Selection{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		r.put(t, "ns/a", boat("a", "red", strconv.Itoa(i)))
	}
	_, _ = r.cache.Fresh(r.ctx)
	if _, err := slow.Next(r.ctx, nil); !errors.Is(err, ErrExpired) {
		t.Errorf("got %v", err)
	}
	if _, err := r.Watch(1, Selection{}); !errors.Is(err, ErrExpired) {
		t.Errorf("a watch from before the window: %v", err)
	}
}

func TestCompactionUnderTheLogExpiresWatchersAndLosesNothing(t *testing.T) {
	r := newRig(t, 0)
	r.put(t, "ns/a", boat("a", "red", "n"))
	_, _ = r.cache.Fresh(r.ctx)
	w, err := r.Watch(r.cache.Revision(), Selection{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.cache.readAll(r.ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Next(r.ctx, nil); !errors.Is(err, ErrExpired) {
		t.Errorf("got %v", err)
	}
	if got := keysOf(r.Snapshot(), ""); len(got) != 1 {
		t.Errorf("the store holds %v", got)
	}
}

func TestReadingAnewHidesNothingMeanwhile(t *testing.T) {
	r := newRig(t, 0)
	for i := range 100 {
		r.put(t, fmt.Sprintf("ns/b%02d", i), boat("b", "red", "n"))
	}
	if _, err := r.cache.Fresh(r.ctx); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 50 {
			if _, err := r.cache.readAll(r.ctx); err != nil {
				t.Error(err)
			}
		}
	}()
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		if n := r.Snapshot().Len("", ""); n != 100 {
			t.Fatalf("a reader saw %d of 100", n)
		}
	}
}

// A client may come from a server that has reached more of etcd than this one.
func TestWatchersFromTheFutureSeeOnlyWhatIsNewToThem(t *testing.T) {
	r := newRig(t, 0)
	r.put(t, "ns/a", boat("a", "red", "n"))
	now, err := r.cache.Fresh(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	w, err := r.Watch(now+2, Selection{})
	if err != nil {
		t.Fatal(err)
	}
	var last int64
	for i := range 3 {
		last = r.put(t, "ns/a", boat("a", "red", strconv.Itoa(i)))
	}
	events, err := w.Next(r.ctx, nil)
	if err != nil || len(events) != 1 || events[0].Revision != last {
		t.Errorf("got %v, %v; want the one of revision %d", events, err, last)
	}
}

// TestWatchersSeeTheHistory compares watchers of every kind of selection with what etcd's own history
// says, while writers and compaction are at work.
func TestWatchersSeeTheHistory(t *testing.T) {
	r := newRig(t, 100000)
	red, _ := labels.Parse("color=red")
	selections := map[string]Selection{
		"all":       {},
		"namespace": {Prefix: "/registry/boats/ns1/"},
		"one":       {Prefix: "/registry/boats/ns1/b3", Exact: true},
		"label":     {Labels: red},
		"index":     {Fields: fields.OneTermEqualSelector("node", "n1"), IndexField: "node", IndexValue: "n1"},
		"both":      {Prefix: "/registry/boats/ns0/", Labels: red},
	}
	const writes = 3000
	type seen struct {
		Type, Key string
		Revision  int64
	}
	var wg sync.WaitGroup
	got := map[string][]seen{}
	var mu sync.Mutex
	stop, news := make(chan struct{}), make(chan struct{}, 1)
	for name, sel := range selections {
		w, err := r.Watch(r.cache.Revision(), sel)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer w.Close()
			for {
				events, err := w.Next(r.ctx, stop)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				if len(events) == 0 {
					return
				}
				mu.Lock()
				for _, e := range events {
					got[name] = append(got[name], seen{e.Type, e.Entry.Key(), e.Revision})
				}
				mu.Unlock()
				select {
				case news <- struct{}{}:
				default:
				}
			}
		})
	}
	rnd := rand.New(rand.NewPCG(7, 7))
	first := r.cache.Revision()
	for i := range writes {
		key := fmt.Sprintf("ns%d/b%d", rnd.IntN(2), rnd.IntN(10))
		value := boat(key, []string{"red", "blue"}[rnd.IntN(2)], fmt.Sprint("n", rnd.IntN(3)))
		if _, _, err := r.etcd.Get(r.ctx, "/registry/boats/"+key); err == nil && rnd.IntN(5) == 0 {
			value = nil
		}
		r.put(t, key, value)
		_ = i
	}
	last, err := r.cache.Fresh(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]seen{}
	state := map[string]*Entry{}
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	for b := range r.etcd.Watch(ctx, "/registry/", first) {
		for _, ev := range b.Events {
			old := state[ev.Key]
			var now *Entry
			if !ev.Deleted {
				now = r.entry(ev.KeyValue)
			}
			for name, sel := range selections {
				is, was := sel.Matches(now), sel.Matches(old)
				switch {
				case is && was:
					want[name] = append(want[name], seen{Modified, ev.Key, ev.ModRevision})
				case is:
					want[name] = append(want[name], seen{Added, ev.Key, ev.ModRevision})
				case was:
					want[name] = append(want[name], seen{Deleted, ev.Key, ev.ModRevision})
				}
			}
			state[ev.Key] = now
		}
		if b.Revision >= last {
			cancel()
			break
		}
	}
	deadline := time.After(20 * time.Second)
	for done := false; !done; { // the watchers have what they wait for as soon as they were scheduled
		mu.Lock()
		done = true
		for name := range selections {
			done = done && len(got[name]) >= len(want[name])
		}
		mu.Unlock()
		if done {
			break
		}
		select {
		case <-news:
		case <-deadline:
			done = true
		}
	}
	close(stop)
	wg.Wait()
	for name := range selections {
		if diff := cmp.Diff(want[name], got[name]); diff != "" {
			t.Errorf("%s: %s", name, diff[:min(len(diff), 2000)])
		}
	}
}

// The end of a lease changes many keys at one revision. Who comes while they are taken over must not get a part of
// them as the state, and then what is after their revision.
func TestOneRevisionIsSeenWhole(t *testing.T) {
	r := newRig(t, 0)
	var state *Snapshot
	var w *Watcher
	k := boats(&r.decoded)
	decode := k.Decode
	k.Decode = func(value []byte, revision int64) (Object, error) {
		if strings.Contains(string(value), "second") {
			var err error
			if state, w, err = r.WatchFromNow(Selection{}); err != nil {
				t.Error(err)
			}
		}
		return decode(value, revision)
	}
	r.cache.Add(k)
	event := func(name string) storage.Event {
		return storage.Event{KeyValue: storage.KeyValue{Key: "/registry/boats/ns/" + name, Value: boat(name, "red", "n1"), ModRevision: 100}}
	}
	r.cache.apply(storage.Batch{Events: []storage.Event{event("first"), event("second")}, Revision: 100})
	seen := keysOf(state, "")
	wake := make(chan struct{})
	close(wake)
	events, err := w.Next(r.ctx, wake)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		seen = append(seen, strings.TrimPrefix(e.Entry.Key(), "/registry/boats/"))
	}
	if want := []string{"ns/first", "ns/second"}; !cmp.Equal(seen, want) {
		t.Errorf("state and events are %v, want %v", seen, want)
	}
}

func TestAKindThatIsAddedAmidABatchMissesNothing(t *testing.T) {
	r := newRig(t, 0)
	// The batch was looked through before the kind came; what was no kind's then is kept after it came.
	r.cache.keepOrphans([]storage.Event{{KeyValue: storage.KeyValue{Key: "/registry/boats/ns/a", Value: boat("a", "red", "n1"), ModRevision: 100}}})
	if got := keysOf(r.Snapshot(), ""); !cmp.Equal(got, []string{"ns/a"}) {
		t.Errorf("the store holds %v", got)
	}
}
