package rpc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/metadata"
)

// Sizes of what a peer may send ahead. Each stream's is large, for most streams are one answer that somebody waits
// for; the connection's is given back long before it is used up, so that no stream holds up another.
const (
	streamWindow = 64 << 20
	connWindow   = 1 << 30
	bufferSize   = 32 << 10
	// What a peer grants before it says anything (RFC 9113, 6.5.2 and 6.9.2).
	firstWindow = 65535
	firstFrame  = 16 << 10
)

// Times after which a connection is given up: a write that does not end (half of it at least), and the answer to the
// question that is put when nothing was read for a while.
const (
	writeWithin  = 10 * time.Second
	askAfter     = 30 * time.Second
	answerWithin = 10 * time.Second
)

// companyWithin is how long an answer to a ping waits for something that is sent anyway. gRPC's servers ping after what
// they receive to learn how much is under way; etcd did so for each of our calls, and each answer was a write of its own.
const companyWithin = 5 * time.Millisecond

// conn is one HTTP/2 connection. Where both locks are held, writing is taken first.
type conn struct {
	net       net.Conn
	scheme    string
	authority string
	dead      chan struct{} // closed when the connection has ended
	ready     chan struct{} // closed when the peer has said its settings
	full      chan struct{} // closed when no new streams are taken
	frames    atomic.Int64  // read so far
	calls     sync.Pool     // of unary streams
	waiting   atomic.Int32  // writers that hold writing or wait for it: the last of them sends what was gathered

	writing     sync.Mutex // guards what follows
	out         *bufio.Writer
	later       *time.Timer   // sends what waits for company
	framer      *http2.Framer // its reading side is the reader's alone
	hpack       *hpack.Encoder
	block       bytes.Buffer
	nextID      uint32
	window      int64 // what may be sent on all streams together
	firstWindow int64 // on each new stream
	mostFrame   int
	mostStreams int

	mu      sync.Mutex // guards what follows
	streams map[uint32]*stream
	room    chan struct{} // closed when there is more of what writers may wait for
	retired bool          // full is closed
	err     error         // why the connection has ended
}

// newConn begins HTTP/2 on a connection. It may be used once ready is closed.
func newConn(nc net.Conn, scheme, authority string) (*conn, error) {
	c := &conn{
		net: nc, scheme: scheme, authority: authority, dead: make(chan struct{}), ready: make(chan struct{}), full: make(chan struct{}),
		out: bufio.NewWriterSize(&bounded{Conn: nc}, bufferSize), nextID: 1, window: firstWindow, firstWindow: firstWindow, mostFrame: firstFrame, mostStreams: 1 << 30,
		streams: map[uint32]*stream{}, room: make(chan struct{}), calls: sync.Pool{New: newCall},
	}
	c.framer = http2.NewFramer(c.out, bufio.NewReaderSize(nc, bufferSize))
	c.framer.SetReuseFrames()
	c.hpack = hpack.NewEncoder(&c.block)
	c.later = time.AfterFunc(writeWithin, func() { c.control(func(*http2.Framer) error { return nil }) })
	c.later.Stop()
	_, err := io.WriteString(c.out, http2.ClientPreface)
	if err == nil {
		err = c.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow})
	}
	if err == nil {
		err = c.framer.WriteWindowUpdate(0, connWindow-firstWindow)
	}
	if err == nil {
		err = c.out.Flush()
	}
	if err != nil {
		return nil, err
	}
	go (&reader{conn: c}).run()
	go c.keepAlive()
	return c, nil
}

// lock begins writing; unlock ends it and sends what was written, unless somebody else is about to write: then that
// one sends both.
func (c *conn) lock() {
	c.waiting.Add(1)
	c.writing.Lock()
}

func (c *conn) unlock() {
	var err error
	if c.waiting.Add(-1) == 0 {
		err = c.out.Flush()
	}
	c.writing.Unlock()
	if err != nil {
		_ = c.fail(fmt.Errorf("writing: %w", err))
	}
}

// bounded is a connection whose writes end in time: not only those of a flush, for a large message fills the buffer first.
type bounded struct {
	net.Conn
	until time.Time // the deadline of writes
}

func (b *bounded) Write(p []byte) (int, error) {
	// A deadline is good for several writes: to move it costs a tenth of a small one.
	if now := time.Now(); b.until.Sub(now) < writeWithin/2 {
		b.until = now.Add(writeWithin)
		if err := b.SetWriteDeadline(b.until); err != nil {
			return 0, err
		}
	}
	return b.Conn.Write(p)
}

// control writes frames that are no stream's.
func (c *conn) control(write func(*http2.Framer) error) {
	c.lock()
	err := write(c.framer)
	c.unlock()
	if err != nil {
		_ = c.fail(fmt.Errorf("writing: %w", err))
	}
}

// pong answers a ping, together with what is sent next, or with what others left it to send.
func (c *conn) pong(data [8]byte) {
	c.lock()
	alone := c.out.Buffered() == 0
	err := c.framer.WritePing(true, data)
	if c.waiting.Add(-1) == 0 {
		if alone {
			c.later.Reset(companyWithin)
		} else if err == nil {
			err = c.out.Flush()
		}
	}
	c.writing.Unlock()
	if err != nil {
		_ = c.fail(fmt.Errorf("writing: %w", err))
	}
}

// start opens a stream for a method and sends its first message. An error that is unsent means that the peer has not
// seen the message.
func (c *conn) start(ctx context.Context, s *stream, method string, first []byte, last bool) error {
	c.lock()
	defer c.unlock()
	if err := c.register(ctx, s); err != nil {
		return unsent{err}
	}
	c.block.Reset()
	field := func(name, value string) { _ = c.hpack.WriteField(hpack.HeaderField{Name: name, Value: value}) } // to a buffer
	field(":method", "POST")
	field(":scheme", c.scheme)
	field(":path", method)
	field(":authority", c.authority)
	field("content-type", "application/grpc")
	field("te", "trailers")
	if md, ok := metadata.FromOutgoingContext(ctx); ok {
		for name, values := range md {
			for _, v := range values {
				field(name, v)
			}
		}
	}
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, BlockFragment: c.block.Bytes(), EndHeaders: true})
	if err != nil {
		return c.fail(fmt.Errorf("writing: %w", err))
	}
	if first == nil {
		return nil
	}
	return c.data(ctx, s, first, last)
}

// register gives a stream its number, when the peer takes one more. The caller holds writing.
func (c *conn) register(ctx context.Context, s *stream) error {
	for {
		c.mu.Lock()
		err, room := c.err, c.room
		if c.nextID > 1<<31-1 {
			c.retireLocked()
		}
		if err == nil && c.retired {
			err = unavailable(errRetired)
		}
		if err == nil && len(c.streams) < c.mostStreams {
			s.conn, s.id, s.window = c, c.nextID, c.firstWindow
			c.nextID += 2
			c.streams[s.id] = s
			c.mu.Unlock()
			return nil
		}
		c.mu.Unlock()
		if err != nil {
			return err
		}
		if err := c.wait(ctx, room); err != nil {
			return err
		}
	}
}

// data sends a message in frames as large as the peer takes them, when it takes them. The caller holds writing.
func (c *conn) data(ctx context.Context, s *stream, message []byte, last bool) error {
	for len(message) > 0 {
		c.mu.Lock()
		room, ended := c.room, s.ended
		n := int(min(int64(len(message)), int64(c.mostFrame), s.window, c.window))
		s.stalled = n <= 0
		c.mu.Unlock()
		if ended {
			return nil // who receives learns why
		}
		if n <= 0 {
			if err := c.wait(ctx, room); err != nil {
				return err
			}
			continue
		}
		c.window -= int64(n)
		s.window -= int64(n)
		if err := c.framer.WriteData(s.id, last && n == len(message), message[:n]); err != nil {
			return c.fail(fmt.Errorf("writing: %w", err))
		}
		message = message[n:]
	}
	return nil
}

// wait lets others write until there is more room. The caller holds writing, and does so again afterwards.
func (c *conn) wait(ctx context.Context, room <-chan struct{}) error {
	c.unlock()
	defer c.lock()
	select {
	case <-room:
		return nil
	case <-c.dead:
		return c.ended()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// roomier wakes who waits. The caller holds mu.
func (c *conn) roomier() {
	close(c.room)
	c.room = make(chan struct{})
}

// reset ends a stream that nobody waits for any more.
func (c *conn) reset(s *stream) {
	if !c.finish(s, context.Canceled) {
		return // it had ended
	}
	c.control(func(f *http2.Framer) error { return f.WriteRSTStream(s.id, http2.ErrCodeCancel) })
}

// finish ends a stream, and says whether it had not ended before.
func (c *conn) finish(s *stream, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.finishLocked(s, err)
}

func (c *conn) finishLocked(s *stream, err error) bool {
	if s.ended {
		return false
	}
	s.ended, s.err = true, err
	if len(c.streams) >= c.mostStreams || s.stalled {
		c.roomier()
	}
	delete(c.streams, s.id)
	s.wake()
	c.endRetired()
	return true
}

// endRetired ends a connection that takes no new streams when it has no more. The caller holds mu.
func (c *conn) endRetired() {
	if c.retired && c.err == nil && len(c.streams) == 0 {
		go func() { _ = c.fail(errRetired) }()
	}
}

// fail ends the connection, and all its streams with it: what they had sent may have been done. It answers why the
// connection has ended, which may have been something earlier.
func (c *conn) fail(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	c.err = unavailable(fmt.Errorf("the connection to %s ended: %w", c.authority, err))
	c.retireLocked()
	close(c.dead)
	_ = c.net.Close()
	for _, s := range c.streams {
		c.finishLocked(s, c.err)
	}
	return c.err
}

func (c *conn) ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// retire lets the connection end with the streams that it has.
func (c *conn) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retireLocked()
	c.endRetired()
}

func (c *conn) retireLocked() {
	if c.retired {
		return
	}
	c.retired = true
	close(c.full)
	c.roomier()
}

func (c *conn) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.streams) > 0
}

// keepAlive asks the peer for a sign of life when it was silent for a while, and ends the connection without one. It
// leaves peers alone that nobody waits for: they count such questions as misuse.
func (c *conn) keepAlive() {
	ticker := time.NewTicker(askAfter)
	defer ticker.Stop()
	for last := c.frames.Load(); ; {
		select {
		case <-c.dead:
			return
		case <-ticker.C:
		}
		seen := c.frames.Load()
		if seen != last || !c.busy() {
			last = seen
			continue
		}
		time.AfterFunc(answerWithin, func() {
			if c.frames.Load() == seen {
				_ = c.fail(fmt.Errorf("no answer within %s", answerWithin))
			}
		})
		c.control(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) })
	}
}

// framed puts gRPC's prefix of five bytes before a message that begins after them.
func framed(b []byte) []byte {
	b[0] = 0 // not compressed
	binary.BigEndian.PutUint32(b[1:prefix], uint32(len(b)-prefix))
	return b
}

const prefix = 5
