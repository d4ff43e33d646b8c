package h2

import (
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

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
			s.finish()
			last = false
		}
		b := s.conn.append()
		*b = append(appendFrameHeader(*b, n, http2.FrameData, flags, s.id), data[:n]...)
		data = data[n:]
		s.conn.send()
	}
	return nil
}

// finish notes that all was sent. A client that has sent all too may begin another stream in the place of this one,
// whatever its handler still does.
func (s *stream) finish() {
	s.finished = true
	if s.ended {
		delete(s.conn.streams, s.id)
	}
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
		s.finish()
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
