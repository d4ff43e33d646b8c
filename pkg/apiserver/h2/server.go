// Package h2 serves HTTP/2 (RFC 9113) to the connections of a net/http server, in the place of net/http's own: there
// each frame of an answer is passed on between goroutines three times, which is a quarter of what a get costs. Here a
// request's goroutine puts its frames behind those of others, and what was put together is encrypted and sent at once.
// Frames are read and headers compressed by golang.org/x/net.
package h2

import (
	"cmp"
	"crypto/tls"
	"net/http"
	"sync"
	"time"
)

// Times and sizes for which net/http has no settings.
const (
	prefaceWithin = 10 * time.Second // from the handshake to the client's first frame
	lingerFor     = time.Second      // for a client to read why its connection ends
	finishWithin  = time.Second      // from an answer to the end of what the client sends
	mostWaiting   = 64 << 10         // bytes that wait to be sent; who has more waits
	mostQueued    = 4                // times a connection's streams: requests that wait for handlers of streams given up
)

// server is what connections share.
type server struct {
	http    *http.Server
	streams int   // at once on a connection
	buffer  int64 // what a client may send ahead on a stream
	total   int64 // what it may send ahead on a connection

	mu      sync.Mutex
	conns   map[*conn]struct{}
	retired bool
}

// Configure makes a server speak HTTP/2 by this package on its TLS connections. It is for once, before the server
// serves; Handler, ErrorLog, IdleTimeout, MaxHeaderBytes and, of HTTP2, MaxConcurrentStreams and the sizes of receive
// buffers are heeded.
func Configure(s *http.Server) {
	settings := http.HTTP2Config{}
	if s.HTTP2 != nil {
		settings = *s.HTTP2
	}
	h := &server{
		http: s, conns: map[*conn]struct{}{}, streams: cmp.Or(settings.MaxConcurrentStreams, 100),
		buffer: int64(cmp.Or(settings.MaxReceiveBufferPerStream, 1<<20)),
		total:  max(firstWindow, int64(cmp.Or(settings.MaxReceiveBufferPerConnection, 1<<20))), // less cannot be said
	}
	s.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
		"h2": func(_ *http.Server, tc *tls.Conn, handler http.Handler) { newConn(h, tc, handler).serve() },
	}
	s.RegisterOnShutdown(h.retire)
}

func (h *server) add(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns[c] = struct{}{}
	if h.retired { // while the two shook hands
		c.retire()
	}
}

func (h *server) remove(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, c)
}

// retire lets all connections end with the requests that they have.
func (h *server) retire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.retired = true
	for c := range h.conns {
		c.retire()
	}
}

func (h *server) logf(format string, args ...any) {
	if h.http.ErrorLog != nil {
		h.http.ErrorLog.Printf(format, args...)
	}
}

// mostHeader is how large a request's header may be, as HTTP/2 counts it.
func (h *server) mostHeader() uint32 {
	const usual, overhead = 10, 32 // net/http leaves this room beyond its bound, for HTTP/2 counts more than bytes
	return uint32(cmp.Or(h.http.MaxHeaderBytes, http.DefaultMaxHeaderBytes) + usual*overhead)
}
