package h2

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"runtime"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Sizes before either side says anything else (RFC 9113, 6.5.2 and 6.9.2).
const (
	firstWindow = 65535
	firstFrame  = 16 << 10 // nor is more ever sent in one, for which all others would have to wait
	firstTable  = 4 << 10
	mostWindow  = 1<<31 - 1
)

// errGone is what handlers are told whose client cannot be reached any more.
var errGone = errors.New("the client has closed the connection")

// conn is one connection. Its goroutine reads; requests have goroutines of their own, and while something is to be
// sent there is one that sends.
type conn struct {
	server  *server
	tls     *tls.Conn
	state   tls.ConnectionState
	remote  string
	handler http.Handler
	base    context.Context // of requests

	mu      sync.Mutex // guards what follows
	out     *[]byte    // frames that wait to be sent; nil: none
	sending bool
	space   sync.Cond // fewer bytes wait, or the connection has ended

	block   *bytes.Buffer // what encoder writes
	encoder *hpack.Encoder

	window        int64 // what may be sent on all streams together
	initialWindow int64 // on each new stream
	inWindow      int64 // what the client may send on all streams together
	returned      int64 // of what it sent, what it was not told yet that it may send again

	streams map[uint32]*stream
	last    uint32 // the number of the last stream begun
	running int    // handlers
	queue   []*stream
	retired bool       // the client was told to begin no more streams
	late    [32]uint32 // streams that were reset last: what their client sent meanwhile is no fault of it
	resets  int
	err     error // why nothing is sent or served any more
	idle    *time.Timer
}

func newConn(h *server, tc *tls.Conn, handler http.Handler) *conn {
	c := &conn{
		server: h, tls: tc, state: tc.ConnectionState(), remote: tc.RemoteAddr().String(),
		handler: handler, base: context.Background(), block: &bytes.Buffer{}, streams: map[uint32]*stream{},
		window: firstWindow, initialWindow: firstWindow, inWindow: h.total,
	}
	// This is how net/http hands its context to what speaks another protocol for it.
	if b, ok := handler.(interface{ BaseContext() context.Context }); ok {
		c.base = b.BaseContext()
	}
	c.space.L = &c.mu
	c.encoder = hpack.NewEncoder(c.block)
	return c
}

// serve speaks HTTP/2 until the connection ends, and leaves nothing behind but handlers that were told to end.
func (c *conn) serve() {
	defer func() { _ = c.tls.Close() }()
	if weak(c.state) {
		c.end(http2.ConnectionError(http2.ErrCodeInadequateSecurity))
		return
	}
	c.greet()
	c.server.add(c)
	defer c.server.remove(c)
	err := c.greeted()
	if err == nil {
		err = (&reader{conn: c}).run()
	}
	c.end(err)
}

// weak says that TLS agreed on what HTTP/2 forbids (RFC 9113, 9.2.2). Of the ciphers that TLS 1.2 has here, appendix A
// leaves those which make a key for each connection and tell encrypted data that was changed.
func weak(s tls.ConnectionState) bool {
	if s.Version != tls.VersionTLS12 {
		return s.Version < tls.VersionTLS12
	}
	switch s.CipherSuite {
	case tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256:
		return false
	}
	return true
}

// greet says what the client needs to know before all else.
func (c *conn) greet() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server.http.IdleTimeout > 0 {
		c.idle = time.AfterFunc(c.server.http.IdleTimeout, c.retire)
	}
	b := c.append()
	settings := []http2.Setting{
		{ID: http2.SettingMaxConcurrentStreams, Val: uint32(c.server.streams)},
		{ID: http2.SettingMaxHeaderListSize, Val: c.server.mostHeader()},
		{ID: http2.SettingInitialWindowSize, Val: uint32(c.server.buffer)},
	}
	*b = appendFrameHeader(*b, 6*len(settings), http2.FrameSettings, 0, 0)
	for _, s := range settings {
		*b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(*b, uint16(s.ID)), s.Val)
	}
	if more := c.server.total - firstWindow; more > 0 {
		c.windowUpdate(0, more)
	}
	c.send()
	_ = c.tls.SetReadDeadline(time.Now().Add(prefaceWithin))
}

// greeted reads what clients begin with.
func (c *conn) greeted() error {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c.tls, preface); err != nil {
		return err
	}
	if string(preface) != http2.ClientPreface {
		return errors.New("no HTTP/2")
	}
	return nil
}

// append gives the bytes behind which a frame is to be put. The caller holds mu.
func (c *conn) append() *[]byte {
	if c.out == nil {
		c.out = buffers.Get().(*[]byte)
	}
	return c.out
}

// buffers hold frames that wait.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// send lets what waits be sent. The caller holds mu.
func (c *conn) send() {
	if !c.sending && c.out != nil && c.err == nil {
		c.sending = true
		go c.sendAll()
	}
}

// sendAll sends until nothing waits. Those who are about to write do so first; where nobody is, there is no delay.
func (c *conn) sendAll() {
	runtime.Gosched()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.out != nil && c.err == nil {
		b := c.out
		c.out = nil
		c.space.Broadcast()
		c.mu.Unlock()
		_, err := c.tls.Write(*b)
		if *b = (*b)[:0]; cap(*b) <= 2*mostWaiting {
			buffers.Put(b)
		}
		c.mu.Lock()
		if err != nil {
			c.fail(err)
		}
	}
	c.sending = false
	c.space.Broadcast()
}

// full says that who writes has to wait. The caller holds mu.
func (c *conn) full() bool { return c.err == nil && c.out != nil && len(*c.out) >= mostWaiting }

// control puts a frame without a stream's state behind the others. A client that does not read the answers is not
// read from either. The caller holds mu.
func (c *conn) control(t http2.FrameType, flags http2.Flags, id uint32, payload ...byte) {
	for c.full() {
		c.space.Wait()
	}
	c.put(t, flags, id, payload...)
}

// put is control for what cannot become much, and waits for nobody. The caller holds mu.
func (c *conn) put(t http2.FrameType, flags http2.Flags, id uint32, payload ...byte) {
	if c.err != nil {
		return
	}
	b := c.append()
	*b = append(appendFrameHeader(*b, len(payload), t, flags, id), payload...)
	c.send()
}

func (c *conn) windowUpdate(id uint32, more int64) {
	c.put(http2.FrameWindowUpdate, 0, id, binary.BigEndian.AppendUint32(nil, uint32(more))...)
}

// giveBack tells the client, when it has come to much, that it may send what was taken in again. The caller holds mu.
func (c *conn) giveBack(n int64) {
	if c.returned += n; c.returned >= c.server.total/2 && c.err == nil {
		c.windowUpdate(0, c.returned)
		c.inWindow += c.returned
		c.returned = 0
	}
}

func (c *conn) reset(id uint32, code http2.ErrCode) {
	c.late[c.resets%len(c.late)] = id
	c.resets++
	c.control(http2.FrameRSTStream, 0, id, binary.BigEndian.AppendUint32(nil, uint32(code))...)
}

// goAway tells the client to begin no more streams, and which were heard of.
func (c *conn) goAway(code http2.ErrCode) {
	c.retired = true
	last := binary.BigEndian.AppendUint32(nil, c.last)
	c.put(http2.FrameGoAway, 0, 0, binary.BigEndian.AppendUint32(last, uint32(code))...)
}

// appendFrameHeader appends what stands before a frame's payload (RFC 9113, 4.1).
func appendFrameHeader(b []byte, length int, t http2.FrameType, flags http2.Flags, id uint32) []byte {
	b = append(b, byte(length>>16), byte(length>>8), byte(length), byte(t), byte(flags))
	return binary.BigEndian.AppendUint32(b, id)
}

// fail ends sending, and all requests with it. The caller holds mu.
func (c *conn) fail(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	for _, s := range c.streams {
		s.leave(errGone)
	}
	c.queue = nil
	c.space.Broadcast()
	// The reader learns it so.
	_ = c.tls.NetConn().SetReadDeadline(time.Unix(1, 0))
}

// retire lets the connection end with the streams that it has.
func (c *conn) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retireLocked()
}

// retireLocked is retire for a caller that holds mu.
func (c *conn) retireLocked() {
	if !c.retired && c.err == nil {
		c.goAway(http2.ErrCodeNo)
	}
	c.rest()
}

// rest does what is to be done when a connection has no streams: to end when it is retired, or after a while. The
// caller holds mu.
func (c *conn) rest() {
	if len(c.streams) > 0 || c.err != nil {
		return
	}
	if c.retired {
		// The client closes it, or else the reader ends. Closed with something unread, TCP would take back what was sent
		// last.
		_ = c.tls.NetConn().SetReadDeadline(time.Now().Add(lingerFor))
	} else if c.idle != nil {
		c.idle.Reset(c.server.http.IdleTimeout)
	}
}

// end ends the connection for a reason that the reader found: the client is told of a breach of the protocol, and
// what was sent before gets to it.
func (c *conn) end(err error) {
	c.mu.Lock()
	if c.idle != nil {
		c.idle.Stop()
	}
	var breach http2.ConnectionError
	if errors.As(err, &breach) {
		c.goAway(http2.ErrCode(breach))
	}
	if len(c.streams) > 0 && breach == 0 {
		c.fail(errGone)
	}
	_ = c.tls.SetWriteDeadline(time.Now().Add(lingerFor))
	for c.sending {
		c.space.Wait()
	}
	c.fail(errGone)
	c.mu.Unlock()
	if breach != 0 {
		_ = c.tls.CloseWrite()
		_ = c.tls.NetConn().SetReadDeadline(time.Now().Add(lingerFor))
		_, _ = io.Copy(io.Discard, c.tls.NetConn())
	}
}
