package apiserver

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// held is a connection on which nothing gets through until it is let go.
type held struct {
	net.Conn
	letGo chan struct{}

	mu     sync.Mutex
	writes int
	sent   bytes.Buffer
	closed bool
	err    error
}

func newHeld() *held { return &held{letGo: make(chan struct{})} }

func (h *held) Write(p []byte) (int, error) {
	<-h.letGo
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.err != nil {
		return 0, errors.Join(net.ErrClosed, h.err)
	}
	h.writes++
	return h.sent.Write(p)
}

func (h *held) SetWriteDeadline(t time.Time) error { return nil }

func (h *held) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	return nil
}

func write(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if n, err := w.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("writing %q: %d, %v", text, n, err)
	}
}

func TestWhatIsWrittenWhileSomethingIsSentGoesOutTogetherAndInOrder(t *testing.T) {
	h := newHeld()
	g := newGathered(h)
	var want strings.Builder
	for i := range 100 {
		text := strings.Repeat(string(rune('a'+i%26)), 40)
		write(t, g, text)
		want.WriteString(text)
	}
	close(h.letGo)
	g.settle()
	if h.sent.String() != want.String() {
		t.Error("something was lost or is in another order")
	}
	if h.writes > 2 {
		t.Errorf("%d writes for what came while the first was under way", h.writes)
	}
}

func TestWhoWritesMoreThanMayWaitWaits(t *testing.T) {
	h := newHeld()
	g := newGathered(h)
	block := strings.Repeat("x", mostGathered)
	write(t, g, block) // may be taken at once
	write(t, g, block)
	third := make(chan struct{})
	go func() {
		defer close(third)
		write(t, g, block)
		write(t, g, block)
	}()
	select {
	case <-third:
		t.Error("more than may wait was taken")
	case <-time.After(20 * time.Millisecond):
	}
	close(h.letGo)
	<-third
	g.settle()
	if h.sent.Len() != 4*mostGathered {
		t.Errorf("%d bytes were sent", h.sent.Len())
	}
}

func TestClosingSendsWhatWasWritten(t *testing.T) {
	h := newHeld()
	g := newGathered(h)
	write(t, g, "last words")
	time.AfterFunc(10*time.Millisecond, func() { close(h.letGo) })
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if h.sent.String() != "last words" || !h.closed {
		t.Errorf("sent %q, closed %v", h.sent.String(), h.closed)
	}
}

func TestAnErrorIsToldToTheNextWriter(t *testing.T) {
	h := newHeld()
	h.err = errors.New("broken")
	g := newGathered(h)
	write(t, g, "lost")
	close(h.letGo)
	g.settle()
	if _, err := g.Write([]byte("x")); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("got %v", err)
	}
}

func TestAPeerThatDoesNotReadKeepsNobodyFromEnding(t *testing.T) {
	client, server := net.Pipe() // takes nothing until it is read
	defer client.Close()
	g := newGathered(server)
	write(t, g, "nobody reads this")
	if err := g.SetWriteDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	g.settle()
	if _, err := g.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// gathering serves over TLS as the server does.
func gathering(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Listener = gatheredListener{s.Listener}
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestAnswersOfManyStreamsComeWhole(t *testing.T) {
	body := make([]byte, 300<<10)
	_, _ = rand.Read(body)
	s := gathering(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for rest := body; len(rest) > 0; {
			n := min(len(rest), 5000)
			_, _ = w.Write(rest[:n])
			_ = http.NewResponseController(w).Flush()
			rest = rest[n:]
		}
	}))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			answer, err := s.Client().Get(s.URL)
			if err != nil {
				t.Error(err)
				return
			}
			defer answer.Body.Close()
			got, err := io.ReadAll(answer.Body)
			if err != nil || !bytes.Equal(got, body) || answer.ProtoMajor != 2 {
				t.Errorf("%d bytes, %v, %s", len(got), err, answer.Proto)
			}
		})
	}
	all.Wait()
}

func TestTheEndOfTLSIsTold(t *testing.T) {
	s := gathering(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	c, err := tls.Dial("tcp", s.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	write(t, c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if answer, err := io.ReadAll(c); err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) {
		t.Errorf("%q, %v: an end without TLS's close alert is an error", answer, err)
	}
	// What is no TLS is told so before the connection ends.
	plain, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	write(t, plain, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if answer, err := io.ReadAll(plain); err != nil || !strings.Contains(string(answer), "HTTP request to an HTTPS server") {
		t.Errorf("%q, %v", answer, err)
	}
}
