package watchcache

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/sampan-project/sampan/pkg/apiserver/storage"
)

// TestFormsStayWithinTheirBudget makes every form of many objects and sees that most are let go of, and that
// they can be made again.
func TestFormsStayWithinTheirBudget(t *testing.T) {
	r := newRig(t, 10)
	for i := range 500 {
		r.Store.apply(storage.Event{KeyValue: storage.KeyValue{Key: fmt.Sprintf("/registry/boats/x/%03d", i), Value: boat(strconv.Itoa(i), "red", "n1"), ModRevision: int64(i + 1)}})
	}
	sum := func() (n int) {
		r.Snapshot().Ascend("", "", func(e *Entry) bool { n += e.size(); return true })
		return n
	}
	forms := func() {
		r.Snapshot().Ascend("", "", func(e *Entry) bool {
			if _, err := e.Deflated(JSON, nil); err != nil {
				t.Error(err)
			}
			return true
		})
	}
	forms()
	if n := sum(); n < 20_000 {
		t.Fatalf("all forms take %d bytes: too few to test with", n)
	}
	if n := r.cache.held.bytes.Load(); n < 20_000 {
		t.Fatalf("%d bytes are counted of more", n)
	}
	r.cache.held.budget = 20_000
	r.cache.sweepAll()
	r.cache.sweepAll()
	if n, counted := sum(), r.cache.held.bytes.Load(); n > 20_000 || counted > 20_000 {
		t.Errorf("%d bytes are held, %d are counted, with a budget of 20000", n, counted)
	}
	r.cache.held.budget = defaultBudget
	forms()
}

// TestSupersededStatesAreSlim: what leastWindow other changes followed keeps its stored bytes alone, and
// the window is bounded by bytes too.
func TestSupersededStatesAreSlim(t *testing.T) {
	r := newRig(t, 10_000)
	for i := range leastWindow + 10 {
		r.Store.apply(storage.Event{KeyValue: storage.KeyValue{Key: "/registry/boats/x/a", Value: boat(strconv.Itoa(i), "red", "n1"), ModRevision: int64(i + 1)}})
	}
	old, recent := r.main.records[5].previous, r.main.records[len(r.main.records)-1].previous
	if old.size() != 0 || recent.size() == 0 {
		t.Errorf("a state long superseded holds %d bytes of forms, the last one %d", old.size(), recent.size())
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
