package h2

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestHeadersInPieces sends headers larger than a frame both ways, in frames as small as they may be.
func TestHeadersInPieces(t *testing.T) {
	const size = 100_000
	inBubble(t, func(_ *bubble, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Large", r.Header.Get("X-Large"))
		w.Header().Set("Trailer", "X-Behind")
		_, _ = w.Write(text(10))
		w.Header().Set("X-Behind", r.Header.Get("X-Large"))
	}, func(b *bubble) {
		w := b.connect()
		w.SetMaxReadFrameSize(firstFrame)
		w.greet(http2.Setting{ID: http2.SettingMaxFrameSize, Val: firstFrame})
		large := string(text(size))
		block := w.encode("x-large", large)
		w.sent(w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, BlockFragment: block[:10]}))
		w.sent(w.WriteContinuation(1, false, nil))
		for block = block[10:]; len(block) > firstFrame; block = block[firstFrame:] {
			w.sent(w.WriteContinuation(1, false, block[:firstFrame]))
		}
		w.sent(w.WriteContinuation(1, true, block))
		if status, body := w.answer(1); status != "200" || !bytes.Equal(body, text(10)) {
			t.Fatalf("%s %s", status, body)
		}
		for i, name := range []string{"x-large", "x-behind"} {
			var header []frame
			for _, f := range w.got {
				if f.Type == http2.FrameHeaders {
					header = append(header, f)
				}
			}
			if header[i].field(name) != large {
				t.Errorf("%s came as %d bytes", name, len(header[i].field(name)))
			}
		}
	})
}

// TestLargeFramesAreBounded lets the server send frames of any size.
func TestLargeFramesAreBounded(t *testing.T) {
	inBubble(t, func(_ *bubble, w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text(1 << 20)) }, func(b *bubble) {
		w := b.connect()
		w.SetMaxReadFrameSize(mostWaiting)
		w.greet(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1<<24 - 1}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
		w.sent(w.WriteWindowUpdate(0, 1<<30))
		if status, body := w.get(1, "/"); status != "200" || !bytes.Equal(body, text(1<<20)) {
			t.Errorf("%s, %d bytes", status, len(body))
		}
	})
}

// TestHeaderTableSize takes the table of headers away from the server and gives it back.
func TestHeaderTableSize(t *testing.T) {
	inBubble(t, func(_ *bubble, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Same", "always the same value")
	}, func(b *bubble) {
		w := b.greeted()
		id := uint32(1)
		same := func() int {
			t.Helper()
			if status, _ := w.get(id, "/"); status != "200" {
				t.Fatalf("%s", status)
			}
			f := find(w.got, http2.FrameHeaders, id)
			if f.field("x-same") != "always the same value" {
				t.Fatalf("%v", f.fields)
			}
			id += 2
			return int(f.Length)
		}
		size := func(n uint32) {
			w.sent(w.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: n}))
			synctest.Wait()
		}
		first, second := same(), same()
		size(0)
		w.decoder.SetMaxDynamicTableSize(0)
		if third, fourth := same(), same(); second >= first || third <= second || fourth <= second {
			t.Errorf("%d, %d and, without a table, %d, %d bytes", first, second, third, fourth)
		}
		size(0)
		w.decoder.SetAllowedMaxDynamicTableSize(firstTable)
		size(firstTable)
		if fifth, sixth := same(), same(); sixth >= fifth {
			t.Errorf("with a table again %d, %d bytes", fifth, sixth)
		}
		size(1 << 31)
		if n := same(); n >= first {
			t.Errorf("with a table of all sizes %d bytes", n)
		}
	})
}

// TestControlFrames has those answered that are to be, and no others.
func TestControlFrames(t *testing.T) {
	inBubble(t, func(*bubble, http.ResponseWriter, *http.Request) {}, func(b *bubble) {
		w := b.greeted()
		before := len(w.got)
		w.sent(w.WriteSettingsAck())
		w.sent(w.WritePing(true, [8]byte{1}))
		w.sent(w.WriteRawFrame(0xfa, 0xff, 0, text(100)))
		w.sent(w.WriteRawFrame(0xfa, 0xff, 7, text(100)))
		w.sent(w.WritePriority(9, http2.PriorityParam{StreamDep: 3}))
		w.sent(w.WriteSettings(http2.Setting{ID: 0xfa, Val: 1}))
		w.sent(w.WritePing(false, [8]byte{1, 2, 3}))
		synctest.Wait()
		got := w.got[before:]
		if len(got) != 2 || got[0].Type != http2.FrameSettings || got[0].Flags != 1 ||
			got[1].Type != http2.FramePing || got[1].Flags != 1 || !bytes.Equal(got[1].data, []byte{1, 2, 3, 0, 0, 0, 0, 0}) {
			t.Errorf("answered with %v", headersOf(got))
		}
	})
}

// TestStreamsOfOneConnection has as many requests as may be, and one more.
func TestStreamsOfOneConnection(t *testing.T) {
	inBubble(t, func(b *bubble, w http.ResponseWriter, r *http.Request) { <-b.gate }, func(b *bubble) {
		w := b.greeted()
		for i := range 100 {
			w.begin(uint32(2*i+1), true)
		}
		synctest.Wait()
		if c := b.conn(); c.running != 100 || len(b.conns) != 99 {
			t.Errorf("%d handlers", c.running)
		}
		if status, _ := w.get(201, "/"); status != "REFUSED_STREAM" {
			t.Errorf("the one too many: %s", status)
		}
		close(b.gate)
		for i := range 100 {
			if status, _ := w.answer(uint32(2*i + 1)); status != "200" {
				t.Errorf("stream %d: %s", 2*i+1, status)
			}
		}
		if status, _ := w.get(203, "/"); status != "200" {
			t.Errorf("another: %s", status)
		}
	})
}

// TestClientGoesAway lets the requests end that there are when the client says GOAWAY.
func TestClientGoesAway(t *testing.T) {
	inBubble(t, func(b *bubble, w http.ResponseWriter, r *http.Request) { <-b.gate }, func(b *bubble) {
		w := b.greeted()
		w.begin(1, true)
		w.sent(w.WriteGoAway(0, http2.ErrCodeNo, nil))
		w.begin(3, true)
		synctest.Wait()
		close(b.gate)
		if status, _ := w.answer(1); status != "200" || len(b.conns) != 1 {
			t.Errorf("%s, of %d requests", status, len(b.conns))
		}
		w.goneAway(http2.ErrCodeNo)
	})
}

// TestConnectionsThatNeverBegin end.
func TestConnectionsThatNeverBegin(t *testing.T) {
	for name, say := range map[string]func(*wire){
		"nothing":                func(*wire) {},
		"half a preface":         func(w *wire) { w.raw([]byte(http2.ClientPreface[:10])) },
		"no settings":            func(w *wire) { w.raw([]byte(http2.ClientPreface)) },
		"half of the settings":   func(w *wire) { w.raw([]byte(http2.ClientPreface + "\x00\x00\x06\x04")) },
		"another preface":        func(w *wire) { w.raw([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")) },
		"a ping before settings": func(w *wire) { w.raw([]byte(http2.ClientPreface)); w.sent(w.WritePing(false, [8]byte{})) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(*bubble, http.ResponseWriter, *http.Request) {}, func(b *bubble) {
				w, began := b.connect(), time.Now()
				go w.read()
				say(w)
				err := w.ended()
				if waited := time.Since(began); err != io.EOF || waited > prefaceWithin+2*lingerFor {
					t.Errorf("ended after %v with %v", waited, err)
				}
			})
		})
	}
}

// TestHeadersWithoutEnd are neither kept without bound nor waited for longer than a connection may be idle.
func TestHeadersWithoutEnd(t *testing.T) {
	configured := func(s *http.Server) { s.MaxHeaderBytes, s.IdleTimeout = 10_000, time.Minute }
	handler := func(*bubble, http.ResponseWriter, *http.Request) {}
	t.Run("silent", func(t *testing.T) {
		inBubble(t, handler, func(b *bubble) {
			w, began := b.greeted(), time.Now()
			w.sent(w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, BlockFragment: w.encode()}))
			err := w.ended()
			if waited := time.Since(began); err != io.EOF || waited > time.Minute+2*lingerFor {
				t.Errorf("ended after %v with %v", waited, err)
			}
		}, configured)
	})
	t.Run("large", func(t *testing.T) {
		inBubble(t, handler, func(b *bubble) {
			w := b.greeted()
			if err := w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, BlockFragment: w.encode()}); err != nil {
				t.Fatal(err)
			}
			w.block.Reset()
			_ = w.encoder.WriteField(hpack.HeaderField{Name: "x-large", Value: strings.Repeat("x", 5000)})
			sent := 0
			for ; sent < 1000 && find(w.got, http2.FrameGoAway, 0) == nil; sent++ {
				if err := w.WriteContinuation(1, false, w.block.Bytes()); err != nil {
					break
				}
				synctest.Wait()
			}
			w.goneAway(http2.ErrCodeProtocol)
			if sent > 20 {
				t.Errorf("%d pieces were read", sent)
			}
		}, configured)
	})
	t.Run("too large, with an end", func(t *testing.T) {
		inBubble(t, handler, func(b *bubble) {
			w := b.greeted()
			w.begin(1, true, "x-large", strings.Repeat("x", 6_000), "x-more", strings.Repeat("x", 6_000))
			if status, body := w.answer(1); status != "431" {
				t.Errorf("%s %s", status, body)
			}
			if status, _ := w.get(3, "/"); status != "200" {
				t.Errorf("another: %s", status)
			}
		}, configured)
	})
}

// TestIdleConnections end, those that have a request do not.
func TestIdleConnections(t *testing.T) {
	const timeout = time.Minute
	inBubble(t, func(b *bubble, w http.ResponseWriter, r *http.Request) {
		time.Sleep(10 * timeout) // of the bubble
		b.ends <- 0
	}, func(b *bubble) {
		began, w := time.Now(), b.greeted()
		w.goneAway(http2.ErrCodeNo)
		if idle := time.Since(began); idle < timeout || idle > timeout+2*lingerFor {
			t.Errorf("ended after %v", idle)
		}
		w = b.greeted()
		if status, _ := w.get(1, "/"); status != "200" {
			t.Error(status)
		}
		<-b.ends
		began = time.Now()
		w.goneAway(http2.ErrCodeNo)
		if idle := time.Since(began); idle < timeout || idle > timeout+2*lingerFor {
			t.Errorf("ended %v after a request", idle)
		}
	}, func(s *http.Server) { s.IdleTimeout = timeout })
}

// TestGivenUpBodies are no whole bodies: a handler that has read a part and reads on is told.
func TestGivenUpBodies(t *testing.T) {
	for name, giveUp := range map[string]func(*wire){
		"reset":  func(w *wire) { w.sent(w.WriteRSTStream(1, http2.ErrCodeCancel)) },
		"closed": func(w *wire) { w.close() },
	} {
		t.Run(name, func(t *testing.T) {
			read := make(chan string, 1)
			inBubble(t, func(b *bubble, w http.ResponseWriter, r *http.Request) {
				n, _ := io.ReadFull(r.Body, make([]byte, 10))
				<-r.Context().Done()
				rest, err := io.ReadAll(r.Body)
				read <- fmt.Sprint(n+len(rest), err != nil)
			}, func(b *bubble) {
				w := b.greeted()
				w.begin(1, false)
				w.sent(w.WriteData(1, true, text(1000)))
				synctest.Wait()
				giveUp(w)
			})
			if got := <-read; got != "10 true" && got != "1000 false" {
				t.Errorf("read %s", got)
			}
		})
	}
}

// TestTrailersComeWithTheEnd of the body, not while the handler looks at the request.
func TestTrailersComeWithTheEnd(t *testing.T) {
	inBubble(t, func(b *bubble, w http.ResponseWriter, r *http.Request) {
		<-b.gate
		before := fmt.Sprint(r.Trailer)
		_, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, before, r.Trailer, err)
	}, func(b *bubble) {
		w := b.greeted()
		w.begin(1, false, "trailer", "x-one, x-none", "trailer", "content-length")
		w.sent(w.WriteData(1, false, text(10)))
		w.block.Reset()
		for _, f := range []hpack.HeaderField{{Name: "x-one", Value: "1"}, {Name: "x-one", Value: "2"}, {Name: "x-other", Value: "3"}} {
			_ = w.encoder.WriteField(f)
		}
		w.sent(w.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, EndHeaders: true, BlockFragment: w.block.Bytes()}))
		synctest.Wait()
		close(b.gate)
		const want = "map[X-None:[] X-One:[]]map[X-None:[] X-One:[1 2]] <nil>"
		if status, body := w.answer(1); status != "200" || string(body) != want {
			t.Errorf("%s %s", status, body)
		}
	})
}

// TestMoreThanDeclared is not sent, and the handler is told.
func TestMoreThanDeclared(t *testing.T) {
	wrote := make(chan error, 2)
	inBubble(t, func(b *bubble, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		for _, piece := range []string{"12345", "6"} {
			_, err := w.Write([]byte(piece))
			wrote <- err
		}
	}, func(b *bubble) {
		if status, body := b.greeted().get(1, "/"); status != "200" || string(body) != "12345" {
			t.Errorf("%s %s", status, body)
		}
	})
	if first, second := <-wrote, <-wrote; first != nil || second != http.ErrContentLength {
		t.Errorf("wrote with %v, then %v", first, second)
	}
}

// TestFieldsOfHTTP1 are not sent.
func TestFieldsOfHTTP1(t *testing.T) {
	names := []string{"Connection", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "Keep-Alive"}
	inBubble(t, func(b *bubble, w http.ResponseWriter, r *http.Request) {
		for _, name := range names {
			w.Header().Set(name, "trailers")
		}
	}, func(b *bubble) {
		w := b.greeted()
		if status, _ := w.get(1, "/"); status != "200" {
			t.Fatal(status)
		}
		for _, name := range names {
			if v := find(w.got, http2.FrameHeaders, 1).field(strings.ToLower(name)); v != "" {
				t.Errorf("%s: %s", name, v)
			}
		}
	})
}

// TestRequestsThatAreNone are refused, each for itself.
func TestRequestsThatAreNone(t *testing.T) {
	inBubble(t, func(b *bubble, w http.ResponseWriter, r *http.Request) {}, func(b *bubble) {
		w := b.greeted()
		id := uint32(1)
		for _, fields := range [][]string{
			{":method", ""}, {":method", "A B"}, {":method", "GET "}, {":path", ""}, {":path", "a"}, {":path", "/%zz"}, {":scheme", ""}, {":scheme", "ftp"},
			{":method", "CONNECT"}, {"connection", "close"}, {"te", "gzip"}, {"te", "trailers, gzip"}, {"transfer-encoding", "chunked"}, {"upgrade", "x"}, {"keep-alive", "x"},
			{"proxy-connection", "x"}, {"content-length", "5"}, {"content-length", "x"}, {"content-length", "-0"}, {"content-length", "0", "content-length", "1"},
			{"X-Upper", "x"}, {"x y", "x"}, {"x-bad", "a\nb"}, {":protocol", "websocket", ":method", "CONNECT"}, {":unknown", "x"},
		} {
			w.begin(id, true, fields...)
			if status, _ := w.answer(id); status != "PROTOCOL_ERROR" {
				t.Errorf("%q: %s", fields, status)
			}
			id += 2
		}
		if status, _ := w.get(id, "/"); status != "200" {
			t.Errorf("a good one: %s", status)
		}
	})
}
