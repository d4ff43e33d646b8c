package h2

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestSendingKeepsToWindows gives a server leave to send, byte by byte.
func TestSendingKeepsToWindows(t *testing.T) {
	const size = 200_000
	inBubble(t, func(_ *bubble, w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(text(size)) }, func(b *bubble) {
		w := b.greeted(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		initial := func(sizes ...uint32) {
			var settings []http2.Setting
			for _, n := range sizes {
				settings = append(settings, http2.Setting{ID: http2.SettingInitialWindowSize, Val: n})
			}
			w.sent(w.WriteSettings(settings...))
		}
		more := func(id, n uint32) { w.sent(w.WriteWindowUpdate(id, n)) }
		has := func(what string, first, third int) {
			t.Helper()
			synctest.Wait()
			if got := [2]int{len(w.data(1)), len(w.data(3))}; got != [2]int{first, third} {
				t.Fatalf("%s: sent %v; want %d, %d", what, got, first, third)
			}
		}
		w.begin(1, true)
		has("no window", 0, 0)
		w.awaitFrame(http2.FrameHeaders, 1)
		more(1, 1)
		has("a byte", 1, 0)
		initial(100)
		has("a larger initial window", 101, 0)
		initial(1<<31-1, 5, 300, 10) // the last is what holds
		has("a smaller one", 101, 0)
		more(1, 90)
		has("no more than was taken away", 101, 0)
		more(1, 1)
		has("a byte more", 102, 0)
		more(1, size)
		has("all of the connection's window", 65535, 0)
		w.begin(3, true)
		has("no window of the connection", 65535, 0)
		more(0, 5)
		synctest.Wait()
		if n := len(w.data(1)) + len(w.data(3)); n != 65535+5 {
			t.Fatalf("sent %d beyond the connection's window", n-65535-5)
		}
		more(0, size)
		has("enough", size, 10)
		initial(0)
		more(3, size)
		has("all of the connection's window again", size, 65535+5)
		more(0, size)
		has("no window of the stream", size, size-10+10)
		if !bytes.Equal(w.data(1), text(size)) || !bytes.Equal(w.data(3), text(size)) {
			t.Error("not what was written")
		}
	})
}

// TestReceivingKeepsToWindows sends as much as was let, and a byte more.
func TestReceivingKeepsToWindows(t *testing.T) {
	const stream, total = 70_000, 100_000
	handler := func(b *bubble, _ http.ResponseWriter, r *http.Request) {
		<-b.gate
		n, err := io.Copy(io.Discard, r.Body)
		b.Logf("read %d, %v", n, err)
	}
	sized := func(s *http.Server) {
		s.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: stream, MaxReceiveBufferPerConnection: total}
	}
	t.Run("stream", func(t *testing.T) {
		inBubble(t, handler, func(b *bubble) {
			w := b.greeted()
			w.begin(1, false)
			w.fill(1, stream)
			w.begin(3, false)
			synctest.Wait()
			if f := find(w.got, http2.FrameRSTStream, 1); f != nil {
				t.Fatalf("reset within the window: %v", f.code)
			}
			w.fill(1, 1)
			if f := w.awaitFrame(http2.FrameRSTStream, 1); f.code != http2.ErrCodeFlowControl {
				t.Errorf("reset with %v", f.code)
			}
			close(b.gate)
			w.sent(w.WriteData(3, true, nil))
			if status, _ := w.answer(3); status != "200" {
				t.Errorf("the other stream: %s", status)
			}
		}, sized)
	})
	t.Run("connection", func(t *testing.T) {
		inBubble(t, handler, func(b *bubble) {
			w := b.greeted()
			w.begin(1, false)
			w.fill(1, stream)
			w.begin(3, false)
			w.fill(3, total-stream)
			w.begin(5, false)
			synctest.Wait()
			if f := find(w.got, http2.FrameGoAway, 0); f != nil {
				t.Fatalf("GOAWAY within the window: %v", f.code)
			}
			w.fill(5, 1)
			w.goneAway(http2.ErrCodeFlowControl)
			close(b.gate)
		}, sized)
	})
}

// TestSmallestWindow is what clients send before they have heard of another, so that a server cannot ask for less.
func TestSmallestWindow(t *testing.T) {
	inBubble(t, func(_ *bubble, _ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }, func(b *bubble) {
		w := b.greeted()
		w.begin(1, false)
		w.fill(1, firstWindow)
		w.sent(w.WriteData(1, true, nil))
		if status, _ := w.answer(1); status != "200" {
			t.Error(status)
		}
	}, func(s *http.Server) {
		s.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 100_000, MaxReceiveBufferPerConnection: 1000}
	})
}

// fill sends a piece of a body.
func (w *wire) fill(id uint32, n int) {
	for piece := range slices.Chunk(text(n), firstFrame) {
		w.sent(w.WriteData(id, false, piece))
	}
}

// TestReadingGivesWindowsBack sends a body that is larger than both windows, to a handler that reads slowly.
func TestReadingGivesWindowsBack(t *testing.T) {
	const size = 1_000_000
	inBubble(t, func(_ *bubble, w http.ResponseWriter, r *http.Request) {
		data := make([]byte, 0, size)
		for {
			p := make([]byte, 777)
			n, err := r.Body.Read(p)
			if data = append(data, p[:n]...); err != nil {
				fmt.Fprintf(w, "%v, %v", bytes.Equal(data, text(size)), err)
				return
			}
		}
	}, func(b *bubble) {
		w := b.greeted()
		w.begin(1, false)
		synctest.Wait()
		sent, body := 0, text(size)
		for sent < size {
			may := min(w.may(0, 65535, sent), w.may(1, 70_000, sent))
			n := min(may, firstFrame, size-sent)
			if n <= 0 {
				t.Fatalf("stuck at %d", sent)
			}
			w.sent(w.WriteData(1, sent+n == size, body[sent:sent+n]))
			sent += n
			synctest.Wait()
		}
		if status, answer := w.answer(1); status != "200" || string(answer) != "true, EOF" {
			t.Errorf("%s %s", status, answer)
		}
	}, func(s *http.Server) {
		s.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 70_000, MaxReceiveBufferPerConnection: 100_000}
	})
}

// may gives how much the server lets be sent on a stream, or on all.
func (w *wire) may(id uint32, first, sent int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := first - sent
	for _, f := range w.got {
		if f.Type == http2.FrameWindowUpdate && f.StreamID == id {
			n += int(f.n)
		}
	}
	return n
}

// TestNothingIsLostOfTheWindow has 10,000 requests of every sort, after which the client may send as much as at first.
func TestNothingIsLostOfTheWindow(t *testing.T) {
	const requests, batch, buffer, total = 10_000, 50, 5000, 400_000
	inBubble(t, func(_ *bubble, w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/read":
			_, _ = io.Copy(io.Discard, r.Body)
		case "/part":
			_, _ = r.Body.Read(make([]byte, 100))
		case "/close":
			_, _ = r.Body.Read(make([]byte, 100))
			_ = r.Body.Close()
			<-r.Context().Done()
		case "/wait":
			<-r.Context().Done()
		case "/late":
			_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		case "/abort":
			panic(http.ErrAbortHandler)
		}
	}, func(b *bubble) {
		w := b.greeted()
		w.holding = true
		sent := 0
		sorts := bodySorts(w)
		for i := range requests {
			sent += sorts[i%len(sorts)](uint32(2*i + 1))
			if i%batch == batch-1 {
				w.letGo()
				time.Sleep(finishWithin) // of the bubble
				synctest.Wait()
			}
		}
		c := b.conn()
		if n := w.may(0, 65535, sent); c.inWindow+c.returned != total || int64(n) != c.inWindow || c.returned >= total/2 {
			t.Errorf("the client may send %d, the server takes %d, and %d later; want %d in all", n, c.inWindow, c.returned, total)
		}
		if len(c.streams) > 0 || c.running > 0 {
			t.Errorf("%d streams and %d handlers are left", len(c.streams), c.running)
		}
		if f := find(w.got, http2.FrameGoAway, 0); f != nil {
			t.Errorf("GOAWAY %d, %v", f.n, f.code)
		}
	}, func(s *http.Server) {
		s.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: buffer, MaxReceiveBufferPerConnection: total}
	})
}

// bodySorts send requests with bodies of all sorts, and give how much of the window that takes.
func bodySorts(w *wire) []func(id uint32) int {
	data := text(6000)
	padding := make([]byte, 200)
	sort := func(path string, finish func(id uint32) int, fields ...string) func(uint32) int {
		return func(id uint32) int {
			w.begin(id, false, append(fields, ":method", "POST", ":path", path)...)
			w.sent(w.WriteData(id, false, data[:1000]))
			w.sent(w.WriteDataPadded(id, false, data[:1000], padding))
			w.sent(w.WriteDataPadded(id, false, nil, padding))
			return 1000 + 1201 + 201 + finish(id)
		}
	}
	end := func(id uint32) int {
		w.sent(w.WriteDataPadded(id, true, data[:50], padding[:7]))
		return 58
	}
	reset := func(id uint32) int {
		w.sent(w.WriteRSTStream(id, http2.ErrCodeCancel))
		return 0
	}
	both := func(id uint32) int { return end(id) + reset(id) }
	behind := func(id uint32) int {
		reset(id)
		w.sent(w.WriteDataPadded(id, false, data[:50], padding[:7]))
		return 58
	}
	endless := func(id uint32) int { return 0 }
	trailers := func(id uint32) int {
		w.block.Reset()
		_ = w.encoder.WriteField(hpack.HeaderField{Name: "x-one", Value: "1"})
		w.sent(w.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndStream: true, EndHeaders: true, BlockFragment: w.block.Bytes()}))
		return 0
	}
	tooMuch := func(id uint32) int {
		w.sent(w.WriteData(id, false, data))
		return len(data)
	}
	all := []func(uint32) int{
		sort("/read", end), sort("/read", trailers), sort("/read", reset), sort("/read", both), sort("/read", behind), sort("/read", tooMuch),
		sort("/read", end, "content-length", "2050"), sort("/read", end, "content-length", "1999"), sort("/read", end, "content-length", "2051"),
		sort("/none", end), sort("/none", endless), sort("/none", tooMuch), sort("/none", reset),
		sort("/part", end), sort("/part", endless), sort("/part", tooMuch), sort("/part", both),
		sort("/close", reset), sort("/close", both), sort("/close", tooMuch),
		sort("/wait", reset), sort("/wait", both), sort("/wait", behind), sort("/wait", tooMuch),
		sort("/late", reset), sort("/late", both), sort("/late", tooMuch),
		sort("/abort", end), sort("/abort", endless), sort("/abort", reset),
	}
	return append(all, func(id uint32) int {
		w.begin(id, true, ":path", "/read")
		return 0
	}, func(id uint32) int { // on a stream that is refused
		w.begin(id, false, ":path", "/read", "connection", "close")
		return end(id)
	})
}
