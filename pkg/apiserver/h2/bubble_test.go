package h2

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// bubble is a server whose connections hold nothing that the other side does not read, and whose time is not the
// world's: it goes on when all wait. So a test can say what has not happened.
type bubble struct {
	*testing.T
	server   *http.Server
	accepted chan net.Conn
	closed   chan struct{}
	closing  sync.Once
	wires    []*wire
	conns    chan *conn // of the requests
	gate     chan struct{}
	ends     chan time.Duration // of handlers that say so
}

// inBubble runs a test, and looks that nothing is left of the server's connections when they have ended.
func inBubble(t *testing.T, handler func(*bubble, http.ResponseWriter, *http.Request), test func(*bubble), configure ...func(*http.Server)) {
	t.Helper()
	cert, _ := certificate()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{T: t, accepted: make(chan net.Conn), closed: make(chan struct{}), conns: make(chan *conn, 100_000), gate: make(chan struct{}), ends: make(chan time.Duration, 1000)}
		b.server = &http.Server{
			ErrorLog: log.New(io.Discard, "", 0), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, SessionTicketsDisabled: true},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				b.conns <- w.(*response).conn
				handler(b, w, r)
			}),
		}
		for _, c := range configure {
			c(b.server)
		}
		Configure(b.server)
		served := make(chan error, 1)
		go func() { served <- b.server.ServeTLS(b, "", "") }()
		defer b.end(served)
		test(b)
	})
}

// end ends the connections and the server, and looks at what is left of them.
func (b *bubble) end(served <-chan error) {
	for _, w := range b.wires {
		w.close()
	}
	synctest.Wait()
	_ = b.server.Close()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		b.Errorf("served until %v", err)
	}
	synctest.Wait()
	for len(b.conns) > 0 {
		c := <-b.conns
		c.mu.Lock()
		if len(c.streams) > 0 || c.running > 0 || len(c.queue) > 0 || c.sending || len(c.server.conns) > 0 {
			b.Errorf("left: %d streams, %d handlers, %d that wait, sending %v, %d connections",
				len(c.streams), c.running, len(c.queue), c.sending, len(c.server.conns))
		}
		c.mu.Unlock()
	}
}

// Accept implements net.Listener.
func (b *bubble) Accept() (net.Conn, error) {
	select {
	case c := <-b.accepted:
		return c, nil
	case <-b.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (b *bubble) Close() error {
	b.closing.Do(func() { close(b.closed) })
	return nil
}

// Addr implements net.Listener.
func (b *bubble) Addr() net.Addr { return &net.TCPAddr{} }

// connect makes a connection, on which the client has said nothing yet.
func (b *bubble) connect() *wire {
	b.Helper()
	ours, theirs := net.Pipe()
	b.accepted <- theirs
	w := newWire(b, ours)
	w.patience = time.Hour // of the bubble, which are short
	b.wires = append(b.wires, w)
	return w
}

// greeted makes a connection, on which both sides have greeted.
func (b *bubble) greeted(settings ...http2.Setting) *wire {
	b.Helper()
	w := b.connect()
	w.greet(settings...)
	synctest.Wait()
	return w
}

// conn gives the connection of a request that came.
func (b *bubble) conn() *conn {
	b.Helper()
	return within(b, "a request", b.conns)
}

// waiting gives how many bytes wait to be sent.
func (c *conn) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out == nil {
		return 0
	}
	return len(*c.out)
}
