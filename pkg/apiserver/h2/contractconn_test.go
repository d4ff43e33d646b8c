package h2

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// connections are exchanges about what is shared by requests.
func connections() []exchange {
	return []exchange{
		connectionClose(), byHand(), headerBound(), headerTooLarge(), manyStreams(), shutdown(), closing(), idle(),
	}
}

// byHand are requests that no good client makes. Some that are none net/http serves, or answers with 400.
func byHand() exchange {
	return exchange{name: "by hand", client: func(p *peer) {
		conn := p.dial(p)
		defer conn.close()
		conn.greet()
		for i, fields := range [][]string{
			{}, {":authority", none}, {":authority", none, "host", "there"}, {"host", "there"}, {":authority", ""}, {":authority", "", "host", "there"},
			{":scheme", "http"}, {":scheme", "HTTPS"}, {":scheme", "ftp"}, {":scheme", ""}, {":scheme", none},
			{":path", "*"}, {":path", "*", ":method", "OPTIONS"}, {":path", "https://there/a"}, {":path", "a"}, {":path", ""}, {":path", none},
			{":path", "/a b"}, {":path", "/%zz"}, {":path", "/a#b"}, {":path", "//there/a"}, {":path", "/a?b?c"}, {":path", "/\x7f"}, {":path", "/ü"}, {":path", "?"},
			{":method", ""}, {":method", none}, {":method", "A-B"}, {":method", "CONNECT"}, {":method", "CONNECT", ":scheme", none},
			{":method", "CONNECT", ":scheme", none, ":path", none}, {":method", "CONNECT", ":scheme", none, ":path", none, ":authority", ""},
			{"content-length", "0"},
			{"cookie", "a=b", "x-one", "1", "cookie", "c=d", "x-one", "2"}, {"cookie", ""}, {"te", "trailers"},
			{"trailer", "x-one, X-Two", "trailer", "content-length"}, {"expect", "100-continue"}, {"expect", "x, 100-Continue"},
			{"x-empty", ""}, {"x-space", " a "}, {"x-tab", "a\tb"}, {"x-bad", "a\x00b"}, {"x-bad", "a\rb"}, {"x-high", "\xff\xfe"},
			{"x y", "a"}, {"", "a"}, {"X-Upper", "a"}, {"x:y", "a"}, {"ü", "a"}, {":status", "200"}, {":path", "/", "x", "y", ":late", "z"},
			{"authorization", "Bearer x"}, {"etag", "x"}, {"www-authenticate", "x"}, {"x-remote-extra-a%2fb", "x"},
		} {
			id := uint32(2*i + 1)
			conn.begin(id, true, fields...)
			status, _ := conn.answer(id)
			p.add("%q: %s", fields, status)
		}
	}, handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
		delete(r.Header, "Host") // net/http has it there too
		p.asked(r)
	}}
}

// connectionClose ends a connection with the request that it has.
func connectionClose() exchange {
	var mu sync.Mutex
	remotes := map[string]string{}
	return exchange{name: "Connection: close", client: func(p *peer) {
		for _, path := range []string{"/keep", "/close", "/keep"} {
			p.roundTrip(p.newRequest("GET", path, nil))
		}
		mu.Lock()
		p.add("connections: %d", len(remotes))
		clear(remotes)
		mu.Unlock()
	}, handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		remotes[r.RemoteAddr] = r.URL.Path
		mu.Unlock()
		if r.URL.Path == "/close" {
			w.Header().Set("Connection", "close")
		}
		_, _ = w.Write(text(10))
	}}
}

// headerBound finds the largest header that is let in.
func headerBound() exchange {
	return exchange{name: "header's bound", server: func(s *http.Server) { s.MaxHeaderBytes = 4096 }, client: func(p *peer) {
		p.roundTrip(p.newRequest("GET", "/", nil)) // from here on the client knows the bound
		least, most := 0, 5000
		for most-least > 1 {
			n := (least + most) / 2
			r := p.newRequest("GET", "/", nil)
			r.Host = "localhost" // of the same length always
			r.Header.Set("X-Large", strings.Repeat("x", n))
			resp, err := p.fixture.client.RoundTrip(r)
			if err != nil {
				most = n
				continue
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				p.Errorf("status %d", resp.StatusCode)
			}
			least = n
		}
		p.add("the largest is %d", least)
	}, handle: func(*peer, http.ResponseWriter, *http.Request) {}}
}

// headerTooLarge is sent by a client that does not heed the bound.
func headerTooLarge() exchange {
	return exchange{name: "header too large", server: func(s *http.Server) { s.MaxHeaderBytes = 4096 }, client: func(p *peer) {
		conn := p.dial(p)
		defer conn.close()
		conn.greet()
		large := strings.Repeat("x", 3000)
		conn.begin(1, true, "x-large", large, "x-larger", large)
		status, body := conn.answer(1)
		head := conn.awaitFrame(http2.FrameHeaders, 1)
		p.add("%s, %s, %s, %s", status, head.field("content-type"), head.field("content-length"), body)
	}, handle: func(p *peer, w http.ResponseWriter, r *http.Request) { p.add("served") }}
}

// manyStreams are more requests at once than a connection may have: the client takes another one, whose server refuses
// none of them.
func manyStreams() exchange {
	const streams, all = 100, 101
	var connections sync.Map
	here := make(chan struct{}, all)
	return exchange{name: "many streams", server: func(s *http.Server) {
		s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
		connections.Clear()
	}, client: func(p *peer) {
		p.roundTrip(p.newRequest("GET", "/first", nil))
		var done sync.WaitGroup
		for range all {
			done.Go(func() {
				resp, err := p.fixture.client.RoundTrip(p.newRequest("GET", "/", nil))
				if err != nil {
					p.add("error: %v", err)
					return
				}
				_, err = io.Copy(io.Discard, resp.Body)
				p.add("%s %v", resp.Status, err)
			})
		}
		for range all {
			within(p, "a handler", here)
		}
		close(p.gate)
		done.Wait()
		used := 0
		connections.Range(func(any, any) bool { used++; return true })
		p.add("more than one connection: %v", used > 1)
	}, handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			return
		}
		connections.Store(r.RemoteAddr, true)
		here <- struct{}{}
		<-p.gate
	}}
}

// shutdown lets requests end, and takes no more.
func shutdown() exchange {
	return exchange{name: "Shutdown", client: func(p *peer) {
		conn := p.dial(p)
		defer conn.close()
		conn.greet()
		conn.begin(1, true)
		conn.awaitFrame(http2.FrameHeaders, 1)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- p.fixture.server.Shutdown(ctx) }()
		away := conn.awaitFrame(http2.FrameGoAway, 0)
		p.add("GOAWAY %d, %v", away.n, away.code)
		conn.begin(3, true, ":path", "/late") // which is not served
		_, err := p.fixture.client.RoundTrip(p.newRequest("GET", "/late", nil))
		p.add("another connection: %v", err != nil)
		close(p.gate)
		status, body := conn.answer(1)
		p.add("%s, %s", status, short(body))
		conn.close()
		p.add("shut down: %v", within(p, "the end", ended))
	}, handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
		p.add("%s", r.URL)
		p.flush(w)
		<-p.gate
		p.write(w, text(20_000))
		p.add("%v", r.Context().Err())
	}}
}

// closing ends the connections at once.
func closing() exchange {
	return exchange{name: "Close", client: func(p *peer) {
		resp, err := p.fixture.client.RoundTrip(p.newRequest("GET", "/", nil))
		if err != nil {
			p.Error(err)
			return
		}
		p.add("%v", p.fixture.server.Close())
		_, err = io.Copy(io.Discard, resp.Body)
		p.add("%v", err != nil)
	}, handle: func(p *peer, w http.ResponseWriter, r *http.Request) {
		p.flush(w)
		within(p, "the context's end", r.Context().Done())
		p.add("%v", r.Context().Err())
	}}
}

// idle ends a connection that nobody uses.
func idle() exchange {
	return exchange{name: "IdleTimeout", server: func(s *http.Server) { s.IdleTimeout = 10 * time.Millisecond }, client: func(p *peer) {
		conn := p.dial(p)
		defer conn.close()
		conn.greet()
		away := conn.awaitFrame(http2.FrameGoAway, 0)
		p.add("the last is %d, %v", away.n, away.code)
	}}
}
