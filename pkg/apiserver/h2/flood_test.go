package h2

import (
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// mostKept is what may wait for a client that does not read: what is looked at before more is put there, and one answer's header.
const mostKept = mostWaiting + 2*firstFrame

// TestFloodOfStreamsGivenUp neither runs more handlers than there may be streams, nor keeps more requests than some.
func TestFloodOfStreamsGivenUp(t *testing.T) {
	const streams = 100
	var at, most atomic.Int32
	handler := func(b *bubble, w http.ResponseWriter, r *http.Request) {
		if n := at.Add(1); n > most.Load() {
			most.Store(n) // under no race that matters: all come before any goes
		}
		<-b.gate
		at.Add(-1)
	}
	flood := func(w *wire, n int) uint32 {
		w.holding = true
		for i := range uint32(n) {
			w.begin(2*i+1, true)
			w.sent(w.WriteRSTStream(2*i+1, http2.ErrCodeCancel))
		}
		w.holding = false
		_, _ = w.conn.Write(w.held)
		synctest.Wait()
		return uint32(2*n + 1)
	}
	t.Run("as many as may wait", func(t *testing.T) {
		inBubble(t, handler, func(b *bubble) {
			w := b.greeted()
			next := flood(w, streams+mostQueued*streams)
			c := b.conn()
			if c.running != streams || len(c.queue) != mostQueued*streams || most.Load() > streams {
				t.Errorf("%d handlers, %d at once, and %d requests that wait", c.running, most.Load(), len(c.queue))
			}
			close(b.gate)
			synctest.Wait()
			if status, _ := w.get(next, "/"); status != "200" || len(b.conns) != streams {
				t.Errorf("another: %s, %d were served", status, len(b.conns))
			}
		})
	})
	t.Run("more", func(t *testing.T) {
		inBubble(t, handler, func(b *bubble) {
			w := b.greeted()
			flood(w, 10*streams)
			w.goneAway(http2.ErrCodeEnhanceYourCalm)
			if n := len(b.conns); n > streams {
				t.Errorf("%d handlers", n)
			}
			close(b.gate)
		})
	})
}

// TestFloodsOfAClientThatDoesNotRead are read no further than what waits for it is bounded.
func TestFloodsOfAClientThatDoesNotRead(t *testing.T) {
	const frames = 20_000
	for name, one := range map[string]func(w *wire, i uint32) error{
		"PING":     func(w *wire, _ uint32) error { return w.WritePing(false, [8]byte{}) },
		"SETTINGS": func(w *wire, _ uint32) error { return w.WriteSettings() },
		"table sizes": func(w *wire, i uint32) error {
			return w.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: i % 2})
		},
		"empty DATA":    func(w *wire, _ uint32) error { return w.WriteData(3, false, nil) },
		"padding":       func(w *wire, _ uint32) error { return w.WriteDataPadded(3, false, nil, make([]byte, 255)) },
		"DATA to none":  func(w *wire, _ uint32) error { return w.WriteData(1, false, nil) },
		"WINDOW_UPDATE": func(w *wire, i uint32) error { return w.WriteWindowUpdate(i%2*3, 1) },
		"PRIORITY":      func(w *wire, _ uint32) error { return w.WritePriority(3, http2.PriorityParam{StreamDep: 1}) },
		"RST_STREAM":    func(w *wire, _ uint32) error { return w.WriteRSTStream(1, http2.ErrCodeCancel) },
		"bad requests": func(w *wire, i uint32) error {
			return w.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 5, EndStream: true, EndHeaders: true, BlockFragment: w.encode(":path", "")})
		},
		"requests": func(w *wire, i uint32) error {
			return w.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 5, EndStream: true, EndHeaders: true, BlockFragment: w.encode(":path", "/large")})
		},
		"requests given up": func(w *wire, i uint32) error {
			err := w.WriteHeaders(http2.HeadersFrameParam{StreamID: i/2*2 + 5, EndStream: true, EndHeaders: true, BlockFragment: w.encode(":path", "/large")})
			if i%2 == 1 {
				err = w.WriteRSTStream(i/2*2+5, http2.ErrCodeCancel)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bubble, w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/wait":
					<-r.Context().Done()
				case "/large":
					w.Header().Set("X-Large", string(text(1000)))
					_, _ = w.Write(text(50_000))
				}
			}, func(b *bubble) {
				w := b.connect()
				w.preface()
				w.begin(1, true)
				w.begin(3, false, ":path", "/wait")
				synctest.Wait()
				c := b.conn()
				go func() {
					for i := uint32(0); i < frames && one(w, i) == nil; i++ {
					}
				}()
				synctest.Wait()
				if n := c.waiting(); n > mostKept {
					t.Errorf("%d bytes wait to be sent", n)
				}
				c.mu.Lock()
				if c.running > c.server.streams || len(c.streams) > c.server.streams {
					t.Errorf("%d handlers, %d streams", c.running, len(c.streams))
				}
				c.mu.Unlock()
				if status, _ := b.greeted().get(1, "/"); status != "200" {
					t.Errorf("another connection: %s", status)
				}
			})
		})
	}
}

// TestClientStopsReading in the middle of an answer, whose handler a deadline frees, the client's giving up, or the
// end of the connection.
func TestClientStopsReading(t *testing.T) {
	const late = time.Minute
	handler := func(b *bubble, w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		ends := b.ends
		if r.URL.Path == "/deadline" {
			_ = http.NewResponseController(w).SetWriteDeadline(began.Add(late))
		}
		for r.URL.Path != "/" {
			if _, err := w.Write(text(10_000)); err != nil {
				ends <- time.Since(began)
				return
			}
		}
	}
	unread := func(b *bubble, path string) (*wire, *conn) {
		w := b.connect()
		w.preface(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
		w.sent(w.WriteWindowUpdate(0, 1<<30))
		w.begin(1, true, ":path", path)
		synctest.Wait()
		c := b.conn()
		if n := c.waiting(); n > mostKept || n < mostWaiting {
			b.Errorf("%d bytes wait to be sent", n)
		}
		return w, c
	}
	t.Run("deadline", func(t *testing.T) {
		inBubble(t, handler, func(b *bubble) {
			w, c := unread(b, "/deadline")
			if waited := <-b.ends; waited != late {
				t.Errorf("freed after %v", waited)
			}
			go w.read() // from here on, what was held up goes on
			w.begin(3, true)
			if status, _ := w.answer(3); status != "200" {
				t.Errorf("another: %s", status)
			}
			if f := w.awaitFrame(http2.FrameRSTStream, 1); f.code != http2.ErrCodeInternal || c.waiting() > 0 {
				t.Errorf("reset with %v", f.code)
			}
		})
	})
	t.Run("many deadlines", func(t *testing.T) {
		inBubble(t, handler, func(b *bubble) {
			w, c := unread(b, "/deadline")
			for id := uint32(3); id < 1001; id += 2 {
				w.begin(id, true, ":path", "/deadline")
				if id%100 == 99 {
					time.Sleep(late) // of the bubble
				}
			}
			time.Sleep(late)
			synctest.Wait()
			if n := c.waiting(); n > mostKept || len(c.streams) > 0 || c.running > 0 {
				t.Errorf("%d bytes wait, %d streams, %d handlers", n, len(c.streams), c.running)
			}
			for len(b.ends) > 0 {
				<-b.ends
			}
		})
	})
	t.Run("given up", func(t *testing.T) {
		inBubble(t, handler, func(b *bubble) {
			w, c := unread(b, "/endless")
			w.sent(w.WriteRSTStream(1, http2.ErrCodeCancel))
			synctest.Wait()
			if len(b.ends) != 1 || c.running > 0 {
				t.Fatalf("%d handlers go on", c.running)
			}
			<-b.ends
		})
	})
	t.Run("closed", func(t *testing.T) {
		inBubble(t, handler, func(b *bubble) {
			w, _ := unread(b, "/endless")
			w.close()
			<-b.ends
		})
	})
	t.Run("window", func(t *testing.T) {
		inBubble(t, handler, func(b *bubble) {
			w := b.greeted(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000})
			w.begin(1, true, ":path", "/deadline")
			synctest.Wait()
			if status, _ := w.get(3, "/"); status != "200" { // at once
				t.Errorf("another: %s", status)
			}
			if waited := <-b.ends; waited != late {
				t.Errorf("freed after %v", waited)
			}
		})
	})
}
