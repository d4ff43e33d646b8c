package rpc

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// silent is a peer that says its settings, answers pings if it is told to, and nothing else.
func silent(nc net.Conn, pings bool) {
	reading(nc, func(f *http2.Framer, frame http2.Frame) {
		if p, ok := frame.(*http2.PingFrame); ok && pings {
			_ = f.WritePing(true, p.Data)
		}
	})
}

// reading is a peer that says its settings, and gives each frame that follows to a function.
func reading(nc net.Conn, take func(f *http2.Framer, frame http2.Frame)) {
	_, _ = io.ReadFull(nc, make([]byte, len(http2.ClientPreface)))
	f := http2.NewFramer(nc, nc)
	for range 2 { // it is a pipe: nobody reads while the greeting is written
		_, _ = f.ReadFrame()
	}
	_ = f.WriteSettings()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		take(f, frame)
	}
}

func TestAPeerThatGivesNoSignOfLifeIsGivenUp(t *testing.T) {
	for _, alive := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			go silent(there, alive)
			c, err := newConn(here, "http", "peer")
			if err != nil {
				t.Fatal(err)
			}
			<-c.ready
			time.Sleep(10 * time.Minute) // nobody waits: it is left alone
			if err := c.ended(); err != nil {
				t.Fatalf("an idle connection: %v", err)
			}
			called, began := make(chan error), time.Now()
			go func() {
				called <- c.call(t.Context(), get, &etcdserverpb.RangeRequest{}, &etcdserverpb.RangeResponse{})
			}()
			select {
			case err := <-called:
				took := time.Since(began)
				if alive || status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "no answer") || took > 2*askAfter+answerWithin {
					t.Errorf("after %s: %v", took, err)
				}
			case <-time.After(10 * time.Minute):
				if !alive {
					t.Error("it is still waited for")
				}
			}
			_ = c.fail(io.EOF)
			if alive {
				<-called
			}
			_ = there.Close()
		})
	}
}

func TestALargeRequestAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		go reading(there, func(_ *http2.Framer, frame http2.Frame) {
			if d, ok := frame.(*http2.DataFrame); ok && d.StreamEnded() {
				_, _ = there.Write(said(func(f *http2.Framer, headers func(...string) []byte) {
					_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers(":status", "200", "grpc-status", "5"), EndHeaders: true, EndStream: true})
				}))
			}
		})
		c, err := newConn(here, "http", "peer")
		if err != nil {
			t.Fatal(err)
		}
		<-c.ready
		time.Sleep(2 * writeWithin)
		err = c.call(t.Context(), get, &etcdserverpb.RangeRequest{Key: make([]byte, 2*bufferSize-1000)}, &etcdserverpb.RangeResponse{})
		if status.Code(err) != codes.NotFound { // as the peer says
			t.Error(err)
		}
		_ = c.fail(io.EOF)
		_ = there.Close()
	})
}

func TestAPeerThatDoesNotReadIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		read := make(chan struct{})
		go func() {
			_, _ = io.ReadFull(there, make([]byte, len(http2.ClientPreface)))
			f := http2.NewFramer(there, there)
			for range 2 {
				_, _ = f.ReadFrame()
			}
			_ = f.WriteSettings()
			_, _ = f.ReadFrame() // the acknowledgement
			close(read)
		}()
		c, err := newConn(here, "http", "peer")
		if err != nil {
			t.Fatal(err)
		}
		<-read
		began := time.Now()
		err = c.call(t.Context(), get, &etcdserverpb.RangeRequest{}, &etcdserverpb.RangeResponse{})
		if took := time.Since(began); status.Code(err) != codes.Unavailable || took > writeWithin {
			t.Errorf("after %s: %v", took, err)
		}
		_ = there.Close()
	})
}

func TestPingsAreAnsweredInCompany(t *testing.T) {
	for _, company := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			written := make(chan []http2.FrameType, 10) // the frames of each write
			go func() {
				_, _ = io.ReadFull(there, make([]byte, len(http2.ClientPreface)))
				b := make([]byte, bufferSize)
				for {
					n, err := there.Read(b)
					if err != nil {
						return
					}
					var types []http2.FrameType
					f := http2.NewFramer(nil, bytes.NewReader(b[:n]))
					for frame, err := f.ReadFrame(); err == nil; frame, err = f.ReadFrame() {
						types = append(types, frame.Header().Type)
					}
					written <- types
				}
			}()
			c, err := newConn(here, "http", "peer")
			if err != nil {
				t.Fatal(err)
			}
			peer := http2.NewFramer(there, nil)
			_ = peer.WriteSettings()
			for range 2 { // the greeting and the acknowledgement
				<-written
			}
			called, began := make(chan error, 1), time.Now()
			_ = peer.WritePing(false, [8]byte{1})
			synctest.Wait()
			want := []http2.FrameType{http2.FramePing}
			if company {
				want = append(want, http2.FrameHeaders, http2.FrameData)
				go func() {
					called <- c.call(t.Context(), get, &etcdserverpb.RangeRequest{Key: []byte("k")}, &etcdserverpb.RangeResponse{})
				}()
			}
			got, took := <-written, time.Since(began)
			if !slices.Equal(got, want) || took > 0 == company || took > companyWithin {
				t.Errorf("company %v: %v after %s, want %v", company, got, took, want)
			}
			_ = c.fail(io.EOF)
			if company {
				<-called
			}
			_ = there.Close()
		})
	}
}

// TestAPongSendsWhatIsLeftToIt: who writes leaves it to the next writer to send, and an answer to a ping may be that.
func TestAPongSendsWhatIsLeftToIt(t *testing.T) {
	here, there := net.Pipe()
	got := make(chan bool, 2) // pings: is it an answer
	go reading(there, func(_ *http2.Framer, frame http2.Frame) {
		if p, ok := frame.(*http2.PingFrame); ok {
			got <- p.IsAck()
		}
	})
	c, err := newConn(here, "http", "peer")
	if err != nil {
		t.Fatal(err)
	}
	<-c.ready
	c.lock()
	err = c.framer.WritePing(false, [8]byte{1})
	answered := make(chan struct{})
	go func() {
		c.pong([8]byte{2})
		close(answered)
	}()
	for c.waiting.Load() < 2 {
		runtime.Gosched()
	}
	c.unlock()
	<-answered
	for _, want := range []bool{false, true} {
		select {
		case ack := <-got:
			if err != nil || ack != want {
				t.Errorf("got a ping, answer %v, want %v; %v", ack, want, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("what was written is not sent")
		}
	}
	_ = c.fail(io.EOF)
	_ = there.Close()
}

func TestAnAnnouncedMessageTakesNoRoomBeforeItComes(t *testing.T) {
	s := &stream{unary: true, signal: make(chan struct{}, 1)}
	if err := s.take([]byte{0, 0x30, 0, 0, 0x16, 1, 2}, 7); err != nil {
		t.Fatal(err)
	}
	if room := cap(s.part); room > 2*mostAhead {
		t.Errorf("%d bytes of room for 7 that came", room)
	}
}
