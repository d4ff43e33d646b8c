package apiserver

import (
	"net"
	"runtime"
	"sync"
	"time"
)

const (
	// mostGathered is how many bytes may wait to be sent; who writes more waits for them.
	mostGathered = 64 << 10
	// closeWithin is how long the end of a connection waits for what was written before.
	closeWithin = time.Second
)

// gatheredListener accepts connections that gather.
type gatheredListener struct{ net.Listener }

func (l gatheredListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return newGathered(c), nil
}

// gathered is a connection on which what is written at about the same time is sent together. HTTP/2 hands down its
// frames one by one, a few kilobytes each, and sending each would cost more than all else that a frame costs: the
// events of a hundred watches on a connection are one system call. Whoever writes does not wait for it; an error is
// told to the next one.
type gathered struct {
	net.Conn

	mu       sync.Mutex
	changed  sync.Cond // something was sent
	waiting  *[]byte   // nil: nothing
	sending  bool
	err      error
	deadline time.Time // of writes
}

func newGathered(c net.Conn) *gathered {
	g := &gathered{Conn: c}
	g.changed.L = &g.mu
	return g
}

// buffers hold what waits. One that grew beyond what may wait is let go.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// Write implements net.Conn.
func (g *gathered) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.err == nil && g.waiting != nil && len(*g.waiting) >= mostGathered {
		g.changed.Wait()
	}
	if g.err != nil {
		return 0, g.err
	}
	if g.waiting == nil {
		g.waiting = buffers.Get().(*[]byte)
	}
	*g.waiting = append(*g.waiting, p...)
	if !g.sending {
		g.sending = true
		go g.send()
	}
	return len(p), nil
}

// send sends until nothing waits. Those who are about to write do so first; where nobody is, there is no delay.
func (g *gathered) send() {
	runtime.Gosched()
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.waiting != nil && g.err == nil {
		b := g.waiting
		g.waiting = nil
		g.changed.Broadcast()
		g.mu.Unlock()
		_, err := g.Conn.Write(*b)
		if *b = (*b)[:0]; cap(*b) <= 2*mostGathered {
			buffers.Put(b)
		}
		g.mu.Lock()
		g.err = err
	}
	g.sending = false
	g.changed.Broadcast()
}

// settle waits until everything is sent, or cannot be.
func (g *gathered) settle() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.sending {
		g.changed.Wait()
	}
}

// SetWriteDeadline implements net.Conn. One that has passed is the end of writing, as TLS sets it behind its last
// words: they are still sent, within the deadline that was set for them.
func (g *gathered) SetWriteDeadline(t time.Time) error {
	g.mu.Lock()
	bounded := !g.deadline.IsZero()
	g.deadline = t
	g.mu.Unlock()
	if bounded && !t.IsZero() && time.Until(t) <= 0 {
		g.settle()
	}
	return g.Conn.SetWriteDeadline(t)
}

// SetDeadline implements net.Conn.
func (g *gathered) SetDeadline(t time.Time) error {
	if err := g.SetWriteDeadline(t); err != nil {
		return err
	}
	return g.Conn.SetReadDeadline(t)
}

// Close implements net.Conn.
func (g *gathered) Close() error {
	g.mu.Lock()
	sending := g.sending
	g.mu.Unlock()
	if sending {
		_ = g.Conn.SetWriteDeadline(time.Now().Add(closeWithin))
		g.settle()
	}
	return g.Conn.Close()
}
