package watchcache

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/sampan-project/sampan/pkg/apiserver/storage"
)

func entries(n int) []*Entry {
	out := make([]*Entry, n)
	for i := range out {
		out[i] = &Entry{id: uint64(i + 1), key: fmt.Sprintf("/registry/boats/x/%05d", i)}
	}
	return out
}

// TestFormsStayWithinTheirBudget makes many forms, and asks for one of them again and again: most are let go of, and
// that one never.
func TestFormsStayWithinTheirBudget(t *testing.T) {
	m := newMade(func() int64 { return 1000 })
	all, times := entries(500), map[uint64]int{}
	ask := func(e *Entry) {
		t.Helper()
		if v, err := m.get("form", []*Entry{e}, func() (any, int, error) { times[e.id]++; return e.key, 10, nil }); v != e.key || err != nil {
			t.Fatalf("%v, %v: want %s", v, err, e.key)
		}
	}
	for _, e := range all {
		ask(e)
		ask(all[0])
		if n := m.total(); n > 1010 {
			t.Fatalf("%d bytes are held, with a budget of 1000", n)
		}
	}
	if n := m.total(); n < 400 {
		t.Errorf("%d bytes are held: too little of a budget of 1000", n)
	}
	ask(all[1])
	if times[all[0].id] != 1 || times[all[1].id] != 2 {
		t.Errorf("what was always asked for was made %d times, what was asked for long ago %d times", times[all[0].id], times[all[1].id])
	}
	m.grow()
	m.grow()
	if n := m.total(); n != 0 {
		t.Errorf("%d bytes are held of what nobody asked for", n)
	}
}

// TestRunsAreSharedByTheSameEntriesOnly: a run with the same ends and another middle is another run.
func TestRunsAreSharedByTheSameEntriesOnly(t *testing.T) {
	m := newMade(func() int64 { return 1 << 20 })
	all := entries(5)
	ask := func(run ...*Entry) (made bool) {
		if _, err := m.get("form", run, func() (any, int, error) { made = true; return len(run), 1, nil }); err != nil {
			t.Error(err)
		}
		return made
	}
	if !ask(all[0], all[1], all[4]) || ask(all[0], all[1], all[4]) {
		t.Error("a run was not made, or made twice")
	}
	if !ask(all[0], all[2], all[4]) {
		t.Error("a run was given for another")
	}
	if m.peek("form", []*Entry{all[0], all[1], all[4]}) != nil || m.peek("form", []*Entry{all[0], all[2], all[4]}) == nil {
		t.Error("what is there is not what was made last")
	}
}

// TestOneMakesAndOthersWait has many ask at once for what fails the first time.
func TestOneMakesAndOthersWait(t *testing.T) {
	m := newMade(func() int64 { return 1 << 20 })
	e := entries(1)
	failed := errors.New("the first time")
	if _, err := m.get("form", e, func() (any, int, error) { return nil, 0, failed }); !errors.Is(err, failed) {
		t.Errorf("%v: want the failure", err)
	}
	times := 0
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if v, err := m.get("form", e, func() (any, int, error) { times++; return 7, 1, nil }); v != 7 || err != nil {
				t.Errorf("%v, %v", v, err)
			}
		})
	}
	wg.Wait()
	if times != 1 {
		t.Errorf("it was made %d times", times)
	}
}

// TestAChangeConcernsOneRun: where runs begin does not depend on what stands before them.
func TestAChangeConcernsOneRun(t *testing.T) {
	all := entries(2000)
	cut := func(list []*Entry) map[uint64]int {
		begins := map[uint64]int{}
		total := 0
		for run := range Runs(list) {
			begins[run[0].id] = len(run)
			if total += len(run); len(run) > mostRun {
				t.Errorf("a run of %d", len(run))
			}
		}
		if total != len(list) {
			t.Errorf("%d of %d entries stand in runs", total, len(list))
		}
		return begins
	}
	before, after := cut(all), cut(append(append([]*Entry{}, all[:1000]...), all[1001:]...))
	if n := len(before); n < 2000/(2*usualRun) || n > 2000/(usualRun/2) {
		t.Errorf("%d runs of 2000 entries", n)
	}
	other := 0
	for id, n := range before {
		if after[id] != n {
			other++
		}
	}
	if other > 3 {
		t.Errorf("%d runs changed with one entry", other)
	}
}

// TestSupersededStatesAreSlim: what leastWindow other changes followed keeps its stored bytes alone, and
// what superseded states take is bounded.
func TestSupersededStatesAreSlim(t *testing.T) {
	r := newRig(t, 10_000)
	for i := range leastWindow + 10 {
		r.Store.apply(storage.Event{KeyValue: storage.KeyValue{Key: "/registry/boats/x/a", Value: boat(strconv.Itoa(i), "red", "n1"), ModRevision: int64(i + 1)}})
	}
	old, recent := r.main.records[5].previous, r.main.records[len(r.main.records)-1].previous
	held := func(e *Entry) bool { return r.cache.forms.peek(decoded, []*Entry{e}) != nil }
	if held(old) || !held(recent) {
		t.Errorf("a state long superseded is held decoded: %v; the last one: %v", held(old), held(recent))
	}
	if o, err := old.Object(); err != nil || o.GetName() != "4" {
		t.Errorf("%v, %v: want that it can be decoded again", o, err)
	}
	big := boat("big", strings.Repeat("x", 200<<10), "n1")
	for i := range leastWindow {
		r.Store.apply(storage.Event{KeyValue: storage.KeyValue{Key: "/registry/boats/x/a", Value: big, ModRevision: int64(10_000 + i)}})
	}
	if r.main.bytes > windowBytes+len(big)*leastWindow {
		t.Errorf("the window holds %d bytes", r.main.bytes)
	}
	if r.floor == 0 {
		t.Error("nothing fell out of a window that is full")
	}
}

// TestStoredBytesAreCounted: the count follows what the stores hold, through changes, a new kind and the end.
func TestStoredBytesAreCounted(t *testing.T) {
	r := newRig(t, 0)
	want := func(when string) {
		t.Helper()
		n := 0
		r.Snapshot().Ascend("", "", func(e *Entry) bool { n += len(e.value); return true })
		if got := r.cache.stored.Load(); got != int64(n) {
			t.Errorf("%s: %d bytes are counted, %d stored", when, got, n)
		}
	}
	change := func(revision int64, name string, value []byte) {
		r.Store.apply(storage.Event{KeyValue: storage.KeyValue{Key: "/registry/boats/" + name, Value: value, ModRevision: revision}, Deleted: value == nil})
	}
	change(1, "a", boat("a", "red", "n1"))
	change(2, "b", boat("b", "red", "n1"))
	change(3, "b", boat("b", "a much longer color", "n1"))
	change(4, "a", nil)
	want("after changes")
	r.cache.Add(boats(&r.decoded))
	want("with a new kind")
	r.Store.replace([]storage.KeyValue{{Key: "/registry/boats/c", Value: boat("c", "blue", "n2"), ModRevision: 5}}, 5)
	want("read anew")
	r.cache.Remove("/registry/boats/")
	if n := r.cache.stored.Load(); n != 0 {
		t.Errorf("%d bytes are counted of a store that has gone", n)
	}
}
