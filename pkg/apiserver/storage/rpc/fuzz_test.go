package rpc

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// scripted is a connection whose peer says what it was told to once it has a request, and hangs up.
type scripted struct {
	net.Conn
	script  io.Reader
	writes  int
	request chan struct{}
}

func (s *scripted) Read(b []byte) (int, error) {
	<-s.request
	return s.script.Read(b)
}

func (s *scripted) Write(b []byte) (int, error) {
	if s.writes++; s.writes == 2 { // the first is the greeting
		close(s.request)
	}
	return len(b), nil
}

func (s *scripted) Close() error                     { return nil }
func (s *scripted) SetWriteDeadline(time.Time) error { return nil }

// said is what a peer writes.
func said(write func(f *http2.Framer, headers func(...string) []byte)) []byte {
	var out, block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	write(http2.NewFramer(&out, nil), func(pairs ...string) []byte {
		block.Reset()
		for i := 0; i < len(pairs); i += 2 {
			_ = enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
		}
		return bytes.Clone(block.Bytes())
	})
	return out.Bytes()
}

func FuzzPeer(f *testing.F) {
	reply := framed(append(make([]byte, prefix), 0x20, 7)) // a count of 7
	f.Add(said(func(f *http2.Framer, headers func(...string) []byte) {
		_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 3}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
		_ = f.WriteWindowUpdate(1, 100)
		_ = f.WritePing(false, [8]byte{1})
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers(":status", "200"), EndHeaders: true})
		_ = f.WriteData(1, false, reply[:4])
		_ = f.WriteData(1, false, reply[4:])
		trailers := headers("grpc-status", "0", "grpc-message", "100%25")
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: trailers[:3], EndStream: true})
		_ = f.WriteContinuation(1, true, trailers[3:])
	}))
	f.Add(said(func(f *http2.Framer, headers func(...string) []byte) {
		_ = f.WriteSettings()
		_ = f.WriteGoAway(0, http2.ErrCodeNo, nil)
	}))
	f.Add(said(func(f *http2.Framer, headers func(...string) []byte) {
		_ = f.WriteRSTStream(1, http2.ErrCodeRefusedStream)
	}))
	f.Add(said(func(f *http2.Framer, headers func(...string) []byte) {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers(":status", "503", "grpc-status", "x"), EndHeaders: true, EndStream: true})
	}))
	f.Fuzz(func(t *testing.T, script []byte) {
		c, err := newConn(&scripted{script: bytes.NewReader(script), request: make(chan struct{})}, "http", "peer")
		if err != nil {
			t.Fatal(err)
		}
		var reply etcdserverpb.RangeResponse
		ctx := within(t, 10*time.Second)
		// Its error may be any: the peer may say that a deadline has passed.
		if _ = c.call(ctx, get, &etcdserverpb.RangeRequest{Key: []byte("key")}, &reply); ctx.Err() != nil {
			t.Error("the call outlives its connection")
		}
		<-c.dead // the peer hung up
	})
}
