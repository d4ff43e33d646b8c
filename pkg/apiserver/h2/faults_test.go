package h2

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// deaf is a client that lets much be sent to it, and reads nothing of it.
func (f *fixture) deaf(t *testing.T) *wire {
	w := f.dial(t)
	t.Cleanup(w.close)
	w.preface(http2.Setting{ID: http2.SettingInitialWindowSize, Val: mostWindow})
	w.sent(w.WriteWindowUpdate(0, mostWindow-firstWindow))
	return w
}

// flood is an answer without end. It gives the error that ends it.
func flood(w http.ResponseWriter) error {
	for piece := make([]byte, 1<<20); ; {
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
}

func TestDeafClientsHoldUpNobody(t *testing.T) {
	deadline := func(w http.ResponseWriter, _ *wire) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	}
	for _, tt := range []struct {
		name  string
		frees func(http.ResponseWriter, *wire)
		want  error
	}{
		{"write deadline", deadline, os.ErrDeadlineExceeded},
		{"reset", func(_ http.ResponseWriter, w *wire) { w.sent(w.WriteRSTStream(1, http2.ErrCodeCancel)) }, errGone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var client *wire
			begun, ended := make(chan struct{}), make(chan error, 1)
			f := serveOurs(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				<-begun
				tt.frees(w, client)
				ended <- flood(w)
			}))
			client = f.deaf(t)
			client.begin(1, true)
			close(begun)
			if err := within(t, "the answer is given up", ended); !errors.Is(err, tt.want) {
				t.Errorf("%v; want %v", err, tt.want)
			}
		})
	}
}

// TestDeafClientsHoldUpNoShutdown has others told that the server shuts down.
func TestDeafClientsHoldUpNoShutdown(t *testing.T) {
	begun := make(chan struct{}, 1)
	f := serveOurs(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/flood" {
			begun <- struct{}{}
			_ = flood(w)
		}
	}))
	for range 8 { // one of them at least is told before the other
		f.deaf(t).begin(1, true, ":path", "/flood")
		within(t, "a request", begun)
	}
	other := f.dial(t)
	t.Cleanup(other.close)
	other.greet()
	other.get(1, "/")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = f.server.Shutdown(ctx)
	other.goneAway(http2.ErrCodeNo)
}

// TestNothingIsSentOutOfTurn has handlers do things too late for them to be sent.
func TestNothingIsSentOutOfTurn(t *testing.T) {
	for _, tt := range []struct {
		name   string
		handle http.HandlerFunc
	}{
		{"100 Continue behind the header", func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			_, _ = io.ReadAll(r.Body)
		}},
		{"trailers behind the end", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			w.Header().Set("Content-Length", "2")
			_, _ = io.WriteString(w, "ok")
			w.Header().Set(http.TrailerPrefix+"X", "late")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := serveOurs(t, tt.handle)
			w := f.dial(t)
			t.Cleanup(w.close)
			w.greet()
			w.begin(1, false, ":method", "POST", "expect", "100-continue")
			w.awaitFrame(http2.FrameHeaders, 1)
			w.sent(w.WriteData(1, true, nil))
			w.answer(1)
			w.get(3, "/") // whatever is sent on stream 1 has come before that
			var answers, ended int
			for _, frame := range w.await("frames", func([]frame) bool { return true }) {
				if frame.StreamID != 1 || frame.Type > http2.FrameHeaders {
					continue
				}
				if frame.Type == http2.FrameHeaders && frame.status() != "100" {
					answers++
				}
				if ended > 0 || answers > 0 && frame.status() == "100" {
					t.Errorf("%v comes too late", frame)
				}
				if frame.Flags.Has(http2.FlagDataEndStream) {
					ended++
				}
			}
		})
	}
}

// TestHandlersThatEndedWriteNothing has one write when another request is answered.
func TestHandlersThatEndedWriteNothing(t *testing.T) {
	former := make(chan http.ResponseWriter, 1)
	f := serveOurs(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			former <- w
			return
		}
		if n, err := (<-former).Write([]byte("late")); err == nil || n > 0 {
			t.Errorf("wrote %d bytes after the end: %v", n, err)
		}
	}))
	w := f.dial(t)
	t.Cleanup(w.close)
	w.greet()
	w.get(1, "/first")
	if status, body := w.get(3, "/second"); status != "200" || len(body) > 0 {
		t.Errorf("%s: %q", status, body)
	}
}

// TestWindowOfTheConnectionComesBack has a client send more than a stream may, which must cost it the stream alone.
func TestWindowOfTheConnectionComesBack(t *testing.T) {
	const window, total = 1 << 16, 1 << 18
	f := serveOurs(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), func(s *http.Server) {
		s.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: window, MaxReceiveBufferPerConnection: total}
	})
	w := f.dial(t)
	t.Cleanup(w.close)
	w.greet()
	for id := uint32(1); id < 2*10*total/window; id += 2 {
		w.begin(id, false, ":method", "POST")
		for range window/firstFrame + 1 {
			w.sent(w.WriteData(id, false, make([]byte, firstFrame)))
		}
		if code := w.awaitFrame(http2.FrameRSTStream, id).code; code != http2.ErrCodeFlowControl {
			t.Fatalf("%v for stream %d", code, id)
		}
	}
}

// TestMalformedRequests are told by stream errors, and what comes after them is answered.
func TestMalformedRequests(t *testing.T) {
	f := serveOurs(t, http.NotFoundHandler())
	w := f.dial(t)
	t.Cleanup(w.close)
	w.greet()
	for i, fields := range [][]string{
		{":authority", "user@localhost"},
	} {
		id := uint32(4*i + 1)
		w.begin(id, true, fields...)
		if status, _ := w.answer(id); status != http2.ErrCodeProtocol.String() {
			t.Errorf("%v: %s", fields, status)
		}
		if status, _ := w.get(id+2, "/"); status != "404" {
			t.Errorf("behind %v: %s", fields, status)
		}
	}
}

// leaky is a context that its children wait for in goroutines, which shows whether they were cancelled.
type leaky struct {
	context.Context
	done chan struct{}
}

func (l leaky) Done() <-chan struct{} { return l.done }

// TestRefusedRequestsLeaveNothing counts goroutines.
func TestRefusedRequestsLeaveNothing(t *testing.T) {
	const refused = 1000
	f := serveOurs(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), func(s *http.Server) {
		s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 1}
		s.BaseContext = func(net.Listener) context.Context { return leaky{context.Background(), make(chan struct{})} }
	})
	w := f.dial(t)
	t.Cleanup(w.close)
	w.greet()
	for i := range uint32(refused) {
		w.begin(2*i+1, true)
	}
	w.awaitFrame(http2.FrameRSTStream, 2*refused-1)
	if n := runtime.NumGoroutine(); n > refused/2 {
		t.Errorf("%d goroutines", n)
	}
}

// TestShutdownTellsThoseThatCome has a client come while the server shuts down.
func TestShutdownTellsThoseThatCome(t *testing.T) {
	accepted, retired := make(chan struct{}, 1), make(chan struct{})
	f := serveOurs(t, http.NotFoundHandler(), func(s *http.Server) {
		s.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				accepted <- struct{}{}
			}
		}
		s.RegisterOnShutdown(func() { close(retired) })
	})
	w := f.dial(t)
	t.Cleanup(w.close)
	within(t, "the connection", accepted)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = f.server.Shutdown(ctx)
	within(t, "the shutdown", retired)
	w.greet()
	w.goneAway(http2.ErrCodeNo)
}

// TestStrangersLeaveNoTimer has a client come that speaks another protocol.
func TestStrangersLeaveNoTimer(t *testing.T) {
	near, far := net.Pipe()
	go func() {
		w := newWire(t, far)
		w.raw([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
		_, _ = io.Copy(io.Discard, w.conn)
	}()
	cert, _ := certificate()
	h := &server{http: &http.Server{IdleTimeout: time.Hour}, conns: map[*conn]struct{}{}}
	server := tls.Server(near, &tls.Config{Certificates: []tls.Certificate{cert}})
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	c := newConn(h, server, nil)
	c.serve()
	if c.idle.Stop() {
		t.Error("the timer runs on")
	}
}

// TestBodiesThatWereReadTakeNoRoom has more come at once than a handler finds time to read.
func TestBodiesThatWereReadTakeNoRoom(t *testing.T) {
	const size = 1 << 18
	near, _ := net.Pipe()
	c := newConn(&server{http: &http.Server{}, buffer: size, total: 4 * size}, tls.Server(near, &tls.Config{}), nil)
	s := &stream{conn: c, request: &http.Request{}, expected: -1, inWindow: size, ended: true}
	s.changed.L = &c.mu
	for range size / firstFrame {
		if err := s.take(make([]byte, firstFrame), firstFrame); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := io.Copy(io.Discard, body{s}); n != size || err != nil {
		t.Fatalf("read %d bytes: %v", n, err)
	}
	if cap(s.body) > firstFrame {
		t.Errorf("%d bytes are kept", cap(s.body))
	}
}

// TestClosingABodyEndsReadingIt closes one that another goroutine waits for, as transports do.
func TestClosingABodyEndsReadingIt(t *testing.T) {
	waiting, ended := make(chan struct{}), make(chan error, 1)
	f := serveOurs(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		go func() {
			_, err := r.Body.Read(make([]byte, 1))
			ended <- err
		}()
		<-waiting
		_ = r.Body.Close()
		<-r.Context().Done()
	}))
	w := f.dial(t)
	t.Cleanup(w.close)
	w.greet()
	w.begin(1, false, ":method", "POST", "expect", "100-continue")
	w.awaitFrame(http2.FrameHeaders, 1) // 100 Continue: who reads waits from then on
	close(waiting)
	if err := within(t, "reading ends", ended); !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Error(err)
	}
}

// TestFieldsThatAreRepeatedTakeLittle has as many fields come as a header may have, each of which costs the client a byte.
func TestFieldsThatAreRepeatedTakeLittle(t *testing.T) {
	const fields, requests, most = 30_000, 20, 1 << 20 // bytes
	f := &http2.MetaHeadersFrame{
		HeadersFrame: &http2.HeadersFrame{FrameHeader: http2.FrameHeader{StreamID: 1, Flags: http2.FlagHeadersEndStream}},
		Fields:       []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"}, {Name: ":path", Value: "/"}},
	}
	for range fields {
		f.Fields = append(f.Fields, hpack.HeaderField{Name: "a", Value: "b"})
	}
	r := &reader{conn: &conn{server: &server{}}}
	kept := make([]*stream, requests)
	used := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := used()
	for i := range kept {
		var err error
		if kept[i], err = r.newStream(f); err != nil {
			t.Fatal(err)
		}
	}
	if each := (used() - before) / requests; each > most {
		t.Errorf("a request takes %d bytes", each)
	}
	runtime.KeepAlive(kept)
}

// TestAnsweredRequestsMakeWayForOthers has a client do the one request that it may at once, and then another.
func TestAnsweredRequestsMakeWayForOthers(t *testing.T) {
	for name, end := range map[string]func(*wire){
		"sent before":        func(w *wire) { w.sent(w.WriteData(1, true, nil)); w.awaitFrame(http2.FrameData, 1) },
		"sent when answered": func(w *wire) { w.awaitFrame(http2.FrameData, 1); w.sent(w.WriteData(1, true, nil)) },
	} {
		t.Run(name, func(t *testing.T) {
			gate := make(chan struct{})
			f := serveOurs(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "2")
				_, _ = io.WriteString(w, "ok")
				if r.Method == http.MethodPost {
					<-gate // it is not done with the request, but its client is
				}
			}), func(s *http.Server) { s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 1} })
			w := f.dial(t)
			t.Cleanup(w.close)
			w.greet()
			w.begin(1, false, ":method", "POST")
			end(w)
			w.begin(3, true)
			w.sent(w.WritePing(false, [8]byte{}))
			w.await("an echo", func(got []frame) bool {
				return slices.ContainsFunc(got, func(f frame) bool { return f.Type == http2.FramePing })
			})
			close(gate)
			if status, _ := w.answer(3); status != "200" {
				t.Error(status)
			}
		})
	}
}

// TestWhatComesLateIsNoFault: a client that was answered early has a moment to send the rest, and goes on sending until it
// hears that nobody listens.
func TestWhatComesLateIsNoFault(t *testing.T) {
	rest := func(w *wire) {
		w.sent(w.WriteData(1, false, []byte("late")))
		trailers := w.encode(":method", none, ":scheme", none, ":authority", none, ":path", none, "checksum", "late")
		w.sent(w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: trailers, EndHeaders: true, EndStream: true}))
	}
	wait := func(*wire) { time.Sleep(finishWithin) } // of the bubble
	for name, c := range map[string]struct {
		steps []func(*wire)
		told  int
	}{
		"in time":        {[]func(*wire){rest, wait}, 0},
		"later":          {[]func(*wire){wait, rest}, 1},
		"given up":       {[]func(*wire){func(w *wire) { w.sent(w.WriteRSTStream(1, http2.ErrCodeCancel)) }, wait}, 0},
		"never":          {[]func(*wire){wait}, 1},
		"begun and left": {[]func(*wire){func(w *wire) { w.sent(w.WriteData(1, false, []byte("late"))) }, wait}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(*bubble, http.ResponseWriter, *http.Request) {}, func(b *bubble) {
				w := b.greeted()
				w.begin(1, false)
				w.awaitFrame(http2.FrameHeaders, 1)
				synctest.Wait()
				told := func() (n int) {
					for _, f := range w.await("what came", func([]frame) bool { return true }) {
						if f.Type == http2.FrameRSTStream && f.StreamID == 1 {
							n++
						}
					}
					return n
				}
				if told() > 0 {
					t.Error("reset as soon as it was answered")
				}
				for _, step := range c.steps {
					step(w)
					synctest.Wait()
				}
				if status, _ := w.get(3, "/"); status != "200" {
					t.Errorf("the next request: %q", status)
				}
				if told() != c.told {
					t.Errorf("reset %d times", told())
				}
			})
		})
	}
}

// TestWeakCiphersAreRefused: HTTP/2 forbids what TLS 1.2 may agree on.
func TestWeakCiphersAreRefused(t *testing.T) {
	f := serveOurs(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for cipher, want := range map[uint16]http2.FrameType{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:          http2.FrameGoAway,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:          http2.FrameGoAway,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       http2.FrameSettings,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: http2.FrameSettings,
	} {
		client, err := tls.Dial("tcp", f.addr, &tls.Config{
			InsecureSkipVerify: true, NextProtos: []string{"h2"}, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{cipher},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Write([]byte(http2.ClientPreface)); err != nil {
			t.Error(err)
		}
		got, err := http2.NewFramer(nil, client).ReadFrame()
		if err != nil || got.Header().Type != want {
			t.Errorf("%s: %v %v, want %v", tls.CipherSuiteName(cipher), got, err, want)
		}
		if g, is := got.(*http2.GoAwayFrame); is && g.ErrCode != http2.ErrCodeInadequateSecurity {
			t.Errorf("%s: %v", tls.CipherSuiteName(cipher), g.ErrCode)
		}
		_ = client.Close()
	}
}

// TestADeadlineThatWasMovedIsNoneAnyMore, even where its time came while it was moved.
func TestADeadlineThatWasMovedIsNoneAnyMore(t *testing.T) {
	for which, name := range map[int]string{reading: "reading", writing: "writing"} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bubble, w http.ResponseWriter, _ *http.Request) {
				s := w.(*response).stream
				s.conn.mu.Lock()
				s.setDeadlineLocked(which, time.Now().Add(time.Second))
				time.Sleep(time.Second) // of the bubble: the deadline's timer waits for mu
				s.setDeadlineLocked(which, time.Now().Add(time.Hour))
				s.conn.mu.Unlock()
				time.Sleep(time.Second)
				s.conn.mu.Lock()
				defer s.conn.mu.Unlock()
				if s.gone != nil || s.stopped != nil {
					b.Errorf("%v, %v", s.gone, s.stopped)
				}
			}, func(b *bubble) {
				if status, _ := b.greeted().get(1, "/"); status != "200" {
					b.Errorf("answered %s", status)
				}
			})
		})
	}
}
