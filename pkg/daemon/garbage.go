package daemon

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"k8s.io/utils/clock"
)

// Garbage says when a daemon collects its garbage. Go's collector starts when garbage has reached a share of what is in
// use. That is little where little is in use: a small heap under load is marked dozens of times a second, a fifth of
// all CPU time, while a large one could do with a smaller share.
type Garbage struct {
	// Percent is the share of what is in use, as the variable GOGC means it (which goes before all of this).
	Percent int
	// Room is how many bytes of garbage may lie in memory at least while the collector runs often.
	Room uint64
	// Often is the time between two collections below which the second came too early.
	Often time.Duration
}

// Keep has the collector of this process follow g from now on.
func (g Garbage) Keep(clock clock.PassiveClock) {
	if os.Getenv("GOGC") == "" {
		g.keep(clock, func(percent int) { debug.SetGCPercent(percent) })
	}
}

func (g Garbage) keep(clock clock.PassiveClock, set func(percent int)) {
	k := &keeper{Garbage: g, clock: clock, set: set, last: clock.Now(), share: g.Percent}
	k.await()
	set(g.Percent)
}

// percent is the share to collect at next, where live bytes are in use and the last collection came since the one
// before.
func (g Garbage) percent(live uint64, since time.Duration) int {
	if since >= g.Often || live == 0 {
		return g.Percent
	}
	return max(g.Percent, int(g.Room*100/live))
}

type keeper struct {
	Garbage
	clock clock.PassiveClock
	set   func(percent int)
	last  time.Time // of the last collection
	share int       // that is set
}

// await calls next after the next collection: then what nobody refers to is cleaned up.
func (k *keeper) await() {
	runtime.AddCleanup(new([64]byte), (*keeper).next, k)
}

func (k *keeper) next() {
	now := k.clock.Now()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	share, since := k.share, now.Sub(k.last)
	k.last = now
	k.await()
	// A change stops the world for a moment: small ones are not worth it.
	if p := k.percent(live[0].Value.Uint64(), since); p < share*9/10 || p > share*11/10 {
		k.share = p
		k.set(p)
	}
}
