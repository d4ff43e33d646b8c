// Package streamingtest is a streaming server as container runtimes have it, for tests: it speaks SPDY and
// nothing else, and runs functions of the test instead of commands.
package streamingtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"

	"github.com/moby/spdystream"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Call is a command that a client runs or attaches to. Streams that it did not ask for are nil.
type Call struct {
	Query          url.Values
	Protocol       string
	Stdin          io.Reader
	Stdout, Stderr io.WriteCloser
	Resize         io.Reader
}

// Exit is the error of a command that ended with a code other than 0.
type Exit int

func (e Exit) Error() string {
	return fmt.Sprintf("command terminated with non-zero exit code: exit status %d", int(e))
}

// Server answers /command and /ports. The query of /command says which streams a command has: stdin=true,
// stdout=true, stderr=true, tty=true.
type Server struct {
	Command func(c *Call) error
	Port    func(port int, conn io.ReadWriteCloser) error

	mu    sync.Mutex
	asked []*http.Request
}

// Asked are the requests that came so far.
func (s *Server) Asked() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// ServeHTTP upgrades to SPDY.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r)
	s.mu.Unlock()
	var protocols []string
	switch r.URL.Path {
	case "/command":
		protocols = []string{"v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"}
	case "/ports":
		protocols = []string{"portforward.k8s.io"}
	default:
		http.Error(w, "no such token", http.StatusNotFound)
		return
	}
	if r.Header.Get("Upgrade") != "SPDY/3.1" {
		http.Error(w, "unable to upgrade: missing upgrade headers in request", http.StatusBadRequest)
		return
	}
	i := slices.IndexFunc(r.Header.Values("X-Stream-Protocol-Version"), func(p string) bool { return slices.Contains(protocols, p) })
	if i < 0 {
		http.Error(w, "no protocol in common", http.StatusForbidden)
		return
	}
	protocol := r.Header.Values("X-Stream-Protocol-Version")[i]
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = fmt.Fprintf(buffered, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: %s\r\n\r\n", protocol)
	err = buffered.Flush()
	server, spdyErr := spdystream.NewConnection(conn, true)
	if err != nil || spdyErr != nil {
		_ = conn.Close()
		return
	}
	streams := make(chan accepted, 16)
	go server.Serve(func(st *spdystream.Stream) {
		a := accepted{st, make(chan struct{})}
		streams <- a // before the client may open another
		_ = st.SendReply(http.Header{}, false)
		close(a.replied)
	})
	defer func() { _ = server.Close() }() // which closes conn once all streams are gone
	if r.URL.Path == "/ports" {
		s.ports(server, streams)
		return
	}
	s.command(r, protocol, server, streams)
}

// accepted is a stream that the client opened. It may be used once the reply was sent.
type accepted struct {
	*spdystream.Stream
	replied chan struct{}
}

func (s *Server) command(r *http.Request, protocol string, server *spdystream.Connection, streams chan accepted) {
	q := r.URL.Query()
	want := 1
	for _, n := range []string{"stdin", "stdout", "stderr", "tty"} {
		if q.Get(n) == "true" {
			want++
		}
	}
	call := &Call{Query: q, Protocol: protocol}
	var failure *spdystream.Stream
	var all []*spdystream.Stream
	for range want {
		select {
		case st := <-streams:
			<-st.replied
			all = append(all, st.Stream)
			switch st.Headers().Get("streamType") {
			case "error":
				failure = st.Stream
			case "stdin":
				call.Stdin = st.Stream
			case "stdout":
				call.Stdout = st.Stream
			case "stderr":
				call.Stderr = st.Stream
			case "resize":
				call.Resize = st.Stream
			}
		case <-server.CloseChan():
			return
		}
	}
	err := s.Command(call)
	for _, out := range []io.Closer{call.Stdout, call.Stderr} {
		if st, ok := out.(*spdystream.Stream); ok {
			_ = st.Close()
		}
	}
	_, _ = failure.Write(said(protocol, err))
	for _, st := range all {
		_ = st.Reset()
	}
}

func said(protocol string, err error) []byte {
	if protocol != "v4.channel.k8s.io" {
		if err == nil {
			return nil
		}
		return []byte(err.Error())
	}
	status := metav1.Status{Status: metav1.StatusSuccess}
	var exit Exit
	switch {
	case errors.As(err, &exit):
		status = metav1.Status{Status: metav1.StatusFailure, Reason: "NonZeroExitCode", Message: err.Error(), Details: &metav1.StatusDetails{
			Causes: []metav1.StatusCause{{Type: "ExitCode", Message: strconv.Itoa(int(exit))}},
		}}
	case err != nil:
		status = metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonInternalError, Message: err.Error(), Code: 500}
	}
	encoded, _ := json.Marshal(status) // a Status can always be encoded
	return encoded
}

func (s *Server) ports(server *spdystream.Connection, streams chan accepted) {
	failures := map[string]*spdystream.Stream{}
	for {
		select {
		case <-server.CloseChan():
			return
		case st := <-streams:
			<-st.replied
			id := st.Headers().Get("requestID")
			if st.Headers().Get("streamType") == "error" {
				failures[id] = st.Stream
				continue
			}
			failure := failures[id]
			if failure == nil { // what fails would be told to nobody
				_ = st.Reset()
				continue
			}
			go func() {
				port, err := strconv.Atoi(st.Headers().Get("port"))
				if err == nil {
					err = s.Port(port, st)
				}
				if err != nil {
					_, _ = fmt.Fprintf(failure, "an error occurred forwarding %d: %v", port, err)
				}
				_ = failure.Close()
				_ = st.Close()
			}()
		}
	}
}
