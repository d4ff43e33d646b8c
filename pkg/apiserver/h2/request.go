package h2

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
)

// usualFields is how many fields room is made for at once.
const usualFields = 32

// newStream makes a request of the fields that begin a stream, or an http2.StreamError where they make none (RFC 9113,
// 8.3).
func (r *reader) newStream(f *http2.MetaHeadersFrame) (*stream, error) {
	s := &stream{conn: r.conn, id: f.StreamID, inWindow: r.server.buffer, ended: f.StreamEnded()}
	s.changed.L = &r.mu
	if f.HasPriority() && f.Priority.StreamDep == s.id {
		return nil, s.fault(http2.ErrCodeProtocol)
	}
	q := &http.Request{Proto: "HTTP/2.0", ProtoMajor: 2, TLS: &r.state, RemoteAddr: r.remote, Body: http.NoBody}
	if !s.target(q, f) || !s.fields(q, f) {
		return nil, s.fault(http2.ErrCodeProtocol)
	}
	if q.Host == "" {
		q.Host = q.Header.Get("Host")
	}
	delete(q.Header, "Host")
	if !s.ended {
		q.Body = body{s}
	}
	s.request = q
	s.oversized = f.Truncated
	return s, nil
}

// target reads what is asked for, and says whether it is well formed.
func (s *stream) target(q *http.Request, f *http2.MetaHeadersFrame) bool {
	q.Method, q.Host, q.RequestURI = f.PseudoValue("method"), f.PseudoValue("authority"), f.PseudoValue("path")
	scheme := f.PseudoValue("scheme")
	if !httpguts.ValidHeaderFieldName(q.Method) || f.PseudoValue("protocol") != "" { // a method is a token, as names are
		return false
	}
	if q.Method == http.MethodConnect {
		q.URL = &url.URL{Host: q.Host}
		wellFormed := q.RequestURI == "" && scheme == "" && q.Host != ""
		q.RequestURI = q.Host
		return wellFormed
	}
	if scheme != "https" && scheme != "http" || strings.Contains(q.Host, "@") {
		return false
	}
	var err error
	q.URL, err = url.ParseRequestURI(q.RequestURI)
	return err == nil
}

// fields reads the other fields, and says whether they may stand there.
func (s *stream) fields(q *http.Request, f *http2.MetaHeadersFrame) bool {
	fields := f.RegularFields()
	n := min(len(fields), usualFields) // thousands of one name may come, each of which is a byte
	q.Header = make(http.Header, n)
	values := make([]string, 0, n) // one piece for all, as most have one value
	for _, field := range fields {
		switch field.Name {
		case "connection", "proxy-connection", "transfer-encoding", "upgrade", "keep-alive":
			return false
		case "te":
			if field.Value != "trailers" {
				return false
			}
		}
		name := canonical(field.Name)
		if before := q.Header[name]; before != nil {
			q.Header[name] = append(before, field.Value)
			continue
		}
		values = append(values, field.Value)
		q.Header[name] = values[len(values)-1 : len(values) : len(values)]
	}
	if c := q.Header["Cookie"]; len(c) > 1 {
		q.Header["Cookie"] = []string{strings.Join(c, "; ")}
	}
	if httpguts.HeaderValuesContainsToken(q.Header["Expect"], "100-continue") {
		s.asked = true
		delete(q.Header, "Expect")
	}
	for _, list := range q.Header["Trailer"] {
		for name := range strings.SplitSeq(list, ",") {
			switch name = http.CanonicalHeaderKey(strings.TrimSpace(name)); name {
			case "", "Transfer-Encoding", "Trailer", "Content-Length":
			default:
				if q.Trailer == nil {
					q.Trailer = http.Header{}
				}
				q.Trailer[name] = nil
			}
		}
	}
	delete(q.Header, "Trailer")
	return s.length(q)
}

// length reads how long the body is to be.
func (s *stream) length(q *http.Request) bool {
	s.expected = -1
	if lengths := q.Header["Content-Length"]; len(lengths) > 0 {
		n, err := strconv.ParseUint(lengths[0], 10, 63)
		if err != nil || slices.ContainsFunc(lengths, func(l string) bool { return l != lengths[0] }) {
			return false
		}
		s.expected = int64(n)
	}
	q.ContentLength = s.expected
	if s.ended {
		q.ContentLength = 0
		return s.expected <= 0
	}
	return true
}
