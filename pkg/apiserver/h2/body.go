package h2

import (
	"io"
	"net/http"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

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
		if cap(s.body) > firstFrame {
			s.body = nil // who sends half a body and waits is not kept the room for all of it
		}
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
		b.changed.Broadcast()
	}
	return nil
}

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
	switch {
	case s.gone != nil:
		s.forget()
	case s.finished:
		delete(s.conn.streams, s.id)
	}
	s.changed.Broadcast()
	return nil
}
