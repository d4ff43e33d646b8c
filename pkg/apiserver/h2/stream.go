package h2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// stream is one request with its answer.
type stream struct {
	conn      *conn
	id        uint32
	request   *http.Request
	cancel    context.CancelFunc
	expected  int64 // the length of the request's body; -1: not said
	asked     bool  // the client waits for 100 Continue
	oversized bool  // its header is larger than it may be

	// What follows is guarded by the connection's mu.
	changed  sync.Cond // there is something to read, or room to write, or neither any more
	window   int64     // what may be sent
	stalled  bool      // who writes waits for room
	finished bool      // all was sent
	gone     error     // why nothing can be sent or is sent any more
	deadline [2]*time.Timer

	body     []byte // what was received
	read     int    // of it
	received int64
	inWindow int64       // what the client may send
	returned int64       // of what was read, what it was not told yet that it may send again
	trailer  http.Header // what stood behind the body; the request has it when the handler has read that
	ended    bool        // all was received
	stopped  error       // why nothing is read any more
	unread   bool        // the handler wants no more of the body
}

// The deadlines of a stream.
const (
	reading = iota
	writing
)

func (s *stream) fault(code http2.ErrCode) error {
	return http2.StreamError{StreamID: s.id, Code: code}
}

// handle serves the request, and those that waited for it to be served.
func (s *stream) handle() {
	for ; s != nil; s = s.conn.next() {
		s.serve()
	}
}

// next gives the next request that waits for a handler.
func (c *conn) next() *stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) > 0 {
		s := c.queue[0]
		c.queue[0] = nil
		c.queue = c.queue[1:]
		if s.gone == nil {
			return s
		}
	}
	c.running--
	return nil
}

func (s *stream) serve() {
	w := &response{stream: s, declared: -1}
	aborted := true
	defer func() {
		if aborted {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				s.conn.server.logf("http2: panic serving %s: %v\n%s", s.conn.remote, p, debug.Stack())
			}
			s.conn.abort(s)
		}
		s.cancel()
	}()
	if s.oversized {
		w.WriteHeader(http.StatusRequestHeaderFieldsTooLarge)
		_, _ = w.Write([]byte("<h1>HTTP Error 431</h1><p>Request Header Field(s) Too Large</p>")) // as net/http's server says it
	} else {
		s.conn.handler.ServeHTTP(w, s.request)
	}
	aborted = false
	w.end()
}

// abort ends a stream whose answer has no end.
func (c *conn) abort(s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.gone == nil {
		s.leave(http.ErrAbortHandler)
		c.reset(s.id, http2.ErrCodeInternal)
	}
}

// leave ends the stream on this side: nothing is sent or received any more. The caller holds the connection's mu.
func (s *stream) leave(why error) {
	if s.gone != nil {
		return
	}
	s.gone = why
	if s.stopped == nil && (!s.ended || s.read < len(s.body)) {
		s.stopped = why // who reads on must not take what was read for all there was
	}
	for _, t := range s.deadline {
		if t != nil {
			t.Stop()
		}
	}
	s.conn.giveBack(int64(len(s.body) - s.read))
	s.body, s.read = nil, 0
	s.changed.Broadcast()
	if s.conn.full() {
		s.conn.space.Broadcast() // who writes to the stream may wait for that
	}
	if !s.finished {
		s.cancel()
	}
	delete(s.conn.streams, s.id)
	s.conn.rest()
}

// close ends a stream whose answer was sent: a client that goes on sending is told that nobody listens.
func (s *stream) close() {
	if s.gone != nil {
		return
	}
	ended := s.ended
	s.leave(errFinished)
	if !ended {
		s.conn.reset(s.id, http2.ErrCodeNo)
	}
}

var errFinished = errors.New("the request was answered")

// take takes in a piece of the body, which costs the client so much of what it may send.
func (s *stream) take(data []byte, size int64) error {
	if size > s.inWindow {
		return s.fault(http2.ErrCodeFlowControl)
	}
	s.inWindow -= size
	s.received += int64(len(data))
	s.returned += size - int64(len(data))
	if s.expected >= 0 && s.received > s.expected {
		return s.fault(http2.ErrCodeProtocol)
	}
	if s.stopped != nil || s.unread {
		s.conn.giveBack(int64(len(data)))
		return nil
	}
	if s.read > 0 && len(s.body)+len(data) > cap(s.body) {
		s.body = s.body[:copy(s.body, s.body[s.read:])]
		s.read = 0
	}
	s.body = append(s.body, data...)
	s.changed.Broadcast()
	return nil
}

// complete is called when all was received; what stands behind a body may be nothing.
func (s *stream) complete(behind []hpack.HeaderField) error {
	if s.expected >= 0 && s.received != s.expected {
		return s.fault(http2.ErrCodeProtocol)
	}
	for _, f := range behind {
		name := canonical(f.Name)
		if s.trailer == nil {
			s.trailer = http.Header{}
		}
		s.trailer[name] = append(s.trailer[name], f.Value)
	}
	s.ended = true
	s.changed.Broadcast()
	return nil
}

// setDeadline makes reading or writing end at a time; the zero time is never. An answer that is late has no end.
func (s *stream) setDeadline(which int, t time.Time) error {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.deadline[which] != nil {
		s.deadline[which].Stop()
		s.deadline[which] = nil
	}
	if s.gone != nil || t.IsZero() {
		return nil
	}
	late := func() {
		if s.gone != nil {
			return
		}
		if which == writing {
			s.leave(fmt.Errorf("sending the answer: %w", os.ErrDeadlineExceeded))
			s.conn.reset(s.id, http2.ErrCodeInternal)
			return
		}
		s.stopped = fmt.Errorf("reading the request: %w", os.ErrDeadlineExceeded)
		s.changed.Broadcast()
	}
	d := time.Until(t)
	if d <= 0 {
		late()
		return nil
	}
	s.deadline[which] = time.AfterFunc(d, func() {
		s.conn.mu.Lock()
		defer s.conn.mu.Unlock()
		late()
	})
	return nil
}

// room gives how much of n bytes may be sent now, once some may. The caller holds the connection's mu.
func (s *stream) room(n int) (int, error) {
	c := s.conn
	for s.gone == nil {
		if c.full() {
			c.space.Wait()
			continue
		}
		if n == 0 {
			return 0, nil
		}
		if most := min(int64(n), firstFrame, s.window, c.window); most > 0 {
			return int(most), nil
		}
		s.stalled = true
		s.changed.Wait()
		s.stalled = false
	}
	return 0, s.gone
}

// send sends frames of data, the last of which may end the answer. The caller holds the connection's mu.
func (s *stream) send(data []byte, last bool) error {
	for len(data) > 0 || last {
		n, err := s.room(len(data))
		if err != nil {
			return err
		}
		s.window -= int64(n)
		s.conn.window -= int64(n)
		var flags http2.Flags
		if last && n == len(data) {
			flags = http2.FlagDataEndStream
			s.finished, last = true, false
		}
		b := s.conn.append()
		*b = append(appendFrameHeader(*b, n, http2.FrameData, flags, s.id), data[:n]...)
		data = data[n:]
		s.conn.send()
	}
	return nil
}

// sendFields sends a block of fields: before, at the beginning or at the end of an answer. The caller holds the
// connection's mu.
func (s *stream) sendFields(fields []hpack.HeaderField, last bool) error {
	if _, err := s.room(0); err != nil {
		return err
	}
	c := s.conn
	c.block.Reset()
	for _, f := range fields {
		_ = c.encoder.WriteField(f) // to a buffer
	}
	t, flags := http2.FrameHeaders, http2.Flags(0)
	if last {
		flags = http2.FlagHeadersEndStream
		s.finished = true
	}
	b := c.append()
	for {
		piece := c.block.Next(firstFrame)
		if c.block.Len() == 0 {
			flags |= http2.FlagHeadersEndHeaders
		}
		*b = append(appendFrameHeader(*b, len(piece), t, flags, s.id), piece...)
		if c.block.Len() == 0 {
			c.send()
			return nil
		}
		t, flags = http2.FrameContinuation, 0
	}
}

// body is what the handler reads.
type body struct{ *stream }

// Read implements io.Reader.
func (b body) Read(p []byte) (int, error) {
	s, c := b.stream, b.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.asked && s.gone == nil && len(s.body) == 0 {
		s.asked = false
		_ = s.sendFields([]hpack.HeaderField{{Name: ":status", Value: "100"}}, false)
	}
	for {
		if s.unread {
			return 0, http.ErrBodyReadAfterClose
		}
		if s.read < len(s.body) {
			break
		}
		if s.stopped != nil {
			return 0, s.stopped
		}
		if s.ended {
			// Only here, for the request is the handler's, which may look at its trailers at any time.
			for name := range s.request.Trailer {
				s.request.Trailer[name] = s.trailer[name]
			}
			return 0, io.EOF
		}
		s.changed.Wait()
	}
	n := copy(p, s.body[s.read:])
	if s.read += n; s.read == len(s.body) {
		s.body, s.read = s.body[:0], 0
	}
	c.giveBack(int64(n))
	if s.returned += int64(n); s.returned >= c.server.buffer/2 && !s.ended && s.gone == nil {
		c.windowUpdate(s.id, s.returned)
		s.inWindow += s.returned
		s.returned = 0
	}
	return n, nil
}

// Close implements io.Closer: what is not read yet is not wanted.
func (b body) Close() error {
	b.conn.mu.Lock()
	defer b.conn.mu.Unlock()
	if !b.unread {
		b.unread = true
		b.conn.giveBack(int64(len(b.body) - b.read))
		b.stream.body, b.read = nil, 0
	}
	return nil
}

// canonical is the form of a field's name that net/http uses.
func canonical(name string) string {
	if known, ok := known[name]; ok {
		return known
	}
	return textproto.CanonicalMIMEHeaderKey(name)
}
