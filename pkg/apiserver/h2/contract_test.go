package h2

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// exchange is something that a client and a handler do, and what both see of it.
type exchange struct {
	name    string
	request func(*http.Request)
	handle  func(*peer, http.ResponseWriter, *http.Request)
	client  func(*peer) // instead of one request
	server  func(*http.Server)
	logged  bool // with what a panic says
	blind   bool // net/http tells the handler of errors where there are none
}

// peer is one side of an exchange. What it notes must be the same whoever serves.
type peer struct {
	*testing.T
	*fixture
	notes
	gate chan struct{} // of both sides
}

// TestContract has net/http's own server and this package's do the same, and compares what client and handler see.
func TestContract(t *testing.T) {
	for _, group := range [][]exchange{
		lengths(), statuses(), headers(), trailers(), failures(), requests(), bodies(), targets(), deadlines(), connections(),
	} {
		for _, e := range group {
			t.Run(e.name, func(t *testing.T) {
				t.Parallel()
				want := e.run(t, func(*http.Server) {})
				if got := e.run(t, Configure); got != want {
					t.Errorf("not what net/http does (-) but (+)\n%s", cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")))
				}
			})
		}
	}
}

// run gives what was noted.
func (e *exchange) run(t *testing.T, configure func(*http.Server)) string {
	gate := make(chan struct{})
	client, handler := &peer{T: t, gate: gate}, &peer{T: t, gate: gate}
	var running sync.WaitGroup
	f := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		defer running.Done()
		e.handle(handler, w, r)
	}), func(s *http.Server) {
		if e.server != nil {
			e.server(s)
		}
	}, configure)
	client.fixture, handler.fixture = f, f
	switch {
	case e.client != nil:
		e.client(client)
	default:
		r := client.newRequest(http.MethodGet, "/", nil)
		if e.request != nil {
			e.request(r)
		}
		client.roundTrip(r)
	}
	ended := make(chan struct{})
	go func() { running.Wait(); close(ended) }()
	within(t, "the handlers end", ended)
	if e.blind {
		handler = &peer{}
	}
	seen := "client:\n" + client.String() + "\nhandler:\n" + handler.String()
	if e.logged {
		line, _, _ := strings.Cut(within(t, "a line of the log", f.log), "\n")
		_, line, _ = strings.Cut(line, ": panic serving ")
		_, line, _ = strings.Cut(line, " ")
		seen += "\na panic: " + line
	}
	return strings.ReplaceAll(seen, f.addr, "the server")
}

func (p *peer) newRequest(method, path string, body io.Reader) *http.Request {
	r, err := http.NewRequest(method, p.url(path), body)
	if err != nil {
		p.Fatal(err)
	}
	return r
}

// roundTrip notes what a request is answered with.
func (p *peer) roundTrip(r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got100Continue: func() { p.add("100") },
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			p.add("%d %v", code, header)
			return nil
		},
	})
	resp, err := p.fixture.client.RoundTrip(r.WithContext(ctx))
	if err != nil {
		p.add("error: %v", err)
		return
	}
	p.answered(resp)
}

func (p *peer) answered(resp *http.Response) {
	p.add("%s %s, length %d", resp.Proto, resp.Status, resp.ContentLength)
	if _, ok := resp.Header["Date"]; ok && resp.Header.Get("Date") != "then" {
		resp.Header.Set("Date", "now")
	}
	p.header("", resp.Header)
	p.header("announced ", resp.Trailer)
	data, err := io.ReadAll(resp.Body)
	p.add("body: %s, %v, %v", short(data), err, resp.Body.Close())
	p.header("trailer ", resp.Trailer)
}

func (p *peer) header(prefix string, h http.Header) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		p.add("%s%s: %q", prefix, name, h[name])
	}
}

// asked notes what a handler sees of a request.
func (p *peer) asked(r *http.Request) {
	p.add("%s %s %s, URL %#v, host %s, length %d, %v", r.Method, r.RequestURI, r.Proto, *r.URL, r.Host, r.ContentLength, r.TransferEncoding)
	p.add("TLS %s, %s, closing %v", r.TLS.NegotiatedProtocol, r.TLS.ServerName, r.Close)
	p.header("", r.Header)
	p.header("announced ", r.Trailer)
}

// short is a body as it may stand in a test's output.
func short(data []byte) string {
	if len(data) < 100 {
		return fmt.Sprintf("%q", data)
	}
	return fmt.Sprintf("%d bytes, %x", len(data), sha256.Sum256(data))
}

// text is that many bytes of text, no two stretches of which are the same.
func text(n int) []byte {
	b := make([]byte, 0, n+8)
	for i := 0; len(b) < n; i++ {
		b = fmt.Appendf(b, "%d,", i)
	}
	return b[:n]
}

// write notes what comes of a write.
func (p *peer) write(w io.Writer, data []byte) {
	n, err := w.Write(data)
	p.add("wrote %d of %d, %v", n, len(data), err != nil)
}

func (p *peer) flush(w http.ResponseWriter) {
	p.add("flushed %v", http.NewResponseController(w).Flush())
}

// answer is an exchange whose handler only answers.
func answer(name string, handle func(*peer, http.ResponseWriter)) exchange {
	return exchange{name: name, handle: func(p *peer, w http.ResponseWriter, _ *http.Request) { handle(p, w) }}
}

// heads are the same exchanges with HEAD.
func heads(all []exchange) []exchange {
	for _, e := range all {
		e.name = "HEAD " + e.name
		e.request = func(r *http.Request) { r.Method = http.MethodHead }
		e.blind = true
		all = append(all, e)
	}
	return all
}

func lengths() []exchange {
	var all []exchange
	for _, n := range []int{0, 1, 4095, 4096, 4097, 9000, 1 << 20} {
		data := text(n)
		asString := string(data)
		all = append(all, answer(fmt.Sprintf("%d bytes", n), func(p *peer, w http.ResponseWriter) {
			p.write(w, data)
		}), answer(fmt.Sprintf("%d bytes declared", n), func(p *peer, w http.ResponseWriter) {
			w.Header().Set("Content-Length", fmt.Sprint(n))
			p.write(w, data)
		}), answer(fmt.Sprintf("%d bytes in pieces", n), func(p *peer, w http.ResponseWriter) {
			for piece := range slices.Chunk(data, n/7+1) {
				p.write(w, piece)
			}
		}), answer(fmt.Sprintf("%d bytes in pieces declared", n), func(p *peer, w http.ResponseWriter) {
			w.Header().Set("Content-Length", fmt.Sprint(n))
			for piece := range slices.Chunk(data, n/7+1) {
				p.write(w, piece)
			}
		}), answer(fmt.Sprintf("%d bytes flushed", n), func(p *peer, w http.ResponseWriter) {
			for piece := range slices.Chunk(data, n/7+1) {
				p.write(w, piece)
				p.flush(w)
			}
		}), answer(fmt.Sprintf("%d bytes of string", n), func(p *peer, w http.ResponseWriter) {
			written, err := io.WriteString(w, asString)
			p.add("%d, %v", written, err)
		}), answer(fmt.Sprintf("%d bytes copied", n), func(p *peer, w http.ResponseWriter) {
			written, err := io.Copy(w, bytes.NewReader(data))
			p.add("%d, %v", written, err)
		}))
	}
	for _, n := range []string{"10", "5000", "5", "+5", "-5", "abc", "", "05", "99999999999999999999"} {
		all = append(all, answer("declared "+n+", five written", func(p *peer, w http.ResponseWriter) {
			w.Header().Set("Content-Length", n)
			_, _ = w.Write([]byte("12345"))
		}), answer("declared "+n+", nothing written", func(p *peer, w http.ResponseWriter) {
			w.Header().Set("Content-Length", n)
		}))
	}
	all = append(all,
		answer("flushed before", func(p *peer, w http.ResponseWriter) { p.flush(w); p.write(w, text(10)) }),
		answer("flushed only", func(p *peer, w http.ResponseWriter) { p.flush(w); p.flush(w) }),
		answer("flushed after", func(p *peer, w http.ResponseWriter) { p.write(w, text(10)); p.flush(w); p.flush(w) }),
		answer("written after a flush", func(p *peer, w http.ResponseWriter) {
			p.write(w, text(10))
			p.flush(w)
			p.write(w, text(5000))
			p.write(w, text(10))
		}),
		answer("nothing written first", func(p *peer, w http.ResponseWriter) { p.write(w, nil); p.write(w, text(10)) }),
		answer("exact in two pieces", func(p *peer, w http.ResponseWriter) {
			w.Header().Set("Content-Length", "20")
			p.write(w, text(10))
			p.write(w, text(10))
			p.flush(w)
		}),
	)
	return heads(all)
}

func statuses() []exchange {
	var all []exchange
	for _, code := range []int{200, 201, 202, 204, 206, 301, 304, 400, 404, 409, 418, 422, 429, 500, 503, 599, 600, 999} {
		all = append(all, answer(fmt.Sprint(code), func(p *peer, w http.ResponseWriter) {
			w.Header().Set("X-Mine", "1")
			w.WriteHeader(code)
		}), answer(fmt.Sprint(code, " with a body"), func(p *peer, w http.ResponseWriter) {
			w.WriteHeader(code)
			p.write(w, text(10))
		}), answer(fmt.Sprint(code, " with a length"), func(p *peer, w http.ResponseWriter) {
			w.Header().Set("Content-Length", "10")
			w.Header().Set("Content-Type", "a/b")
			w.WriteHeader(code)
		}), answer(fmt.Sprint(code, " flushed"), func(p *peer, w http.ResponseWriter) {
			w.WriteHeader(code)
			p.flush(w)
		}))
	}
	for _, code := range []int{0, -1, 1, 99, 1000} {
		all = append(all, answer(fmt.Sprint(code), func(p *peer, w http.ResponseWriter) {
			defer func() {
				p.add("panic: %v", recover() != nil)
				w.WriteHeader(202)
			}()
			w.WriteHeader(code)
		}))
	}
	for _, code := range []int{100, 102, 103, 199} {
		all = append(all, answer(fmt.Sprint(code, " before"), func(p *peer, w http.ResponseWriter) {
			w.Header().Set("Link", "</a>")
			w.Header().Set("Content-Length", "5")
			w.Header().Set("Transfer-Encoding", "x")
			w.WriteHeader(code)
			w.Header().Set("Link", "</b>")
			w.WriteHeader(code)
			w.Header().Del("Link")
			w.WriteHeader(203)
			p.write(w, []byte("12345"))
		}), answer(fmt.Sprint(code, " only"), func(p *peer, w http.ResponseWriter) {
			w.WriteHeader(code)
		}), answer(fmt.Sprint(code, " after"), func(p *peer, w http.ResponseWriter) {
			w.WriteHeader(201)
			w.WriteHeader(code)
			p.write(w, text(10))
		}))
	}
	all = append(all, answer("two codes", func(p *peer, w http.ResponseWriter) {
		w.WriteHeader(201)
		w.WriteHeader(500)
	}), answer("a code after a write", func(p *peer, w http.ResponseWriter) {
		p.write(w, text(10))
		w.WriteHeader(500)
	}))
	return heads(all)
}

func headers() []exchange {
	all := []exchange{
		answer("changed after the code", func(p *peer, w http.ResponseWriter) {
			w.Header().Set("X-One", "1")
			w.Header()["X-Two"] = []string{"2", "3"}
			w.WriteHeader(200)
			w.Header().Set("X-One", "late")
			w.Header().Set("X-Late", "late")
			w.Header()["X-Two"][0] = "late"
			w.Header().Del("X-Two")
			p.write(w, text(10))
		}),
		answer("changed after a write", func(p *peer, w http.ResponseWriter) {
			p.write(w, text(10))
			w.Header().Set("X-Late", "late")
			w.Header().Set("Content-Type", "late/late")
			w.Header().Set("Content-Length", "3")
		}),
		answer("changed after a flush", func(p *peer, w http.ResponseWriter) {
			p.flush(w)
			w.Header().Set("X-Late", "late")
			p.write(w, text(10))
		}),
		answer("many values", func(p *peer, w http.ResponseWriter) {
			w.Header().Add("Vary", "A")
			w.Header().Add("Vary", "B")
			w.Header().Add("Set-Cookie", "a=b")
			w.Header().Add("Set-Cookie", "c=d; Path=/")
			w.Header()["X-None"] = nil
			w.Header()["X-Empty"] = []string{""}
		}),
		answer("those of HTTP/1", func(p *peer, w http.ResponseWriter) {
			for _, name := range []string{"Connection", "Te", "Host"} { // net/http sends others, which HTTP/2 does not know
				w.Header().Set(name, "trailers")
			}
			p.write(w, text(10))
		}),
		answer("names", func(p *peer, w http.ResponseWriter) {
			for _, name := range []string{"", " ", "A B", "A:B", ":status", "lower", "UPPER", "Ü", "A\nB", "A_b", "A.b", "(x)", "~!#$%&'*+-.^_`|"} {
				w.Header()[name] = []string{"x"}
			}
		}),
		answer("values", func(p *peer, w http.ResponseWriter) {
			for i, v := range []string{"", " ", " a ", "a\nb", "a\rb", "a\x00b", "a\tb", "ü", "\xff", "\x7f", "a\x01"} {
				w.Header()[fmt.Sprintf("X-%d", i)] = []string{v, "good"}
			}
		}),
		answer("large", func(p *peer, w http.ResponseWriter) {
			for i := range 50 {
				w.Header().Set(fmt.Sprintf("X-%d", i), string(text(3000)))
			}
			p.write(w, text(10))
		}),
		answer("a date of its own", func(p *peer, w http.ResponseWriter) { w.Header().Set("Date", "then") }),
		answer("no date", func(p *peer, w http.ResponseWriter) { w.Header()["Date"] = nil }),
		answer("no type", func(p *peer, w http.ResponseWriter) { w.Header()["Content-Type"] = nil; p.write(w, text(10)) }),
		answer("no length", func(p *peer, w http.ResponseWriter) { w.Header()["Content-Length"] = nil; p.write(w, text(10)) }),
		answer("two lengths", func(p *peer, w http.ResponseWriter) {
			w.Header()["Content-Length"] = []string{"10", "11"}
			p.write(w, text(10))
		}),
		answer("no sniffing", func(p *peer, w http.ResponseWriter) {
			w.Header().Set("X-Content-Type-Options", "nosniff")
			p.write(w, []byte("<html>"))
		}),
	}
	for _, coding := range [][]string{nil, {}, {""}, {"gzip"}, {"", "gzip"}} {
		all = append(all, answer(fmt.Sprintf("coded %q", coding), func(p *peer, w http.ResponseWriter) {
			w.Header()["Content-Encoding"] = coding
			p.write(w, []byte("<html>"))
		}))
	}
	for _, content := range []string{"<html>", "{}", "\x1f\x8b\x08", "%PDF-", "  <?xml", "\x00\x01", "a"} {
		all = append(all, answer(fmt.Sprintf("sniffed %q", content), func(p *peer, w http.ResponseWriter) {
			p.write(w, []byte(content[:1]))
			p.write(w, []byte(content[1:]))
		}), answer(fmt.Sprintf("sniffed %q flushed", content), func(p *peer, w http.ResponseWriter) {
			p.write(w, []byte(content[:1]))
			p.flush(w)
			p.write(w, []byte(content[1:]))
		}), answer(fmt.Sprintf("sniffed %q and more", content), func(p *peer, w http.ResponseWriter) {
			p.write(w, []byte(content))
			p.write(w, text(9000))
		}))
	}
	return heads(all)
}

func trailers() []exchange {
	announce := func(w http.ResponseWriter, names ...string) {
		for _, n := range names {
			w.Header().Add("Trailer", n)
		}
	}
	var all []exchange
	for _, n := range []int{0, 10, 5000} {
		all = append(all, answer(fmt.Sprint("announced, behind ", n), func(p *peer, w http.ResponseWriter) {
			announce(w, "X-One", "x-two, X-Three", "X-Never")
			p.write(w, text(n))
			w.Header().Set("X-One", "1")
			w.Header()["X-Two"] = []string{"2", "3"}
			w.Header().Set("X-Three", "3")
			w.Header().Set("X-Other", "4")
		}), answer(fmt.Sprint("announced, flushed, behind ", n), func(p *peer, w http.ResponseWriter) {
			announce(w, "X-One")
			p.flush(w)
			p.write(w, text(n))
			p.flush(w)
			w.Header().Set("X-One", "1")
		}), answer(fmt.Sprint("announced, behind declared ", n), func(p *peer, w http.ResponseWriter) {
			announce(w, "X-One")
			w.Header().Set("Content-Length", fmt.Sprint(n))
			p.write(w, text(n))
			w.Header().Set("X-One", "1")
		}), answer(fmt.Sprint("by prefix, behind ", n), func(p *peer, w http.ResponseWriter) {
			p.write(w, text(n))
			w.Header().Set(http.TrailerPrefix+"X-One", "1")
			w.Header().Set(http.TrailerPrefix+"x-two", "2")
		}), answer(fmt.Sprint("by prefix before, behind ", n), func(p *peer, w http.ResponseWriter) {
			w.Header().Set(http.TrailerPrefix+"X-One", "1")
			w.Header().Set("X-Other", "2")
			p.write(w, text(n))
		}), answer(fmt.Sprint("announced and never said, behind ", n), func(p *peer, w http.ResponseWriter) {
			announce(w, "X-One")
			p.write(w, text(n))
		}), answer(fmt.Sprint("announced and said before, behind ", n), func(p *peer, w http.ResponseWriter) {
			announce(w, "X-One")
			w.Header().Set("X-One", "1")
			p.write(w, text(n))
		}), answer(fmt.Sprint("forbidden, behind ", n), func(p *peer, w http.ResponseWriter) {
			announce(w, "Content-Length", "Trailer", "Transfer-Encoding", "X-Good", "A B", "Content-Type", "Set-Cookie")
			w.Header().Set("Set-Cookie", "a=b")
			w.Header().Set("Content-Type", "a/b")
			p.write(w, text(n))
			w.Header().Set("X-Good", "1")
			w.Header().Set("A B", "1")
			w.Header().Set("Transfer-Encoding", "x")
		}), answer(fmt.Sprint("invalid, behind ", n), func(p *peer, w http.ResponseWriter) {
			p.write(w, text(n))
			w.Header()[http.TrailerPrefix+"A B"] = []string{"x"}
			w.Header()[http.TrailerPrefix+"X-Bad"] = []string{"a\nb", "good"}
			w.Header()[http.TrailerPrefix+"Content-Type"] = []string{"3"}
		}))
	}
	all = append(all, answer("behind 204", func(p *peer, w http.ResponseWriter) {
		announce(w, "X-One")
		w.WriteHeader(204)
		w.Header().Set("X-One", "1")
	}), answer("large", func(p *peer, w http.ResponseWriter) {
		announce(w, "X-One")
		p.write(w, text(10))
		w.Header().Set("X-One", string(text(100000)))
	}), answer("both ways", func(p *peer, w http.ResponseWriter) {
		announce(w, "X-One")
		p.write(w, text(10))
		w.Header().Set("X-One", "1")
		w.Header().Set(http.TrailerPrefix+"X-One", "2")
	}))
	for _, n := range []int{0, 10, 5000} {
		e := answer(fmt.Sprint("by prefix and asked for, behind declared ", n), func(p *peer, w http.ResponseWriter) {
			w.Header().Set("Content-Length", fmt.Sprint(n))
			p.write(w, text(n))
			w.Header().Set(http.TrailerPrefix+"X-One", "1")
		})
		e.request = func(r *http.Request) { r.Header.Set("Te", "trailers") }
		all = append(all, e)
	}
	return heads(all)
}

func failures() []exchange {
	var all []exchange
	for _, what := range []any{http.ErrAbortHandler, "a fault", fmt.Errorf("an error"), nil} {
		fail := func() { panic(what) }
		if what == nil {
			fail = func() {
				var none []int
				none[len(none)]++
			}
		}
		name := fmt.Sprintf("panic %v", what)
		for _, e := range []exchange{
			answer(name+" at once", func(p *peer, w http.ResponseWriter) { fail() }),
			answer(name+" after the code", func(p *peer, w http.ResponseWriter) { w.WriteHeader(201); fail() }),
			answer(name+" after a write", func(p *peer, w http.ResponseWriter) { p.write(w, text(10)); fail() }),
			answer(name+" after a flush", func(p *peer, w http.ResponseWriter) { p.write(w, text(10)); p.flush(w); fail() }),
			answer(name+" after much", func(p *peer, w http.ResponseWriter) {
				w.Header().Set("Content-Length", "200000")
				p.write(w, text(100000))
				fail()
			}),
		} {
			e.logged = what != http.ErrAbortHandler
			all = append(all, e)
		}
	}
	return all
}
