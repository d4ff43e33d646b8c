package daemon

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	testingclock "k8s.io/utils/clock/testing"
)

func TestShareOfGarbage(t *testing.T) {
	g := Garbage{Percent: 50, Room: 32 << 20, Often: time.Second}
	for name, c := range map[string]struct {
		live  uint64
		since time.Duration
		want  int
	}{
		"a small heap, collected often":      {8 << 20, time.Second - 1, 400},
		"a small heap, collected seldom":     {8 << 20, time.Second, 50},
		"a heap for which the share is room": {64 << 20, 0, 50},
		"a large heap":                       {1 << 30, 0, 50},
		"nothing in use":                     {0, 0, 50},
	} {
		if got := g.percent(c.live, c.since); got != c.want {
			t.Errorf("%s: %d %%, want %d", name, got, c.want)
		}
	}
}

func TestCollectionsThatComeOftenGetRoom(t *testing.T) {
	was := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(was) })
	clock := testingclock.NewFakePassiveClock(time.Unix(0, 0))
	changed := make(chan int, 100) // the keeper outlives the test
	g := Garbage{Percent: 50, Room: 1 << 40, Often: time.Second}
	g.keep(clock, func(percent int) { changed <- percent })

	if got := <-changed; got != 50 {
		t.Errorf("at first: %d %%", got)
	}
	runtime.GC()
	if got := <-changed; got <= 100 {
		t.Errorf("two collections at one time, and 1 TiB of room: %d %%", got)
	}
	clock.SetTime(time.Unix(10, 0))
	runtime.GC()
	if got := <-changed; got != 50 {
		t.Errorf("ten seconds later: %d %%", got)
	}
}
