package h2

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/net/http2"
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
	finished bool      // all was sent; only who answers sets it, and may read it without mu
	gone     error     // why nothing can be sent or is sent any more
	deadline [2]*time.Timer
	patience *time.Timer // until a client that goes on sending behind its answer is told to stop

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
		// As net/http's server says it.
		_, _ = w.Write([]byte("<h1>HTTP Error 431</h1><p>Request Header Field(s) Too Large</p>"))
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
	if s.gone == nil {
		s.release(why)
	}
	s.forget()
}

// release frees what the stream held and who waits for it.
func (s *stream) release(why error) {
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
}

// forget takes the stream from its connection.
func (s *stream) forget() {
	if s.patience != nil {
		s.patience.Stop()
	}
	delete(s.conn.streams, s.id)
	s.conn.rest()
}

// close ends a stream whose answer was sent. A client that has not sent all has a moment to do so before it is told that
// nobody listens: there are those (curl 7.88) that lose an answer that is followed by that at once.
func (s *stream) close() {
	if s.gone != nil {
		return
	}
	if s.ended {
		s.leave(errFinished)
		return
	}
	s.release(errFinished)
	s.patience = time.AfterFunc(finishWithin, func() {
		s.conn.mu.Lock()
		defer s.conn.mu.Unlock()
		if s.conn.streams[s.id] == s {
			s.forget()
			s.conn.reset(s.id, http2.ErrCodeNo)
		}
	})
}

var errFinished = errors.New("the request was answered")

// setDeadline makes reading or writing end at a time; the zero time is never. An answer that is late has no end.
func (s *stream) setDeadline(which int, t time.Time) error {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.setDeadlineLocked(which, t)
	return nil
}

// setDeadlineLocked is setDeadline for a caller that holds mu.
func (s *stream) setDeadlineLocked(which int, t time.Time) {
	if s.deadline[which] != nil {
		s.deadline[which].Stop()
		s.deadline[which] = nil
	}
	if s.gone != nil || t.IsZero() {
		return
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
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		s.conn.mu.Lock()
		defer s.conn.mu.Unlock()
		if s.deadline[which] == timer { // else another was set while this one's time came
			late()
		}
	})
	s.deadline[which] = timer
}
