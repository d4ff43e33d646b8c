package streaming

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Stream is a way into a container: a server that speaks SPDY, and what clients are told when it cannot
// be reached.
type Stream struct {
	// URL is asked for the stream, query included.
	URL *url.URL
	// Transport must speak HTTP/1.1.
	Transport http.RoundTripper
	// Idle ends connections on which nothing moved for so long; 0: never.
	Idle time.Duration
	Fail Fail
}

// relay passes a client's own SPDY through.
func (s *Stream) relay(w http.ResponseWriter, r *http.Request) {
	target := *s.URL
	target.RawQuery = ""
	in := r.Clone(r.Context())
	in.URL.RawQuery = s.URL.RawQuery
	(&Proxy{Target: &target, Transport: s.Transport, NoRedirects: true, Idle: s.Idle, Fail: s.Fail}).ServeHTTP(w, in)
}

// dial opens the connection for a client that does not speak SPDY itself. Where there is none, the client has
// its answer.
func (s *Stream) dial(w http.ResponseWriter, r *http.Request, protocols ...string) (io.ReadWriteCloser, string, bool) {
	conn, protocol, err := upgraded(r.Context(), s.Transport, s.URL, protocols...)
	if err == nil {
		if s.Idle > 0 {
			conn = newIdleConn(conn, s.Idle)
		}
		return conn, protocol, true
	}
	w.Header().Set("Connection", "close")
	var refused *refusal
	if !errors.As(err, &refused) {
		s.Fail(w, r, err)
		return nil, "", false
	}
	if refused.contentType != "" {
		w.Header().Set("Content-Type", refused.contentType)
	}
	w.WriteHeader(refused.code)
	_, _ = w.Write(refused.body) // the client has gone where this fails
	return nil, "", false
}

// failed answers with an error of the server's own.
func (s *Stream) failed(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Connection", "close")
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		err = apierrors.NewInternalError(err)
	}
	s.Fail(w, r, err)
}
