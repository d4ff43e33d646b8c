package h2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// requests are exchanges whose handlers say what they were asked.
func requests() []exchange {
	var all []exchange
	add := func(name string, request func(*http.Request)) {
		all = append(all, exchange{name: name, request: request, handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
			p.asked(r)
			body, err := io.ReadAll(r.Body)
			p.add("body: %s, %v", short(body), err)
			p.header("trailer ", r.Trailer)
		}})
	}
	add("plain", func(*http.Request) {})
	add("fields", func(r *http.Request) {
		r.Header["Accept"] = []string{"a/b", "c/d"}
		r.Header.Set("User-Agent", "me")
		r.Header.Set("X-Strange_Name.1", " x ")
		r.Header.Set("X-Empty", "")
		r.Header.Set("Te", "trailers")
		r.Header.Set("Authorization", "Bearer x")
		r.Header.Set("Connection", "close")
	})
	add("cookies", func(r *http.Request) {
		r.AddCookie(&http.Cookie{Name: "a", Value: "1"})
		r.AddCookie(&http.Cookie{Name: "b", Value: "2"})
		r.Header.Add("Cookie", "c=3")
	})
	add("another host", func(r *http.Request) { r.Host = "other.example:1234" })
	for _, method := range []string{"HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "STRANGE", "get"} {
		add("method "+method, func(r *http.Request) { r.Method = method })
	}
	add("trailers announced", func(r *http.Request) {
		r.Method, r.Body, r.ContentLength = "POST", io.NopCloser(bytes.NewReader(text(5000))), -1
		r.Trailer = http.Header{"X-One": {"1", "2"}, "X-Two": {"3"}, "X-None": nil}
	})
	for _, n := range []int{0, 1, 4096, 100_000, 3 << 20} {
		add(fmt.Sprintf("body of %d", n), func(r *http.Request) {
			r.Method, r.Body, r.ContentLength = "POST", io.NopCloser(bytes.NewReader(text(n))), int64(n)
		})
		add(fmt.Sprintf("body of %d, undeclared", n), func(r *http.Request) {
			r.Method, r.Body, r.ContentLength = "POST", io.NopCloser(bytes.NewReader(text(n))), -1
		})
		add(fmt.Sprintf("body of %d after 100", n), func(r *http.Request) {
			r.Method, r.Body, r.ContentLength = "POST", io.NopCloser(bytes.NewReader(text(n))), int64(n)
			r.Header.Set("Expect", "100-continue")
		})
	}
	add("another expectation", func(r *http.Request) { r.Header.Set("Expect", "miracles") })
	return all
}

func bodies() []exchange {
	const size = 200_000
	post := func(r *http.Request) {
		r.Method, r.Body, r.ContentLength = "POST", io.NopCloser(bytes.NewReader(text(size))), size
	}
	asking := func(r *http.Request) {
		post(r)
		r.Header.Set("Expect", "100-continue")
	}
	all := []exchange{
		{name: "body not read", request: post, handle: func(p *peer, w http.ResponseWriter, r *http.Request) { p.write(w, text(10)) }},
		{name: "body read in part", request: post, handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
			_, err := io.ReadFull(r.Body, make([]byte, 1000))
			p.add("%v", err)
			p.write(w, text(5000))
		}},
		{name: "body read after it was closed", request: post, handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
			_, err := io.ReadFull(r.Body, make([]byte, 1000))
			p.add("%v, %v, %v", err, r.Body.Close(), r.Body.Close())
			n, err := r.Body.Read(make([]byte, 10))
			p.add("%d, %v", n, err != nil)
		}},
		{name: "no body read after it was closed", handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
			p.add("%v", r.Body.Close())
			n, err := r.Body.Read(make([]byte, 10))
			p.add("%d, %v", n, err)
		}},
		{name: "read to the end twice", request: post, handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			p.add("%d, %v", n, err)
			m, err := r.Body.Read(make([]byte, 10))
			p.add("%d, %v, %v", m, err, r.Body.Close())
		}},
		{name: "100 not asked for", request: asking, handle: func(p *peer, w http.ResponseWriter, r *http.Request) { w.WriteHeader(417) }},
		{name: "100 after the answer began", request: asking, handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			p.flush(w)
			_ = r.Body.Close()
		}},
		{name: "100 by the handler", request: asking, handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(100)
			n, err := io.Copy(io.Discard, r.Body)
			p.add("%d, %v", n, err)
		}},
		{name: "too large a body", request: post, handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
			data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1000))
			p.add("%d, %v", len(data), err)
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		}},
		{name: "body that fails", client: func(p *peer) {
			p.roundTrip(p.newRequest("POST", "/", io.MultiReader(bytes.NewReader(text(10)), failing{p.gate})))
		}, handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
			close(p.gate)
			_, err := io.ReadAll(r.Body) // of what came before, as much as was read in time
			p.add("%v", err != nil)
			<-r.Context().Done()
		}},
	}
	for _, n := range []int64{10, size} {
		all = append(all, exchange{name: fmt.Sprintf("body of %d read after the handler ended", n), client: func(p *peer) {
			r := p.newRequest("POST", "/", bytes.NewReader(text(int(n))))
			p.roundTrip(r)
		}, handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
			_, err := io.ReadFull(r.Body, make([]byte, 5))
			p.add("%v", err)
			go func() {
				<-r.Context().Done()
				_, _ = io.Copy(io.Discard, r.Body) // must not hang
			}()
		}})
	}
	return append(all, fullDuplex())
}

// failing fails once the handler runs.
type failing struct{ begun <-chan struct{} }

func (f failing) Read([]byte) (int, error) {
	<-f.begun
	return 0, errors.New("no more")
}

// fullDuplex is answered while it is asked.
func fullDuplex() exchange {
	return exchange{name: "full duplex", client: func(p *peer) {
		out, in := io.Pipe()
		resp, err := p.fixture.client.RoundTrip(p.newRequest("POST", "/", out))
		if err != nil {
			p.Error(err)
			return
		}
		for i := range 10 {
			_, _ = fmt.Fprintf(in, "piece %d", i)
			b := make([]byte, 7)
			_, err := io.ReadFull(resp.Body, b)
			p.add("%s, %v", b, err)
		}
		_ = in.Close()
		p.answered(resp)
	}, handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
		p.add("%v", http.NewResponseController(w).EnableFullDuplex())
		p.flush(w)
		b := make([]byte, 7)
		for {
			if _, err := io.ReadFull(r.Body, b); err != nil {
				p.add("%v", err)
				break
			}
			_, _ = w.Write(b)
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = w.Write([]byte("the end"))
	}}
}

func targets() []exchange {
	see := func(p *peer, w http.ResponseWriter, r *http.Request) { p.asked(r) }
	all := []exchange{
		{name: "target *", request: func(r *http.Request) { r.Method, r.URL.Path = "OPTIONS", "*" }, handle: see},
		{name: "target * of GET", request: func(r *http.Request) { r.URL.Path = "*" }, handle: see},
		{name: "target opaque", request: func(r *http.Request) { r.URL.Opaque = "/a%2fb/c" }, handle: see},
		{name: "target of none", request: func(r *http.Request) { r.URL.Path = "" }, handle: see},
		{name: "target forced", request: func(r *http.Request) { r.URL.Path, r.URL.ForceQuery = "/a", true }, handle: see},
		{name: "CONNECT", client: func(p *peer) {
			out, in := io.Pipe()
			r := p.newRequest("CONNECT", "", out)
			r.Host = "there:443"
			resp, err := p.fixture.client.RoundTrip(r)
			if err != nil {
				p.Error(err)
				return
			}
			_, _ = in.Write([]byte("hello"))
			_ = in.Close()
			p.answered(resp)
		}, handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
			p.asked(r)
			p.flush(w)
			_, err := io.Copy(w, r.Body)
			p.add("%v", err)
		}},
	}
	for _, target := range []string{"//", "//a", "//a//b", "/a/../b", "/a%2Fb", "/a%20b", "/ü", "/a;b=c", "/a:b", "/%00"} {
		all = append(all, exchange{name: "target " + target, request: func(r *http.Request) {
			r.URL.Path, _ = url.PathUnescape(target)
			r.URL.RawPath = target
			r.URL.RawQuery = "a=b&c=%20+d&e&=&f=%zz;g"
		}, handle: see})
	}
	return all
}

func deadlines() []exchange {
	past, soon := time.Unix(1, 0), 20*time.Millisecond
	held := func(r *http.Request) {
		out, _ := io.Pipe()
		r.Method, r.Body, r.ContentLength = "POST", out, -1
	}
	late := func(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
	read := func(p *peer, w http.ResponseWriter, r *http.Request) {
		_, err := r.Body.Read(make([]byte, 10))
		p.add("%v, %v", late(err), r.Context().Err())
		w.WriteHeader(408)
	}
	fill := func(w io.Writer) error {
		for {
			if _, err := w.Write(text(10_000)); err != nil {
				return err
			}
		}
	}
	return []exchange{
		{name: "read deadline past", request: held, handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
			p.add("%v", http.NewResponseController(w).SetReadDeadline(past))
			read(p, w, r)
		}},
		{name: "read deadline soon", request: held, handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
			p.add("%v", http.NewResponseController(w).SetReadDeadline(time.Now().Add(soon)))
			read(p, w, r)
		}},
		{name: "read deadline taken back", request: func(r *http.Request) {
			r.Method, r.Body = "POST", io.NopCloser(strings.NewReader("hello"))
		}, handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			p.add("%v, %v", c.SetReadDeadline(time.Now().Add(time.Hour)), c.SetReadDeadline(time.Time{}))
			data, err := io.ReadAll(r.Body)
			p.add("%s, %v", data, err)
		}},
		{name: "write deadline past", handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
			p.add("%v", http.NewResponseController(w).SetWriteDeadline(past))
			_, _ = w.Write(text(10))
			p.add("flushed %v", http.NewResponseController(w).Flush() != nil)
			<-r.Context().Done()
		}},
		{name: "write deadline soon", handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
			p.add("%v", http.NewResponseController(w).SetWriteDeadline(time.Now().Add(soon)))
			<-r.Context().Done()
			p.add("%v, %v", r.Context().Err(), fill(w) != nil)
		}},
		{name: "write deadline of a client that does not read", client: func(p *peer) {
			resp, err := p.fixture.client.RoundTrip(p.newRequest("GET", "/", nil))
			if err != nil {
				p.Error(err)
				return
			}
			_, err = resp.Body.Read(make([]byte, 1))
			p.add("%v", err)
		}, handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
			p.add("%v, %v", fill(w) != nil, r.Context().Err())
		}},
		{name: "write deadline taken back", handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			p.add("%v, %v", c.SetWriteDeadline(time.Now().Add(time.Hour)), c.SetWriteDeadline(time.Time{}))
			p.write(w, text(9000))
		}},
		cancelled("that waits", func(p *peer, w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
		cancelled("that writes", func(p *peer, w http.ResponseWriter, r *http.Request) { p.add("%v", fill(w) != nil) }),
		cancelled("that flushes", func(p *peer, w http.ResponseWriter, r *http.Request) {
			for http.NewResponseController(w).Flush() == nil {
			}
		}),
		cancelled("that reads", func(p *peer, w http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			p.add("%v", err != nil)
		}),
	}
}

// cancelled is given up by the client when the answer has begun.
func cancelled(name string, handle func(*peer, http.ResponseWriter, *http.Request)) exchange {
	return exchange{name: "cancelled " + name, client: func(p *peer) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		out, in := io.Pipe()
		defer func() { _ = in.Close() }()
		resp, err := p.fixture.client.RoundTrip(p.newRequest("POST", "/", out).WithContext(ctx))
		if err != nil {
			p.Error(err)
			return
		}
		cancel()
		_ = resp.Body.Close() // for the client looks at its context only when it has sent the body
		_, err = io.Copy(io.Discard, resp.Body)
		p.add("%v", err != nil)
	}, handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
		p.flush(w)
		handle(p, w, r)
		within(p, "the context's end", r.Context().Done())
		p.add("%v, %v", r.Context().Err(), context.Cause(r.Context()))
	}}
}
