package h2

import (
	"bufio"
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	readBuffer   = 8 << 10
	mostSettings = 100 // in one frame; there are about ten kinds
)

// reader takes in what the client sends.
type reader struct {
	*conn
	framer *http2.Framer
}

// run reads until the connection ends, and answers why: an http2.ConnectionError is a fault of the client's.
func (r *reader) run() error {
	r.framer = http2.NewFramer(nil, bufio.NewReaderSize(r.tls, readBuffer))
	r.framer.SetReuseFrames()
	r.framer.SetMaxReadFrameSize(firstFrame)
	r.framer.ReadMetaHeaders = hpack.NewDecoder(firstTable, nil)
	r.framer.MaxHeaderListSize = r.server.mostHeader()
	for first := true; ; first = false {
		f, err := r.framer.ReadFrame()
		if first && err == nil {
			if _, ok := f.(*http2.SettingsFrame); !ok {
				return http2.ConnectionError(http2.ErrCodeProtocol)
			}
			r.unhurried()
		}
		if err == nil {
			err = r.process(f)
		}
		if err == nil {
			continue
		}
		var fault http2.StreamError
		switch {
		case errors.As(err, &fault):
			r.refuse(fault)
		case errors.Is(err, http2.ErrFrameTooLarge):
			return http2.ConnectionError(http2.ErrCodeFrameSize)
		default:
			return err
		}
	}
}

// unhurried lets the client take its time from now on.
func (r *reader) unhurried() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.retired && r.err == nil {
		_ = r.tls.SetReadDeadline(time.Time{})
	}
}

// refuse ends a stream for the client's fault in it.
func (r *reader) refuse(fault http2.StreamError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.streams[fault.StreamID]; s != nil {
		s.leave(errGone)
	} else if fault.StreamID > r.last && !r.retired {
		r.last = fault.StreamID
	}
	r.reset(fault.StreamID, fault.Code)
}

func (r *reader) process(f http2.Frame) error {
	if f, ok := f.(*http2.MetaHeadersFrame); ok {
		return r.headers(f)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	switch f := f.(type) {
	case *http2.DataFrame:
		return r.data(f)
	case *http2.WindowUpdateFrame:
		return r.widened(f)
	case *http2.SettingsFrame:
		return r.settings(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			r.control(http2.FramePing, http2.FlagPingAck, 0, f.Data[:]...)
		}
	case *http2.RSTStreamFrame:
		if r.unheardOf(f.StreamID) {
			return http2.ConnectionError(http2.ErrCodeProtocol)
		}
		if s := r.streams[f.StreamID]; s != nil {
			s.leave(errGone)
		}
	case *http2.PriorityFrame:
		if f.StreamDep == f.StreamID {
			return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeProtocol}
		}
	case *http2.GoAwayFrame:
		r.retireLocked()
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return nil // what is unknown is to be ignored
}

// unheardOf says that a stream was not begun, and so cannot have frames but those that begin it.
func (r *reader) unheardOf(id uint32) bool { return id > r.last && !r.retired }

// headers begins a stream, or ends what is sent on one.
func (r *reader) headers(f *http2.MetaHeadersFrame) error {
	id := f.StreamID
	if id%2 == 0 {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if id <= r.last { // which nobody else changes
		return r.trailers(f)
	}
	s, err := r.newStream(f)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	if r.retired {
		return nil // the client was told that it is not heard of
	}
	r.last = id
	if err != nil {
		return err
	}
	if len(r.streams) >= r.server.streams {
		return s.fault(http2.ErrCodeRefusedStream)
	}
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(r.base)
	s.request = s.request.WithContext(ctx)
	s.window = r.initialWindow
	r.streams[id] = s
	if r.idle != nil && len(r.streams) == 1 {
		r.idle.Stop()
	}
	return r.start(s)
}

// trailers ends what is sent on a stream.
func (r *reader) trailers(f *http2.MetaHeadersFrame) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.streams[f.StreamID]
	switch {
	case s == nil && slices.Contains(r.late[:], f.StreamID):
		return nil
	case s == nil:
		return http2.ConnectionError(http2.ErrCodeStreamClosed)
	case s.ended:
		return s.fault(http2.ErrCodeStreamClosed)
	case !f.StreamEnded() || len(f.PseudoFields()) > 0:
		return s.fault(http2.ErrCodeProtocol)
	}
	return s.complete(f.RegularFields())
}

// start runs the handler of a new stream. There are no more of them than streams: clients that give streams up do not
// get more served at once than others.
func (r *reader) start(s *stream) error {
	if r.running < r.server.streams {
		r.running++
		go s.handle()
		return nil
	}
	if len(r.queue) >= mostQueued*r.server.streams {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	r.queue = append(r.queue, s)
	return nil
}

// data takes in a piece of a request's body.
func (r *reader) data(f *http2.DataFrame) error {
	if r.unheardOf(f.StreamID) {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	size := int64(f.Length) // with padding
	if size > r.inWindow {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	r.inWindow -= size
	s := r.streams[f.StreamID]
	if s == nil || s.ended {
		r.giveBack(size)
		if s == nil && (r.retired && f.StreamID > r.last || slices.Contains(r.late[:], f.StreamID)) {
			return nil
		}
		return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeStreamClosed}
	}
	data := f.Data()
	r.giveBack(size - int64(len(data)))
	if err := s.take(data, size); err != nil {
		r.giveBack(int64(len(data)))
		return err
	}
	if f.StreamEnded() {
		return s.complete(nil)
	}
	return nil
}

// widened lets more be sent.
func (r *reader) widened(f *http2.WindowUpdateFrame) error {
	if f.StreamID == 0 {
		if r.window += int64(f.Increment); r.window > mostWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		for _, s := range r.streams {
			if s.stalled {
				s.changed.Broadcast()
			}
		}
		return nil
	}
	if r.unheardOf(f.StreamID) {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if s := r.streams[f.StreamID]; s != nil {
		if s.window += int64(f.Increment); s.window > mostWindow {
			return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeFlowControl}
		}
		s.changed.Broadcast()
	}
	return nil
}

func (r *reader) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if f.NumSettings() > mostSettings {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	before := r.initialWindow
	if err := f.ForeachSetting(r.setting); err != nil {
		return err
	}
	if more := r.initialWindow - before; more != 0 { // once, however often it was set
		for _, s := range r.streams {
			if s.window += more; s.window > mostWindow {
				return http2.ConnectionError(http2.ErrCodeFlowControl)
			}
			s.changed.Broadcast()
		}
	}
	r.control(http2.FrameSettings, http2.FlagSettingsAck, 0)
	return nil
}

func (r *reader) setting(s http2.Setting) error {
	if err := s.Valid(); err != nil {
		return err
	}
	switch s.ID {
	case http2.SettingHeaderTableSize:
		r.encoder.SetMaxDynamicTableSize(min(s.Val, firstTable))
	case http2.SettingInitialWindowSize:
		r.initialWindow = int64(s.Val)
	}
	return nil
}
