package h2

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// FuzzConnection says anything at all behind the preface, and reads the answers or not. Nothing panics, what is sent is
// HTTP/2, what is kept is bounded, and nothing is left when the connection has ended.
func FuzzConnection(f *testing.F) {
	for _, seed := range connectionSeeds(f) {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, said []byte, reads bool) {
		inBubble(t, fuzzed, func(b *bubble) {
			w := b.connect()
			if reads {
				go w.read()
			}
			go func() { _, _ = w.conn.Write(append([]byte(http2.ClientPreface), said...)) }() // until the server reads no more
			synctest.Wait()
			if len(b.conns) > 0 {
				c := b.conn()
				b.conns <- c
				c.isBounded(t)
			}
			time.Sleep(time.Hour) // of the bubble: what has a deadline has passed it
			synctest.Wait()
			if w.err != nil && !errors.Is(w.err, io.EOF) {
				t.Errorf("what the server sends: %v", w.err)
			}
		}, func(s *http.Server) {
			s.IdleTimeout, s.MaxHeaderBytes = time.Minute, 300
			s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 4, MaxReceiveBufferPerStream: 500, MaxReceiveBufferPerConnection: 70_000}
		})
	})
}

// isBounded looks at what a connection keeps.
func (c *conn) isBounded(t *testing.T) {
	if n := c.waiting(); n > mostKept {
		t.Errorf("%d bytes wait to be sent", n)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if most := c.server.streams; len(c.streams) > most || c.running > most || len(c.queue) > mostQueued*most {
		t.Errorf("%d streams, %d handlers, %d that wait", len(c.streams), c.running, len(c.queue))
	}
	unread := int64(0)
	for id, s := range c.streams {
		if int64(len(s.body)) > c.server.buffer || s.inWindow < 0 {
			t.Errorf("stream %d has %d bytes, and may be sent %d", id, len(s.body), s.inWindow)
		}
		unread += int64(len(s.body) - s.read)
	}
	if c.inWindow < 0 || c.inWindow+c.returned+unread != c.server.total {
		t.Errorf("%d may be sent, %d later, %d are unread; want %d in all", c.inWindow, c.returned, unread, c.server.total)
	}
}

// fuzzed does what the path says.
func fuzzed(_ *bubble, w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	for _, step := range strings.Split(r.URL.Path, "/") {
		switch step {
		case "read":
			_, _ = io.Copy(io.Discard, r.Body)
		case "part":
			_, _ = r.Body.Read(make([]byte, 10))
		case "close":
			_ = r.Body.Close()
		case "echo":
			_, _ = io.Copy(w, r.Body)
		case "large":
			w.Header().Set("X-Large", string(text(40_000)))
			_, _ = w.Write(text(100_000))
		case "flush":
			_ = c.Flush()
		case "early":
			w.WriteHeader(http.StatusEarlyHints)
		case "behind":
			w.Header().Set(http.TrailerPrefix+"X-Behind", "1")
		case "late":
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		case "wait":
			<-r.Context().Done()
		case "abort":
			panic(http.ErrAbortHandler)
		case "leave":
			w.Header().Set("Connection", "close")
		}
	}
	for range r.Trailer {
		_, _ = w.Write([]byte("trailer"))
	}
}

// connectionSeeds are what clients say behind their preface.
func connectionSeeds(f *testing.F) [][]byte {
	var all [][]byte
	say := func(what ...func(w *wire)) {
		w := &wire{TB: f, holding: true}
		w.Framer = http2.NewFramer(w, nil)
		w.AllowIllegalWrites = true
		w.encoder = hpack.NewEncoder(&w.block)
		w.sent(w.WriteSettings())
		for _, one := range what {
			one(w)
		}
		all = append(all, w.held)
	}
	get := func(id uint32, path string, fields ...string) func(*wire) {
		return func(w *wire) { w.begin(id, true, append(fields, ":path", path)...) }
	}
	post := func(id uint32, path string, fields ...string) func(*wire) {
		return func(w *wire) { w.begin(id, false, append(fields, ":path", path, ":method", "POST")...) }
	}
	data := func(id uint32, end bool, n, padding int) func(*wire) {
		return func(w *wire) { w.sent(w.WriteDataPadded(id, end, text(n), make([]byte, padding))) }
	}
	reset := func(id uint32) func(*wire) {
		return func(w *wire) { w.sent(w.WriteRSTStream(id, http2.ErrCodeCancel)) }
	}
	more := func(id, n uint32) func(*wire) { return func(w *wire) { w.sent(w.WriteWindowUpdate(id, n)) } }
	set := func(id http2.SettingID, v uint32) func(*wire) {
		return func(w *wire) { w.sent(w.WriteSettings(http2.Setting{ID: id, Val: v})) }
	}
	ping := func(w *wire) { w.sent(w.WritePing(false, [8]byte{1})) }
	away := func(w *wire) { w.sent(w.WriteGoAway(0, http2.ErrCodeNo, nil)) }
	first := func(w *wire) { w.sent(w.WritePriority(1, http2.PriorityParam{StreamDep: 3, Weight: 7})) }
	inPieces := func(w *wire) {
		block := w.encode(":path", "/flush", "x-one", "1")
		w.sent(w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, BlockFragment: block[:3], PadLength: 5}))
		w.sent(w.WriteContinuation(1, false, block[3:9]))
		w.sent(w.WriteContinuation(1, true, block[9:]))
	}
	behind := func(w *wire) {
		w.block.Reset()
		_ = w.encoder.WriteField(hpack.HeaderField{Name: "x-one", Value: "1"})
		w.sent(w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, EndHeaders: true, BlockFragment: w.block.Bytes()}))
	}
	unknown := func(w *wire) { w.sent(w.WriteRawFrame(0xfa, 0xff, 1, text(10))) }
	say()
	say(get(1, "/"), ping, get(3, "/large"), more(3, 100_000), more(0, 100_000))
	say(post(1, "/echo"), data(1, false, 100, 0), data(1, false, 10, 20), data(1, true, 0, 3))
	say(post(1, "/read/behind", "trailer", "x-one", "content-length", "10"), data(1, false, 10, 0), behind)
	say(post(1, "/part/wait"), data(1, false, 400, 0), data(1, false, 200, 0), get(3, "/"))
	say(post(1, "/close/flush/wait", "expect", "100-continue"), data(1, false, 50, 10), reset(1), data(1, true, 5, 5))
	say(set(http2.SettingInitialWindowSize, 10), get(1, "/early/large"), set(http2.SettingInitialWindowSize, 0), more(1, 20), reset(1))
	say(set(http2.SettingHeaderTableSize, 0), get(1, "/"), set(http2.SettingHeaderTableSize, 4096), get(3, "/"), first)
	say(get(1, "/wait"), get(3, "/wait"), get(5, "/wait"), get(7, "/wait"), get(9, "/"), reset(1), get(11, "/"), away)
	say(get(1, "/leave"), get(3, "/"), unknown, ping)
	say(post(1, "/late/read/wait"), get(3, "/late/large/abort"), get(5, "/abort"))
	say(inPieces, set(http2.SettingMaxFrameSize, 1<<20), get(3, "/large"))
	say(get(1, "/", "x-large", strings.Repeat("x", 400), "x-larger", strings.Repeat("y", 400)), get(3, "a"), get(5, "/", ":method", "CONNECT"))
	return all
}
