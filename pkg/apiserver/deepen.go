package apiserver

// usualDepth is what the frames of a read take together, beyond those that are there when a request's handler begins.
const usualDepth = 10 << 10

// deepen makes the stack large enough for what follows, while there is little on it to be copied: HTTP/2 begins each
// request on a small one, which would be grown twice and more on the way, each time with all that was called by then.
// A frame counts from the first instruction of its function, so nothing need be used of it, nor cleared.
//
//go:noinline
func deepen(use bool) {
	if use {
		var room [usualDepth]byte
		fill(&room)
	}
}

//go:noinline
func fill(room *[usualDepth]byte) {
	for i := range room {
		room[i] = byte(i)
	}
}
