package apiserver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// dial opens a connection of its own, by one protocol.
func (s *server) dial(t *testing.T, protocol string) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", s.Address(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}}) //nolint:gosec // who serves is not what is tested
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// frames speaks HTTP/2 one frame at a time; what it writes goes out when it is flushed.
type frames struct {
	*http2.Framer
	t       *testing.T
	out     *bufio.Writer
	encoded bytes.Buffer
	encoder *hpack.Encoder
}

func (s *server) frames(t *testing.T) *frames {
	t.Helper()
	conn := s.dial(t, "h2")
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriterSize(conn, 256<<10)
	f := &frames{Framer: http2.NewFramer(out, conn), t: t, out: out}
	f.encoder = hpack.NewEncoder(&f.encoded)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return f
}

// get begins a stream that asks for a path.
func (f *frames) get(stream uint32, path string) error {
	f.encoded.Reset()
	for _, h := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "x"}, {":path", path}, {"authorization", "Bearer " + adminToken}} {
		if err := f.encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			f.t.Fatal(err)
		}
	}
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: f.encoded.Bytes(), EndStream: true, EndHeaders: true})
}

func TestAConnectionHasAHundredStreams(t *testing.T) {
	f := start(t, memory(t)).frames(t)
	for i := range uint32(101) {
		if err := f.get(2*i+1, "/api/v1/configmaps?watch=true&allowWatchBookmarks=true"); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.out.Flush(); err != nil {
		t.Fatal(err)
	}
	begun := 0
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatalf("%d streams were served: %v", begun, err)
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if most, ok := frame.Value(http2.SettingMaxConcurrentStreams); ok && most != 100 {
				t.Errorf("the server allows %d streams", most)
			}
		case *http2.HeadersFrame:
			begun++
		case *http2.RSTStreamFrame:
			if frame.StreamID != 201 || frame.ErrCode != http2.ErrCodeRefusedStream && frame.ErrCode != http2.ErrCodeProtocol {
				t.Errorf("stream %d was refused: %v", frame.StreamID, frame.ErrCode)
			}
			return
		}
	}
}

// CVE-2023-44487.
func TestRapidResetEndsTheConnection(t *testing.T) {
	s := start(t, memory(t))
	other := s.as(adminToken)
	f := s.frames(t)
	ended := make(chan error, 1)
	go func() {
		for {
			frame, err := f.ReadFrame()
			if g, is := frame.(*http2.GoAwayFrame); is {
				err = fmt.Errorf("going away: %v", g.ErrCode)
			}
			if err != nil {
				ended <- err
				return
			}
		}
	}()
	// Streams that last take all places but one: what is begun and given up has to queue.
	const lasting = 99
	for i := range uint32(lasting) {
		if err := f.get(2*i+1, "/api/v1/configmaps?watch=true"); err != nil {
			t.Fatal(err)
		}
	}
	for i := uint32(lasting); i < 1<<20; i++ {
		if f.get(2*i+1, "/api/v1/namespaces?resourceVersion=999999999") != nil || f.WriteRSTStream(2*i+1, http2.ErrCodeCancel) != nil {
			break
		}
	}
	_ = f.out.Flush() // the connection may have been ended
	select {
	case err := <-ended:
		t.Log(err)
	case <-time.After(30 * time.Second):
		t.Error("a connection with a million streams that were given up goes on")
	}
	begun := time.Now()
	if other.must(t, http.StatusOK, "GET", "/api/v1/namespaces/default", nil); time.Since(begun) > 5*time.Second {
		t.Errorf("another client waited %v", time.Since(begun))
	}
}

func TestNobodyGetsAConnectionForOneRequest(t *testing.T) {
	s := start(t, memory(t))
	for token, reuses := range map[string]bool{"": false, "wrong": false, adminToken: true} {
		c := s.as(token)
		c.http.Transport.(*http.Transport).ForceAttemptHTTP2 = true
		reused := false
		for range 3 {
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = reused || i.Reused }})
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/version", nil)
			if err != nil {
				t.Fatal(err)
			}
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			got, err := c.http.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, got.Body)
			_ = got.Body.Close()
			if got.ProtoMajor != 2 {
				t.Fatalf("the answer came by %s", got.Proto)
			}
		}
		if reused != reuses {
			t.Errorf("with token %q the connection is used again: %v", token, reused)
		}
	}
}

func TestUpgradesOfPlainPathsStayPlain(t *testing.T) {
	s := start(t, memory(t))
	for _, upgrade := range []string{"websocket", "SPDY/3.1", "h2c", "nonsense"} {
		for path, code := range map[string]int{
			"/api/v1/namespaces": 200, "/api/v1/namespaces/default": 200, "/version": 200, "/none": 404, "/api/v1/namespaces/default/pods/none/exec?command=x": 404,
			"/api/v1/namespaces/default/pods/none/proxy/": 404, "/api/v1/nodes/none/proxy/": 404,
		} {
			conn := s.dial(t, "http/1.1")
			_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n"+
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n", path, adminToken, upgrade)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("%s as %s: %v", path, upgrade, err)
			}
			if answer.StatusCode != code {
				t.Errorf("%s as %s: %d, want %d", path, upgrade, answer.StatusCode, code)
			}
			_ = conn.Close()
		}
	}
}

// TestWhoStopsReadingHurtsNobody opens a hundred watches, and lists, that are not read, beside one watch that is.
func TestWhoStopsReadingHurtsNobody(t *testing.T) {
	s := start(t, memory(t))
	admin := s.as(adminToken)
	for i := range 20 {
		admin.send(t, "POST", configMaps, mediaJSON, configMap(fmt.Sprintf("c%d", i), 100<<10)).want(t, "create", http.StatusCreated, "")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 150 {
		conn := s.dial(t, "http/1.1")
		if err := conn.NetConn().(*net.TCPConn).SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
		query := []string{"", "?watch=true", "?watch=true"}[i%3]
		if _, err := fmt.Fprintf(conn, "GET %s%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", configMaps, query, adminToken); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReaderSize(conn, 16).ReadByte(); err != nil { // it is being answered
			t.Fatal(err)
		}
	}
	revision := at(admin.must(t, http.StatusOK, "GET", configMaps+"?limit=1", nil), "metadata.resourceVersion")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+configMaps+"?watch=true&resourceVersion="+revision, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	watch, err := s.as(adminToken).http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watch.Body.Close() }()
	events := json.NewDecoder(watch.Body)
	late := 0
	for i := range 100 {
		begun := time.Now()
		admin.send(t, "PATCH", configMaps+"/c0", mediaMerge, fmt.Appendf(nil, `{"data":{"i":"%d"}}`, i)).want(t, "patch", http.StatusOK, "")
		var e struct{ Type string }
		if err := events.Decode(&e); err != nil || e.Type != "MODIFIED" {
			t.Fatalf("event %d is %v: %v", i, e, err)
		}
		if time.Since(begun) > time.Second {
			late++
		}
	}
	if late > 1 { // one may meet something else that goes on here
		t.Errorf("%d of 100 events took more than a second", late)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	// 100 versions of an object of 100 KiB are within every watcher's reach; 150 clients share them.
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 100<<20 {
		t.Errorf("clients that do not read cost %d MB", grown>>20)
	} else {
		t.Logf("%d MB", grown>>20)
	}
}

func TestRefusalsAreToTheLetter(t *testing.T) {
	s := start(t, memory(t))
	for _, c := range []struct {
		token, path string
		code        int
		body        string
	}{
		{"wrong", "/api/v1/pods", 401, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}`},
		{"", "/api/v1/pods", 403, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" at the cluster scope","reason":"Forbidden","details":{"kind":"pods"},"code":403}`},
		{"", "/api/v1/namespaces/x/pods/y", 403, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"pods \"y\" is forbidden: User \"system:anonymous\" cannot get resource \"pods\" in API group \"\" in the namespace \"x\"","reason":"Forbidden","details":{"name":"y","kind":"pods"},"code":403}`},
		{"", "/apis/apps/v1/deployments", 403, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"deployments.apps is forbidden: User \"system:anonymous\" cannot list resource \"deployments\" in API group \"apps\" at the cluster scope","reason":"Forbidden","details":{"group":"apps","kind":"deployments"},"code":403}`},
		{"", "/metrics", 403, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"forbidden: User \"system:anonymous\" cannot get path \"/metrics\"","reason":"Forbidden","details":{},"code":403}`},
	} {
		got := s.as(c.token).send(t, "GET", c.path, "", nil, "User-Agent", "test")
		if got.code != c.code || strings.TrimSpace(string(got.body)) != c.body {
			t.Errorf("%s: %d\n%s, want\n%s", c.path, got.code, got.body, c.body)
		}
		if kind := got.header.Get("Content-Type"); kind != mediaJSON {
			t.Errorf("%s: the answer is %q", c.path, kind)
		}
	}
}
