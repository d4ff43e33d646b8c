package streaming_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	utilexec "k8s.io/client-go/util/exec"

	"github.com/sampan-project/sampan/pkg/streaming"
	"github.com/sampan-project/sampan/pkg/streaming/streamingtest"
)

func fail(w http.ResponseWriter, _ *http.Request, err error) {
	code := http.StatusBadGateway
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		code = int(status.Status().Code)
	}
	http.Error(w, err.Error(), code)
}

// front serves streams to a runtime; the path says what is wanted, the query which streams a command has.
func front(t testing.TB, runtime http.Handler, idle time.Duration) *httptest.Server {
	t.Helper()
	back := httptest.NewServer(runtime)
	t.Cleanup(back.Close)
	transport := &http.Transport{DisableKeepAlives: true}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, _ := url.Parse(back.URL)
		u.Path, u.RawQuery = r.URL.Path, r.URL.RawQuery
		s := &streaming.Stream{URL: u, Transport: transport, Idle: idle, Fail: fail}
		q := r.URL.Query()
		if strings.HasPrefix(r.URL.Path, "/ports") {
			var ports []uint16
			for _, p := range q["port"] {
				n, _ := strconv.Atoi(p)
				ports = append(ports, uint16(n))
			}
			s.PortForward(w, r, ports)
			return
		}
		s.Command(w, r, streaming.Command{
			Stdin: q.Get("stdin") == "true", Stdout: q.Get("stdout") == "true", Stderr: q.Get("stderr") == "true", TTY: q.Get("tty") == "true",
		})
	}))
	t.Cleanup(server.Close)
	return server
}

// script echoes stdin to stdout, says something on stderr, and ends as the query says.
func script(c *streamingtest.Call) error {
	if c.Stdin != nil {
		if _, err := io.Copy(c.Stdout, c.Stdin); err != nil {
			return err
		}
	} else {
		_, _ = io.WriteString(c.Stdout, "hello\n")
	}
	if c.Stderr != nil {
		_, _ = io.WriteString(c.Stderr, "complaint\n")
	}
	if code := c.Query.Get("exit"); code != "" {
		n, _ := strconv.Atoi(code)
		return streamingtest.Exit(n)
	}
	return nil
}

func executors(t *testing.T, at string) map[string]remotecommand.Executor {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	config := &restclient.Config{Host: u.Host}
	s, err := remotecommand.NewSPDYExecutor(config, http.MethodPost, u)
	if err != nil {
		t.Fatal(err)
	}
	v5, err := remotecommand.NewWebSocketExecutor(config, http.MethodGet, at)
	if err != nil {
		t.Fatal(err)
	}
	v4, err := remotecommand.NewWebSocketExecutorForProtocols(config, http.MethodGet, at, "v4.channel.k8s.io")
	if err != nil {
		t.Fatal(err)
	}
	return map[string]remotecommand.Executor{"SPDY": s, "WebSocket v5": v5, "WebSocket v4": v4}
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestCommandCarriesOutputAndExitCode(t *testing.T) {
	server := front(t, &streamingtest.Server{Command: script}, 0)
	for name, executor := range executors(t, server.URL+"/command?stdout=true&stderr=true&exit=42") {
		t.Run(name, func(t *testing.T) {
			var out, complaints bytes.Buffer
			err := executor.StreamWithContext(deadline(t), remotecommand.StreamOptions{Stdout: &out, Stderr: &complaints})
			var exit utilexec.CodeExitError
			if !errors.As(err, &exit) || exit.Code != 42 {
				t.Errorf("ended with %v, want exit code 42", err)
			}
			if out.String() != "hello\n" || complaints.String() != "complaint\n" {
				t.Errorf("got %q and %q", out.String(), complaints.String())
			}
		})
	}
}

func TestCommandReadsStdinToItsEnd(t *testing.T) {
	server := front(t, &streamingtest.Server{Command: script}, 0)
	for name, executor := range executors(t, server.URL+"/command?stdin=true&stdout=true") {
		if name == "WebSocket v4" {
			continue // that protocol cannot tell the end of stdin
		}
		t.Run(name, func(t *testing.T) {
			big := strings.Repeat("0123456789abcdef", 1<<16)
			var out bytes.Buffer
			err := executor.StreamWithContext(deadline(t), remotecommand.StreamOptions{Stdin: strings.NewReader(big), Stdout: &out})
			if err != nil || out.String() != big {
				t.Errorf("got %d of %d bytes, error %v", out.Len(), len(big), err)
			}
		})
	}
}

type sizes chan remotecommand.TerminalSize

func (s sizes) Next() *remotecommand.TerminalSize {
	size, ok := <-s
	if !ok {
		return nil
	}
	return &size
}

func TestTerminalIsResized(t *testing.T) {
	server := front(t, &streamingtest.Server{Command: func(c *streamingtest.Call) error {
		buf := make([]byte, 100)
		n, err := c.Resize.Read(buf)
		if err != nil {
			return err
		}
		_, err = c.Stdout.Write(buf[:n])
		return err
	}}, 0)
	for name, executor := range executors(t, server.URL+"/command?stdin=true&stdout=true&tty=true") {
		t.Run(name, func(t *testing.T) {
			queue := make(sizes, 1)
			queue <- remotecommand.TerminalSize{Width: 80, Height: 24}
			defer close(queue)
			stdin, w := io.Pipe()
			defer func() { _ = w.Close() }()
			var out bytes.Buffer
			err := executor.StreamWithContext(deadline(t), remotecommand.StreamOptions{Stdin: stdin, Stdout: &out, Tty: true, TerminalSizeQueue: queue})
			if want := `{"Width":80,"Height":24}`; err != nil || strings.TrimSpace(out.String()) != want {
				t.Errorf("the command saw %q, error %v", out.String(), err)
			}
		})
	}
}

func dialWebSocket(t *testing.T, server *httptest.Server, path, protocol string) *websocket.Conn {
	t.Helper()
	d := websocket.Dialer{HandshakeTimeout: 5 * time.Second}
	if protocol != "" {
		d.Subprotocols = []string{protocol}
	}
	ws, answer, err := d.Dial(strings.Replace(server.URL, "http", "ws", 1)+path, http.Header{"Origin": {"http://elsewhere.example"}})
	if err != nil {
		body := "no answer"
		if answer != nil {
			text, _ := io.ReadAll(answer.Body)
			body = answer.Status + ": " + string(text)
		}
		t.Fatalf("%v: %s", err, body)
	}
	if got := answer.Header.Get("Sec-Websocket-Protocol"); got != protocol {
		t.Fatalf("the server chose protocol %q, want %q", got, protocol)
	}
	t.Cleanup(func() { _ = ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(20 * time.Second))
	return ws
}

// everything reads messages until the server closes normally, without empty ones.
func everything(t *testing.T, ws *websocket.Conn) (messages []string) {
	t.Helper()
	for {
		_, m, err := ws.ReadMessage()
		if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
			return messages
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(m) > 1 {
			messages = append(messages, string(m))
		}
	}
}

func TestOldWebSocketProtocols(t *testing.T) {
	server := front(t, &streamingtest.Server{Command: script}, 0)
	for _, c := range []struct{ protocol, exit, out, end string }{
		{"", "", "\x01hello\n", ""},
		{"channel.k8s.io", "", "\x01hello\n", ""},
		{"channel.k8s.io", "3", "\x01hello\n", "\x03command terminated with non-zero exit code: exit status 3"},
		{"base64.channel.k8s.io", "", "1aGVsbG8K", ""},
		{"v4.channel.k8s.io", "", "\x01hello\n", "\x03" + `{"metadata":{},"status":"Success"}`},
		{"v4.base64.channel.k8s.io", "", "1aGVsbG8K", "3eyJtZXRhZGF0YSI6e30sInN0YXR1cyI6IlN1Y2Nlc3MifQ=="},
	} {
		t.Run(c.protocol+c.exit, func(t *testing.T) {
			got := everything(t, dialWebSocket(t, server, "/command?stdout=true&exit="+c.exit, c.protocol))
			want := []string{c.out}
			if c.end != "" {
				want = append(want, c.end)
			}
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestUnknownWebSocketProtocolIsRefused(t *testing.T) {
	server := front(t, &streamingtest.Server{Command: script}, 0)
	d := websocket.Dialer{Subprotocols: []string{"v9.channel.k8s.io"}}
	_, answer, err := d.Dial(strings.Replace(server.URL, "http", "ws", 1)+"/command?stdout=true", nil)
	if err == nil || answer.StatusCode != http.StatusBadRequest {
		t.Errorf("got %v, want 400", err)
	}
}

func TestClientThatGoesEndsTheCommand(t *testing.T) {
	ended := make(chan error, 1)
	server := front(t, &streamingtest.Server{Command: func(c *streamingtest.Call) error {
		_, _ = io.WriteString(c.Stdout, "running")
		_, err := io.Copy(io.Discard, c.Stdin)
		ended <- err
		return err
	}}, 0)
	ws := dialWebSocket(t, server, "/command?stdin=true&stdout=true", "v4.channel.k8s.io")
	for m := []byte(nil); len(m) < 2; {
		var err error
		if _, m, err = ws.ReadMessage(); err != nil {
			t.Fatal(err)
		}
	}
	_ = ws.Close()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the command still has its input")
	}
}

// TestNothingIsLeftOfClientsThatGo while a command says more than anybody reads.
func TestNothingIsLeftOfClientsThatGo(t *testing.T) {
	server := front(t, &streamingtest.Server{Command: func(c *streamingtest.Call) error {
		for {
			if _, err := c.Stdout.Write(make([]byte, 32<<10)); err != nil {
				return err
			}
		}
	}}, 0)
	for range 10 {
		ws := dialWebSocket(t, server, "/command?stdin=true&stdout=true&stderr=true", "v5.channel.k8s.io")
		for range 3 {
			if _, _, err := ws.ReadMessage(); err != nil {
				t.Fatal(err)
			}
		}
		_ = ws.NetConn().Close()
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	until := time.Now().Add(20 * time.Second)
	for {
		stacks := make([]byte, 8<<20)
		text := string(stacks[:runtime.Stack(stacks, true)])
		left := strings.Count(text, "streaming.newSPDYClient.func1(") + strings.Count(text, "streaming.(*translation).run(")
		if left == 0 {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("%d goroutines of clients that have gone are left:\n%s", left, text)
		}
		<-tick.C
	}
}

func TestIdleStreamIsClosed(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	server := front(t, &streamingtest.Server{Command: func(*streamingtest.Call) error { <-release; return nil }}, 100*time.Millisecond)
	for name, executor := range executors(t, server.URL+"/command?stdout=true") {
		t.Run(name, func(t *testing.T) {
			ctx := deadline(t)
			err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: io.Discard})
			if ctx.Err() != nil {
				t.Errorf("the stream was still open at the deadline: %v", err)
			}
		})
	}
}

// A client whose upgrade was refused must not be left with a connection to the backend (CVE-2018-1002105).
func TestRefusedUpgradeClosesTheConnection(t *testing.T) {
	var behind int
	server := front(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		behind++
		http.Error(w, "container not found", http.StatusNotFound)
	}), 0)
	conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(conn, "POST /command?stdout=true HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n\r\n"+
		"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
	all, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("the connection stays open: %v", err)
	}
	if n := strings.Count(string(all), "HTTP/1.1 "); n != 1 || !strings.Contains(string(all), "404") || behind != 1 {
		t.Errorf("%d answers, %d requests behind:\n%s", n, behind, all)
	}
}

func TestRefusalReachesEveryClient(t *testing.T) {
	server := front(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `container not found ("x")`, http.StatusInternalServerError)
	}), 0)
	for name, executor := range executors(t, server.URL+"/command?stdout=true") {
		t.Run(name, func(t *testing.T) {
			err := executor.StreamWithContext(deadline(t), remotecommand.StreamOptions{Stdout: io.Discard})
			if err == nil || name == "SPDY" && !strings.Contains(err.Error(), `container not found ("x")`) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestStreamNeedsAnUpgrade(t *testing.T) {
	server := front(t, &streamingtest.Server{Command: script}, 0)
	answer, err := http.Get(server.URL + "/command?stdout=true")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, _ := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "Upgrade request required") {
		t.Errorf("got %d %s", answer.StatusCode, body)
	}
}

// shout answers in capitals; port 99 is closed.
func shout(port int, conn io.ReadWriteCloser) error {
	if port == 99 {
		return errors.New("connection refused")
	}
	buf := make([]byte, 1024)
	for {
		n, err := conn.Read(buf)
		if n > 0 {
			if _, err := conn.Write(bytes.ToUpper(buf[:n])); err != nil {
				return nil
			}
		}
		if err != nil {
			return nil
		}
	}
}

func TestPortForwardBySPDYAndTunnel(t *testing.T) {
	server := front(t, &streamingtest.Server{Port: shout}, 0)
	u, _ := url.Parse(server.URL + "/ports")
	config := &restclient.Config{Host: u.Host}
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		t.Fatal(err)
	}
	tunnel, err := portforward.NewSPDYOverWebsocketDialer(u, config)
	if err != nil {
		t.Fatal(err)
	}
	for name, dial := range map[string]func() (*portforward.PortForwarder, chan struct{}, chan struct{}, error){
		"SPDY": func() (*portforward.PortForwarder, chan struct{}, chan struct{}, error) {
			stop, ready := make(chan struct{}), make(chan struct{})
			f, err := portforward.NewOnAddresses(spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, u), []string{"127.0.0.1"}, []string{":80"}, stop, ready, io.Discard, io.Discard)
			return f, stop, ready, err
		},
		"tunnel": func() (*portforward.PortForwarder, chan struct{}, chan struct{}, error) {
			stop, ready := make(chan struct{}), make(chan struct{})
			f, err := portforward.NewOnAddresses(tunnel, []string{"127.0.0.1"}, []string{":80"}, stop, ready, io.Discard, io.Discard)
			return f, stop, ready, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, stop, ready, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- f.ForwardPorts() }()
			select {
			case <-ready:
			case err := <-done:
				t.Fatal(err)
			}
			ports, err := f.GetPorts()
			if err != nil {
				t.Fatal(err)
			}
			conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0].Local))
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = io.WriteString(conn, "hello")
			buf := make([]byte, 5)
			if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "HELLO" {
				t.Errorf("got %q, %v", buf, err)
			}
			_ = conn.Close()
			close(stop)
			<-done
		})
	}
}

func TestPortForwardByOldWebSocketProtocol(t *testing.T) {
	server := front(t, &streamingtest.Server{Port: shout}, 0)
	ws := dialWebSocket(t, server, "/ports?port=80&port=99", "v4.channel.k8s.io")
	seen := map[byte]string{}
	if err := ws.WriteMessage(websocket.BinaryMessage, []byte("\x00hello")); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(seen[0], "HELLO") || !strings.Contains(seen[3], "refused") {
		_, m, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("%v after %q", err, seen)
		}
		seen[m[0]] += string(m[1:])
	}
	for channel, start := range map[byte]string{0: "P\x00", 1: "P\x00", 2: "c\x00", 3: "c\x00"} {
		if !strings.HasPrefix(seen[channel], start) {
			t.Errorf("channel %d begins with %q, want the port %q", channel, seen[channel], start)
		}
	}
}

func TestReaderOverWebSocket(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		streaming.Copy(w, r, io.NopCloser(strings.NewReader("line\n")), fail)
	}))
	t.Cleanup(server.Close)
	for protocol, want := range map[string]string{"": "line\n", "binary.k8s.io": "line\n", "base64.binary.k8s.io": "bGluZQo="} {
		if got := strings.Join(everything(t, dialWebSocket(t, server, "/", protocol)), ""); got != want {
			t.Errorf("%q: got %q, want %q", protocol, got, want)
		}
	}
}
