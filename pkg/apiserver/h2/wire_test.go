package h2

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// wire is a client's side of a connection, whose frames are written by hand.
type wire struct {
	testing.TB
	*http2.Framer
	conn    net.Conn
	block   bytes.Buffer
	encoder *hpack.Encoder
	decoder *hpack.Decoder
	holding bool // frames are kept back until they are let go
	held    []byte

	patience time.Duration
	mu       sync.Mutex
	got      []frame
	err      error         // why nothing more comes
	changed  chan struct{} // closed when more has come
}

// frame is what has come.
type frame struct {
	http2.FrameHeader
	data   []byte
	code   http2.ErrCode
	n      uint32 // an increment, or the last stream
	fields [][2]string
}

func (f *frame) status() string { return f.field(":status") }

func (f *frame) field(name string) string {
	for _, field := range f.fields {
		if field[0] == name {
			return field[1]
		}
	}
	return ""
}

// dial connects over TCP.
func (f *fixture) dial(t testing.TB) *wire {
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	return newWire(t, conn)
}

func newWire(t testing.TB, conn net.Conn) *wire {
	client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	w := &wire{TB: t, conn: client, changed: make(chan struct{}), decoder: hpack.NewDecoder(firstTable, nil), patience: patience}
	w.Framer = http2.NewFramer(w, client)
	w.AllowIllegalWrites = true
	w.MaxHeaderListSize = 16 << 20
	w.ReadMetaHeaders = w.decoder
	w.encoder = hpack.NewEncoder(&w.block)
	return w
}

// greet sends the preface, and reads from then on.
func (w *wire) greet(settings ...http2.Setting) {
	w.preface(settings...)
	go w.read()
}

func (w *wire) preface(settings ...http2.Setting) {
	w.raw([]byte(http2.ClientPreface))
	w.sent(w.WriteSettings(settings...))
}

// Write implements io.Writer for the framer.
func (w *wire) Write(b []byte) (int, error) {
	if w.holding {
		w.held = append(w.held, b...)
		return len(b), nil
	}
	return w.conn.Write(b)
}

// letGo sends what was held.
func (w *wire) letGo() {
	w.raw(w.held)
	w.held = w.held[:0]
}

func (w *wire) raw(b []byte) {
	_, err := w.conn.Write(b)
	w.sent(err)
}

func (w *wire) sent(err error) {
	w.Helper()
	if err != nil {
		w.Errorf("sending: %v", err)
	}
}

func (w *wire) close() { _ = w.conn.Close() }

func (w *wire) read() {
	for {
		f, err := w.ReadFrame()
		w.mu.Lock()
		if err == nil {
			w.got = append(w.got, copied(f))
		} else {
			w.err = err
		}
		close(w.changed)
		w.changed = make(chan struct{})
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func copied(f http2.Frame) frame {
	c := frame{FrameHeader: f.Header()}
	switch f := f.(type) {
	case *http2.DataFrame:
		c.data = slices.Clone(f.Data())
	case *http2.PingFrame:
		c.data = slices.Clone(f.Data[:])
	case *http2.RSTStreamFrame:
		c.code = f.ErrCode
	case *http2.GoAwayFrame:
		c.code, c.n = f.ErrCode, f.LastStreamID
	case *http2.WindowUpdateFrame:
		c.n = f.Increment
	case *http2.MetaHeadersFrame:
		for _, field := range f.Fields {
			c.fields = append(c.fields, [2]string{field.Name, field.Value})
		}
	}
	return c
}

// await waits until something holds of the frames that have come.
func (w *wire) await(what string, holds func([]frame) bool) []frame {
	w.Helper()
	deadline := time.After(w.patience)
	for {
		w.mu.Lock()
		got, err, changed := w.got, w.err, w.changed
		w.mu.Unlock()
		if holds(got) {
			return got
		}
		if err != nil {
			w.Fatalf("%s: the connection ended with %v after %v", what, err, headersOf(got))
		}
		select {
		case <-changed:
		case <-deadline:
			w.Fatalf("%s: not within %v, but %v", what, w.patience, headersOf(got))
		}
	}
}

func headersOf(frames []frame) (all []string) {
	for _, f := range frames {
		all = append(all, f.String())
	}
	return all
}

// awaitFrame waits for a frame of a type on a stream.
func (w *wire) awaitFrame(t http2.FrameType, id uint32) frame {
	w.Helper()
	return *find(w.await(t.String(), func(got []frame) bool { return find(got, t, id) != nil }), t, id)
}

func find(frames []frame, t http2.FrameType, id uint32) *frame {
	for i, f := range frames {
		if f.Type == t && f.StreamID == id && (t != http2.FrameSettings && t != http2.FramePing || f.Flags&1 == 0) {
			return &frames[i]
		}
	}
	return nil
}

// ended waits for the connection's end, and says why.
func (w *wire) ended() error {
	w.Helper()
	deadline := time.After(w.patience)
	for {
		w.mu.Lock()
		err, changed := w.err, w.changed
		w.mu.Unlock()
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-deadline:
			w.Fatalf("the connection does not end")
		}
	}
}

// goneAway waits for GOAWAY and the end of the connection.
func (w *wire) goneAway(code http2.ErrCode) {
	w.Helper()
	f := w.awaitFrame(http2.FrameGoAway, 0)
	if err := w.ended(); f.code != code || !errors.Is(err, io.EOF) {
		w.Errorf("GOAWAY %v and %v; want %v", f.code, err, code)
	}
}

// none is no value of a pseudo-field.
const none = "-"

// begin sends a request's header.
func (w *wire) begin(id uint32, end bool, fields ...string) {
	w.sent(w.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndStream: end, EndHeaders: true, BlockFragment: w.encode(fields...)}))
}

// encode makes a block of the usual pseudo-fields, but those given, and others: names and values in turns. A
// pseudo-field whose value is none is left out.
func (w *wire) encode(fields ...string) []byte {
	w.block.Reset()
	pseudo := [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", "/"}}
	for pair := range slices.Chunk(fields, 2) {
		i := slices.IndexFunc(pseudo[:4], func(p [2]string) bool { return p[0] == pair[0] })
		if i < 0 {
			pseudo = append(pseudo, [2]string{pair[0], pair[1]})
		} else {
			pseudo[i][1] = pair[1]
		}
	}
	for _, p := range pseudo {
		if p[1] == none {
			continue
		}
		_ = w.encoder.WriteField(hpack.HeaderField{Name: p[0], Value: p[1]})
	}
	return w.block.Bytes()
}

// answer waits for the end of an answer, and gives its status and body.
func (w *wire) answer(id uint32) (string, []byte) {
	w.Helper()
	got := w.await("an answer", func(got []frame) bool {
		return slices.ContainsFunc(got, func(f frame) bool {
			return f.StreamID == id && (f.Type == http2.FrameRSTStream || f.Flags.Has(http2.FlagDataEndStream) && f.Type <= http2.FrameHeaders)
		})
	})
	status := ""
	for _, f := range got {
		switch {
		case f.StreamID != id:
		case f.Type == http2.FrameHeaders:
			status = cmp.Or(status, f.status())
		case f.Type == http2.FrameRSTStream && status == "":
			status = f.code.String()
		}
	}
	return status, w.data(id)
}

// data is what has come on a stream.
func (w *wire) data(id uint32) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	var data []byte
	for _, f := range w.got {
		if f.StreamID == id && f.Type == http2.FrameData {
			data = append(data, f.data...)
		}
	}
	return data
}

// get is one request.
func (w *wire) get(id uint32, path string) (string, []byte) {
	w.Helper()
	w.begin(id, true, ":path", path)
	return w.answer(id)
}
