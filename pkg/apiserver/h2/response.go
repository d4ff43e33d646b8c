package h2

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"
)

// smallAnswer is what is kept back of an answer whose length was not said, until more comes or it ends.
const smallAnswer = 4 << 10

var smallBuffers = sync.Pool{New: func() any { b := make([]byte, 0, smallAnswer); return &b }}

// response is what a handler answers with. It is the handler's alone, as net/http's is, but for the deadlines.
type response struct {
	*stream
	header    http.Header
	code      int                 // 0: not said
	frozen    []hpack.HeaderField // the header as it was when the code was said
	typed     bool                // with Content-Type or Content-Encoding
	dated     bool
	sent      bool // the header was
	over      bool // the handler has returned
	measured  bool // with Content-Length
	declared  int64
	written   int64
	small     *[]byte  // what is kept back; nil: nothing
	announced []string // trailers
	closing   bool     // Connection: close
}

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header, 8)
	}
	return w.header
}

// WriteHeader implements http.ResponseWriter. Codes below 200 go before the answer.
func (w *response) WriteHeader(code int) {
	if w.code != 0 {
		return
	}
	if code < 100 || code > 999 || code == http.StatusSwitchingProtocols {
		panic("h2: no status code of HTTP/2: " + strconv.Itoa(code))
	}
	if code < 200 {
		status := []hpack.HeaderField{{Name: ":status", Value: strconv.Itoa(code)}}
		fields := appendFields(status, w.header, "Content-Length")
		w.conn.mu.Lock()
		defer w.conn.mu.Unlock()
		w.asked = w.asked && code != http.StatusContinue
		_ = w.sendFields(fields, false)
		return
	}
	w.code = code
	w.freeze()
}

// freeze takes the header as it is.
func (w *response) freeze() {
	h := w.header
	length := h.Get("Content-Length")
	if n, err := strconv.ParseUint(length, 10, 63); err == nil {
		w.declared = int64(n)
	}
	_, w.measured = h["Content-Length"]
	w.measured = w.measured && (length == "" || w.declared >= 0) // one that is no number is not heeded
	w.closing = len(h["Connection"]) > 0 && strings.EqualFold(h["Connection"][0], "close")
	_, typed := h["Content-Type"]
	_, w.dated = h["Date"]
	w.typed = typed || h.Get("Content-Encoding") != ""
	for _, list := range h["Trailer"] {
		for name := range strings.SplitSeq(list, ",") {
			w.announce(strings.TrimSpace(name))
		}
	}
	w.frozen = make([]hpack.HeaderField, 0, len(h)+4)
	w.frozen = append(w.frozen, hpack.HeaderField{Name: ":status", Value: statusText(w.code)})
	w.frozen = appendFields(w.frozen, h, "Content-Length")
	if w.measured && h["Content-Length"] != nil {
		w.frozen = appendValues(w.frozen, "Content-Length", h["Content-Length"][:1])
	}
}

// announce notes the name of a trailer, if it may be one.
func (w *response) announce(name string) {
	name = http.CanonicalHeaderKey(name)
	if httpguts.ValidTrailerHeader(name) && !slices.Contains(w.announced, name) {
		w.announced = append(w.announced, name)
	}
}

// trailing says that more may come behind a body that is whole: trailers that were announced, and any to a client that
// says it reads them (RFC 9110, 6.5.1).
func (w *response) trailing() bool {
	return len(w.announced) > 0 || httpguts.HeaderValuesContainsToken(w.request.Header["Te"], "trailers")
}

// appendFields appends a header's fields, but those that are no part of HTTP/2 and the one named.
func appendFields(fields []hpack.HeaderField, h http.Header, but string) []hpack.HeaderField {
	for name, values := range h {
		switch name {
		case "Connection", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "Keep-Alive":
			continue
		}
		if name == but || strings.HasPrefix(name, http.TrailerPrefix) {
			continue
		}
		fields = appendValues(fields, name, values)
	}
	return fields
}

func appendValues(fields []hpack.HeaderField, name string, values []string) []hpack.HeaderField {
	if !httpguts.ValidHeaderFieldName(name) {
		return fields
	}
	// What is another in each answer has no use in the table, and would drive out what has.
	unique := name == "Audit-Id" || name == "Content-Length"
	lower := lowered(name)
	for _, v := range values {
		if httpguts.ValidHeaderFieldValue(v) {
			fields = append(fields, hpack.HeaderField{Name: lower, Value: v, Sensitive: unique})
		}
	}
	return fields
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	if w.over {
		return 0, errFinished
	}
	if w.code == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.code == http.StatusNoContent || w.code == http.StatusNotModified {
		return 0, http.ErrBodyNotAllowed
	}
	w.written += int64(len(p))
	if w.declared >= 0 && w.written > w.declared {
		return 0, http.ErrContentLength
	}
	kept := 0
	if w.small != nil {
		kept = len(*w.small)
	}
	if whole := w.written == w.declared; !whole && kept+len(p) <= smallAnswer {
		if w.small == nil {
			w.small = smallBuffers.Get().(*[]byte)
		}
		*w.small = append(*w.small, p...)
		return len(p), nil
	} else if err := w.flush(p, whole && !w.trailing()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// flush sends the header where it was not sent, what was kept back, and more.
func (w *response) flush(more []byte, last bool) error {
	var kept []byte
	if w.small != nil {
		kept = *w.small
	}
	if !w.sent {
		w.complete(kept, more)
	}
	none := w.request.Method == http.MethodHead
	if none {
		kept, more = nil, nil
	}
	err := w.push(kept, more, last)
	if w.small != nil {
		*w.small = (*w.small)[:0]
		smallBuffers.Put(w.small)
		w.small = nil
	}
	return err
}

// complete adds to the header what the handler left to the server.
func (w *response) complete(kept, more []byte) {
	bodied := w.code != http.StatusNoContent && w.code != http.StatusNotModified
	if w.over && !w.measured && bodied && (w.request.Method != http.MethodHead || w.written > 0) {
		length := strconv.FormatInt(w.written, 10)
		w.frozen = append(w.frozen, hpack.HeaderField{Name: "content-length", Value: length, Sensitive: true})
	}
	if !w.typed && bodied && len(kept)+len(more) > 0 {
		sample := kept
		if len(sample) == 0 {
			sample = more
		}
		w.frozen = append(w.frozen, hpack.HeaderField{Name: "content-type", Value: http.DetectContentType(sample)})
	}
	if !w.dated {
		w.frozen = append(w.frozen, hpack.HeaderField{Name: "date", Value: time.Now().UTC().Format(http.TimeFormat)})
	}
}

// push sends frames.
func (w *response) push(kept, more []byte, last bool) error {
	c := w.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.finished {
		return nil
	}
	if !w.sent {
		w.sent, w.asked = true, false
		if w.closing {
			c.retireLocked()
		}
		empty := len(kept)+len(more) == 0
		if err := w.sendFields(w.frozen, last && empty); err != nil || empty {
			return err
		}
	}
	if len(kept) > 0 {
		if err := w.stream.send(kept, last && len(more) == 0); err != nil || len(more) == 0 {
			return err
		}
	}
	return w.stream.send(more, last)
}

// end ends the answer.
func (w *response) end() {
	if w.code == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.over = true
	trailers := w.trailers()
	if !w.finished {
		_ = w.flush(nil, len(trailers) == 0)
	}
	w.conn.mu.Lock()
	defer w.conn.mu.Unlock()
	if len(trailers) > 0 && !w.finished {
		_ = w.sendFields(trailers, true)
	}
	w.close()
}

// trailers are the fields behind the body: those announced, and those whose names say so.
func (w *response) trailers() []hpack.HeaderField {
	for name, values := range w.header {
		if plain, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			w.announce(plain)
			w.header[http.CanonicalHeaderKey(plain)] = values
		}
	}
	var fields []hpack.HeaderField
	for _, name := range w.announced {
		fields = appendValues(fields, name, w.header[name])
	}
	return fields
}

// FlushError sends what was written, for http.ResponseController.
func (w *response) FlushError() error {
	if w.code == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.sent && w.small == nil {
		return w.lost()
	}
	return w.flush(nil, false)
}

// Flush implements http.Flusher.
func (w *response) Flush() { _ = w.FlushError() }

// lost says why the client cannot be answered, if it cannot.
func (w *response) lost() error {
	w.conn.mu.Lock()
	defer w.conn.mu.Unlock()
	if errors.Is(w.gone, errFinished) {
		return nil
	}
	return w.gone
}

// SetReadDeadline serves http.ResponseController.
func (w *response) SetReadDeadline(t time.Time) error { return w.setDeadline(reading, t) }

// SetWriteDeadline serves http.ResponseController.
func (w *response) SetWriteDeadline(t time.Time) error { return w.setDeadline(writing, t) }

// EnableFullDuplex serves http.ResponseController: HTTP/2 always is.
func (w *response) EnableFullDuplex() error { return nil }

func statusText(code int) string {
	switch code { // those of nearly all answers
	case http.StatusOK:
		return "200"
	case http.StatusCreated:
		return "201"
	}
	return strconv.Itoa(code)
}
