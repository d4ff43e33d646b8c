package streaming_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/spdystream/spdy"

	"github.com/sampan-project/sampan/pkg/streaming/streamingtest"
)

// spoken sends a request and what follows it to a server, and reads until that hangs up, which is to be soon: the client
// has said all, or where nothing follows the other side has.
func spoken(t *testing.T, server, request string, after []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(server, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, err = conn.Write(append([]byte(request), after...))
	if tcp, is := conn.(*net.TCPConn); err == nil && is && after != nil {
		_ = tcp.CloseWrite()
	}
	if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Errorf("the connection outlives its client's: %v", err)
	}
}

const upgrading = "GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\n\r\n"

// FuzzClient has a client say anything in every protocol that goes over a WebSocket: it is hung up on when it has gone.
// What panics meanwhile ends the test, for much of it is done in goroutines that nothing recovers.
func FuzzClient(f *testing.F) {
	server := front(f, &streamingtest.Server{Command: func(c *streamingtest.Call) error {
		if c.Resize != nil {
			go func() { _, _ = io.Copy(io.Discard, c.Resize) }()
		}
		return script(c)
	}, Port: func(_ int, conn io.ReadWriteCloser) error {
		_, _ = io.Copy(conn, conn)
		return conn.Close()
	}}, 0)
	protocols := []string{"v5.channel.k8s.io", "v4.channel.k8s.io", "base64.channel.k8s.io", "channel.k8s.io", "v4.base64.channel.k8s.io", "portforward.k8s.io", "v1.portforward", "SPDY/3.1+portforward.k8s.io"}
	frame := func(op byte, text string) string {
		return string([]byte{0x80 | op, 0x80 | byte(len(text)), 0, 0, 0, 0}) + text
	}
	f.Add(uint8(0), []byte(frame(2, "\x00in")+frame(2, "\x04{\"Width\":1}")+frame(2, "\xff\x00")+frame(2, "")+frame(8, "\x03\xe8")))
	f.Add(uint8(2), []byte(frame(1, "0aGk=")+frame(1, "4=")+frame(1, "/////")))
	f.Add(uint8(6), []byte(frame(2, "\x00x")+frame(2, "\x09y")+"\x82\xfe\xff\xff"))
	f.Add(uint8(7), []byte(frame(2, string(synStream(f)))))
	f.Fuzz(func(t *testing.T, protocol uint8, said []byte) {
		p := protocols[int(protocol)%len(protocols)]
		path := "/command?stdin=true&stdout=true&stderr=true&tty=" + fmt.Sprint(protocol%2 == 0)
		if strings.Contains(p, "portforward") {
			path = "/ports?port=80&port=81"
		}
		spoken(t, server.URL, fmt.Sprintf(upgrading, path, p), said)
	})
}

// synStream is the beginning of a connection with streams.
func synStream(tb testing.TB) []byte {
	tb.Helper()
	var out bytes.Buffer
	framer, err := spdy.NewFramer(&out, nil)
	if err != nil {
		tb.Fatal(err)
	}
	for id, of := range []string{"error", "data"} {
		if err := framer.WriteFrame(&spdy.SynStreamFrame{StreamId: spdy.StreamId(2*id + 1), Headers: http.Header{"streamtype": {of}, "port": {"80"}, "requestid": {"0"}}}); err != nil {
			tb.Fatal(err)
		}
	}
	return out.Bytes()
}

// FuzzServer has what answers in a kubelet's place say anything after it agreed to SPDY.
func FuzzServer(f *testing.F) {
	var out bytes.Buffer
	framer, err := spdy.NewFramer(&out, nil)
	if err != nil {
		f.Fatal(err)
	}
	for id := range 4 {
		if err := framer.WriteFrame(&spdy.SynReplyFrame{StreamId: spdy.StreamId(2*id + 1)}); err != nil {
			f.Fatal(err)
		}
	}
	_ = framer.WriteFrame(&spdy.DataFrame{StreamId: 1, Flags: spdy.DataFlagFin, Data: []byte(`{"status":"Failure","details":null}`)})
	f.Add(out.Bytes())
	f.Add(synStream(f))
	var said atomic.Pointer[[]byte]
	server := front(f, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n")
		_, _ = conn.Write(*said.Load())
	}), 0)
	f.Fuzz(func(t *testing.T, text []byte) {
		said.Store(&text)
		spoken(t, server.URL, fmt.Sprintf(upgrading, "/command?stdin=true&stdout=true", "v5.channel.k8s.io"), nil)
	})
}
