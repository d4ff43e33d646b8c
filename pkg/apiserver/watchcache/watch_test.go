package watchcache

import (
	"fmt"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/storage"
)

// crewed is a store with watchers of one node's boats each.
func crewed(tb testing.TB, watchers int) (*Store, []*Watcher) {
	tb.Helper()
	decoded := 0
	c := New(Config{Store: storage.NewMemory(), Root: "/registry/", Clock: clock.RealClock{}, Log: logr.Discard()})
	s := c.Add(boats(&decoded))
	var all []*Watcher
	for i := range watchers {
		node := fmt.Sprintf("node-%d", i)
		w, err := s.Watch(0, Selection{Fields: fields.OneTermEqualSelector("node", node), IndexField: "node", IndexValue: node})
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, w)
	}
	return s, all
}

func apply(s *Store, revision int64, node string) {
	s.apply(storage.Event{KeyValue: storage.KeyValue{Key: "/registry/boats/a", Value: boat("a", "red", node), ModRevision: revision}})
	s.publish()
}

func TestAChangeWakesOnlyThoseWhomItConcerns(t *testing.T) {
	s, all := crewed(t, 3)
	apply(s, 1, "node-1")
	for i, w := range all {
		if got := len(w.log.records); (got == 1) != (i == 1) {
			t.Errorf("watcher %d finds %d changes", i, got)
		}
	}
	apply(s, 2, "node-2") // it leaves one and comes to another
	for i, want := range []string{"", Added + Deleted, Added} {
		got := ""
		for events := all[i]; len(events.log.records) > int(events.position-events.log.first); {
			next, err := events.Next(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range next {
				got += e.Type
			}
		}
		if got != want {
			t.Errorf("watcher %d saw %q, want %q", i, got, want)
		}
	}
}

func TestANarrowLogEndsWithItsLastWatcher(t *testing.T) {
	s, all := crewed(t, 2)
	second, err := s.Watch(0, all[0].selection)
	if err != nil {
		t.Fatal(err)
	}
	all[0].Close()
	if len(s.sub) != 2 {
		t.Errorf("%d logs while each has a watcher", len(s.sub))
	}
	second.Close()
	second.Close()
	if len(s.sub) != 1 || s.sub[all[0].key] != nil || second.log != all[0].log {
		t.Errorf("%d logs after the last watcher of one has gone", len(s.sub))
	}
}

// BenchmarkChangeAmongManyWatchers is what a change costs that concerns one of 500 watchers.
func BenchmarkChangeAmongManyWatchers(b *testing.B) {
	s, _ := crewed(b, 500)
	b.ReportAllocs()
	revision := int64(0)
	for b.Loop() {
		revision++
		apply(s, revision, "node-7")
	}
}
