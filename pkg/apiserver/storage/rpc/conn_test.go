package rpc

import (
	"bytes"
	"io"
	"net"
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
		if p, ok := frame.(*http2.PingFrame); ok && pings {
			_ = f.WritePing(true, p.Data)
		}
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
