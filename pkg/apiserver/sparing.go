package apiserver

import "runtime"

// ballast is how much memory seems to be in use while the server starts. Start fills fifty megabytes in a fraction of a
// second while a few are in use: a collector that goes by what is in use would run a dozen times meanwhile, for a third of
// what starting costs. A server that reads much at its start has that in use, and the ballast changes little for it.
const ballast = 128 << 20

// sparing keeps the collector from running for little until end is called. The ballast is memory that was asked for and
// never touched: the system gives none for it.
func sparing() (end func()) {
	held := make([]byte, ballast)
	return func() {
		runtime.KeepAlive(held)
		held = nil
		runtime.GC() // what may lie around goes by what was in use at the last collection
	}
}
