package rpc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// mostMessage is the largest message that is taken, in bytes.
const mostMessage = 1 << 30

// Message is what is sent and received: what code generated for Protobuf messages has.
type Message interface {
	Size() int
	MarshalToSizedBuffer(b []byte) (int, error)
	Unmarshal(b []byte) error // which copies
}

// stream is one call. Fields without a note are guarded by the connection's mu.
type stream struct {
	conn   *conn
	id     uint32
	window int64         // what may be sent; guarded by the connection's writing
	signal chan struct{} // one place: something came for who waits

	unary    bool   // one message is awaited, and looked at when the stream has ended
	part     []byte // of what comes next; a unary call's whole message
	messages [][]byte
	owed     int  // bytes that came and were not given back to the peer's window
	stalled  bool // its sender waits for room
	ended    bool
	err      error // why it ended, nil where it succeeded
}

// mostAhead is how much room is made for what a peer has announced and not sent.
const mostAhead = 1 << 20

func (s *stream) wake() {
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// take adds what came. size is what the peer's window lost by it. The caller holds the connection's mu.
func (s *stream) take(data []byte, size int) error {
	s.owed += size
	s.part = append(s.part, data...)
	for len(s.part) >= prefix {
		if s.part[0] != 0 {
			return status.Error(codes.Internal, "the peer's message is compressed")
		}
		n := int64(binary.BigEndian.Uint32(s.part[1:prefix]))
		if n > mostMessage {
			return status.Errorf(codes.ResourceExhausted, "the peer's message of %d bytes is larger than %d", n, mostMessage)
		}
		whole := prefix + int(n)
		if len(s.part) < whole {
			s.part = slices.Grow(s.part, min(whole-len(s.part), mostAhead))
			return nil
		}
		if s.unary {
			return nil
		}
		s.messages = append(s.messages, s.part[prefix:whole:whole])
		s.part = append([]byte(nil), s.part[whole:]...)
		s.wake()
	}
	return nil
}

// credit is what to give back to the peer's window. Messages that nobody has taken yet are not given back: so much,
// and one message more, is the most that waits here. The caller holds the connection's mu.
func (s *stream) credit() int {
	if s.owed < streamWindow/2 || len(s.messages) > 0 || s.ended {
		return 0
	}
	n := s.owed
	s.owed = 0
	return n
}

func (c *conn) give(id uint32, credit int) {
	if credit > 0 {
		c.control(func(f *http2.Framer) error { return f.WriteWindowUpdate(id, uint32(credit)) })
	}
}

// Unary calls and what they write are used again, unless they were large.
const mostReused = 64 << 10

var buffers = sync.Pool{New: func() any { return new([]byte) }}

func newCall() any { return &stream{unary: true, signal: make(chan struct{}, 1)} }

// call sends a request and reads the reply.
func (c *conn) call(ctx context.Context, method string, request, reply Message) error {
	s := c.calls.Get().(*stream)
	b := buffers.Get().(*[]byte)
	size := request.Size()
	*b = slices.Grow((*b)[:0], prefix+size)[:prefix+size]
	_, err := request.MarshalToSizedBuffer((*b)[prefix:])
	if err != nil {
		return status.Errorf(codes.Internal, "writing a request: %v", err)
	}
	err = c.start(ctx, s, method, framed(*b), true)
	if cap(*b) <= mostReused {
		buffers.Put(b)
	}
	if err == nil {
		select {
		case <-s.signal:
			err = s.err // it has ended, and nobody else touches it
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		if s.conn != nil {
			c.reset(s)
		}
		return statusOf(err)
	}
	return c.received(s, reply)
}

// received reads the reply of a call that succeeded, and lets go of the call.
func (c *conn) received(s *stream, reply Message) error {
	if len(s.part) < prefix || len(s.part) != prefix+int(binary.BigEndian.Uint32(s.part[1:])) {
		return status.Errorf(codes.Internal, "the peer's answer of %d bytes is no message", len(s.part))
	}
	err := reply.Unmarshal(s.part[prefix:])
	if cap(s.part) <= mostReused {
		*s = stream{unary: true, signal: s.signal, part: s.part[:0]}
		c.calls.Put(s)
	}
	if err != nil {
		return status.Errorf(codes.Internal, "reading a reply: %v", err)
	}
	return nil
}

// Stream is a call with many messages both ways. One goroutine may send and another receive.
type Stream struct{ stream *stream }

// Send sends a message.
func (l *Stream) Send(m Message) error {
	b := make([]byte, prefix+m.Size())
	if _, err := m.MarshalToSizedBuffer(b[prefix:]); err != nil {
		return status.Errorf(codes.Internal, "writing a message: %v", err)
	}
	c := l.stream.conn
	c.lock()
	defer c.unlock()
	return statusOf(c.data(context.Background(), l.stream, framed(b), false))
}

// Receive waits for a message. io.EOF says that the peer has ended the stream well.
func (l *Stream) Receive(m Message) error {
	for {
		b, credit, err := l.stream.next()
		l.stream.conn.give(l.stream.id, credit)
		if err != nil {
			return err
		}
		if b != nil {
			if err := m.Unmarshal(b); err != nil {
				return status.Errorf(codes.Internal, "reading a message: %v", err)
			}
			return nil
		}
		<-l.stream.signal
	}
}

// next takes a message that is there, nil where there is none yet.
func (s *stream) next() ([]byte, int, error) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if len(s.messages) > 0 {
		b := s.messages[0]
		s.messages[0] = nil
		s.messages = s.messages[1:]
		return b, s.credit(), nil
	}
	switch {
	case !s.ended:
		return nil, 0, nil
	case s.err == nil:
		return nil, 0, io.EOF
	}
	return nil, 0, statusOf(s.err)
}

// errRetired ends connections that their peer wants to see ended.
var errRetired = errors.New("the peer takes no more calls on this connection")

// unsent is an error before the peer has looked at a request: it may be sent again.
type unsent struct{ error }

func (u unsent) Unwrap() error { return u.error }

func unavailable(err error) error { return status.Error(codes.Unavailable, err.Error()) }

// statusOf gives contexts' errors gRPC's form, which all others have.
func statusOf(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.Error(codes.Unknown, fmt.Sprint(err))
}
