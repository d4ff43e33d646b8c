package rpc

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// reader takes frames apart and gives them to their streams.
type reader struct {
	conn    *conn
	headers *hpack.Decoder
	of      *stream // whose headers are being read; nil where nobody waits for them
	answer  answer
	last    bool  // the headers end the stream
	owed    int64 // what was read and not given back to the peer, of the connection's window
}

// answer is what headers and trailers say.
type answer struct {
	http, status, message string
}

func (r *reader) run() {
	c := r.conn
	r.headers = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		switch f.Name {
		case ":status":
			r.answer.http = f.Value
		case "grpc-status":
			r.answer.status = f.Value
		case "grpc-message":
			r.answer.message = f.Value
		}
	})
	for {
		f, err := c.framer.ReadFrame()
		if err == nil {
			c.frames.Add(1)
			err = r.take(f)
		}
		var one http2.StreamError
		if errors.As(err, &one) {
			if s := r.stream(one.StreamID); s != nil {
				c.finish(s, unavailable(err))
			}
			c.control(func(f *http2.Framer) error { return f.WriteRSTStream(one.StreamID, one.Code) })
			continue
		}
		if err != nil {
			_ = c.fail(err)
			return
		}
	}
}

func (r *reader) take(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.DataFrame:
		return r.data(f)
	case *http2.HeadersFrame:
		r.of, r.answer, r.last = r.stream(f.StreamID), answer{}, f.StreamEnded()
		return r.block(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.ContinuationFrame:
		return r.block(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.SettingsFrame:
		return r.settings(f)
	case *http2.WindowUpdateFrame:
		r.window(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			r.conn.pong(f.Data)
		}
	case *http2.RSTStreamFrame:
		if s := r.stream(f.StreamID); s != nil {
			err := unavailable(fmt.Errorf("the stream was reset: %s", f.ErrCode))
			if f.ErrCode == http2.ErrCodeRefusedStream {
				err = unsent{err}
			}
			r.conn.finish(s, err)
		}
	case *http2.GoAwayFrame:
		r.goAway(f)
	}
	return nil
}

func (r *reader) stream(id uint32) *stream {
	r.conn.mu.Lock()
	defer r.conn.mu.Unlock()
	return r.conn.streams[id]
}

// data adds to the message of a stream.
func (r *reader) data(f *http2.DataFrame) error {
	c := r.conn
	if r.owed += int64(f.Length); r.owed >= connWindow/2 {
		n := uint32(r.owed)
		r.owed = 0
		c.control(func(out *http2.Framer) error { return out.WriteWindowUpdate(0, n) })
	}
	c.mu.Lock()
	s := c.streams[f.StreamID]
	if s == nil {
		c.mu.Unlock()
		return nil
	}
	err := s.take(f.Data(), int(f.Length))
	credit := s.credit()
	if err == nil && f.StreamEnded() {
		err = status.Error(codes.Internal, "the peer's answer has no status")
	}
	if err != nil {
		c.finishLocked(s, err)
	}
	c.mu.Unlock()
	c.give(f.StreamID, credit)
	return nil
}

// block reads a part of headers. It does so for streams too that nobody waits for: headers refer to earlier ones.
func (r *reader) block(fragment []byte, whole bool) error {
	if _, err := r.headers.Write(fragment); err != nil {
		return http2.ConnectionError(http2.ErrCodeCompression)
	}
	if !whole {
		return nil
	}
	if err := r.headers.Close(); err != nil {
		return http2.ConnectionError(http2.ErrCodeCompression)
	}
	if r.of == nil {
		return nil
	}
	if r.last || r.answer.http != "" && r.answer.http != "200" {
		r.conn.finish(r.of, r.answer.err())
	}
	r.of = nil
	return nil
}

// err is nil for a call that succeeded.
func (a answer) err() error {
	if a.status == "" {
		if a.http != "" && a.http != "200" {
			return unavailable(fmt.Errorf("the peer answered HTTP status %s", a.http))
		}
		return status.Error(codes.Internal, "the peer's answer has no status")
	}
	code, err := strconv.ParseUint(a.status, 10, 32)
	if err != nil {
		return status.Errorf(codes.Internal, "the peer's answer has the status %q", a.status)
	}
	message, err := url.PathUnescape(a.message)
	if err != nil {
		message = a.message
	}
	return status.Error(codes.Code(code), message) // nil for 0
}

func (r *reader) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	c := r.conn
	c.lock()
	defer c.unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		switch s.ID {
		case http2.SettingInitialWindowSize:
			more := int64(s.Val) - c.firstWindow
			c.firstWindow = int64(s.Val)
			for _, s := range c.streams {
				s.window += more
			}
		case http2.SettingMaxFrameSize:
			c.mostFrame = int(s.Val)
		case http2.SettingMaxConcurrentStreams:
			c.mostStreams = int(s.Val)
		case http2.SettingHeaderTableSize:
			c.hpack.SetMaxDynamicTableSizeLimit(s.Val)
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.roomier()
	select {
	case <-c.ready:
	default:
		close(c.ready)
	}
	return c.framer.WriteSettingsAck()
}

func (r *reader) window(f *http2.WindowUpdateFrame) {
	c := r.conn
	c.lock()
	defer c.unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.StreamID == 0 {
		c.window += int64(f.Increment)
	} else if s := c.streams[f.StreamID]; s != nil {
		s.window += int64(f.Increment)
	}
	c.roomier()
}

// goAway ends the streams that the peer will not look at; those before them go on.
func (r *reader) goAway(f *http2.GoAwayFrame) {
	c := r.conn
	c.mu.Lock()
	for id, s := range c.streams {
		if id > f.LastStreamID {
			c.finishLocked(s, unsent{unavailable(errRetired)})
		}
	}
	c.mu.Unlock()
	c.retire()
}
