package streaming

import (
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Fail answers a request with an error, in the form of the server that the request came to.
type Fail func(w http.ResponseWriter, r *http.Request, err error)

// Proxy passes one request on to a server, upgrades included, and the answer back.
type Proxy struct {
	// Target is the URL to ask, without a query; the query of the request goes with it.
	Target *url.URL
	// Transport carries the request. It must speak HTTP/1.1, follow no redirects (a RoundTripper never does) and
	// dial only what it may.
	Transport http.RoundTripper
	// Prefix is the path by which the client knows the root of Target. Where it is set the server is told
	// of it, paths in Location and in pages of HTML are translated to it, and the server has no say in who may read
	// what: it answers in another's name.
	Prefix string
	// NoRedirects turns an answer that redirects into 502, for servers that have no business to redirect.
	NoRedirects bool
	// Idle ends an upgraded connection on which nothing moved for so long; 0: never.
	Idle time.Duration
	// Fail answers when the server cannot be reached.
	Fail Fail
}

const redirectRefused = "the backend attempted to redirect this request, which is not permitted"

// ServeHTTP passes the request on.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.Prefix != "" && p.Target.Path == "" && !IsUpgrade(r) && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		// Relative links in the answer would miss the last element of the path without the slash.
		to := r.URL.Path + "/"
		if r.URL.RawQuery != "" {
			to += "?" + r.URL.RawQuery
		}
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusMovedPermanently)
		return
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      p.Transport,
		FlushInterval:  -1, // logs and events are to be seen when they are sent
		ModifyResponse: func(answer *http.Response) error { return p.answered(r, answer) },
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if IsUpgrade(r) {
				w.Header().Set("Connection", "close")
			}
			p.Fail(w, r, err)
		},
	}
	proxy.ServeHTTP(w, r)
}

func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	target := *p.Target
	target.RawQuery = pr.In.URL.RawQuery
	pr.Out.URL = &target
	pr.Out.Host = target.Host
	if len(pr.In.Header["X-Forwarded-For"]) > 0 {
		pr.Out.Header["X-Forwarded-For"] = pr.In.Header["X-Forwarded-For"]
	}
	pr.SetXForwarded()
	pr.Out.Header.Del("X-Forwarded-Host")
	pr.Out.Header.Del("X-Forwarded-Proto")
	if p.Prefix != "" {
		pr.Out.Host = pr.In.Host
		pr.Out.Header.Set("X-Forwarded-Uri", (&url.URL{Path: pr.In.URL.Path}).EscapedPath())
		pr.Out.Header.Set("X-Forwarded-Host", pr.In.Host)
		pr.Out.Header.Set("X-Forwarded-Proto", "https")
	}
	// Who the client is was told to the server that it asked, and to no other.
	pr.Out.Header.Del("Authorization")
	for name := range pr.Out.Header {
		if strings.HasPrefix(name, "Impersonate-") || strings.HasPrefix(name, "X-Remote-") {
			pr.Out.Header.Del(name)
		}
	}
}

// answered looks at the answer before it goes to the client.
func (p *Proxy) answered(r *http.Request, answer *http.Response) error {
	if p.Prefix != "" {
		for _, name := range []string{"Credentials", "Headers", "Methods", "Origin"} {
			answer.Header.Del("Access-Control-Allow-" + name)
		}
	}
	location := answer.Header.Get("Location")
	redirect := location != "" && (answer.StatusCode/100 == 3 || answer.StatusCode == http.StatusCreated)
	switch {
	case answer.StatusCode == http.StatusSwitchingProtocols:
		if conn, ok := answer.Body.(io.ReadWriteCloser); ok && p.Idle > 0 {
			answer.Body = newIdleConn(conn, p.Idle)
		}
		return nil
	case redirect && answer.StatusCode/100 == 3 && p.NoRedirects:
		_ = answer.Body.Close()
		answer.StatusCode, answer.Status = http.StatusBadGateway, "502 Bad Gateway"
		answer.Header = http.Header{"Content-Type": {"text/plain; charset=utf-8"}}
		answer.Body, answer.ContentLength = io.NopCloser(strings.NewReader(redirectRefused)), int64(len(redirectRefused))
	case redirect && p.Prefix != "":
		answer.Header.Set("Location", p.translated(r, location))
	case p.Prefix != "" && isPage(answer):
		rewriteLinks(answer, func(address string) string { return p.translated(r, address) })
	}
	if IsUpgrade(r) {
		// What the client sends next was meant for another protocol and must not be read as a request.
		answer.Header.Set("Connection", "close")
	}
	return nil
}

// translated is an address that the server gave as the client must ask for it. Places on other hosts stay as they are,
// and so do those that the server gave with the prefix that it was told of.
func (p *Proxy) translated(r *http.Request, address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host != "" && u.Host != p.Target.Host && u.Host != r.Host {
		return address
	}
	if !strings.HasPrefix(u.Path, "/") && (u.Host == "" || u.Path != "") {
		return address // relative to where the client is already
	}
	u.Scheme, u.Host = "", ""
	if prefix := strings.TrimSuffix(p.Prefix, "/"); u.Path != prefix && !strings.HasPrefix(u.Path, prefix+"/") {
		u.Path = prefix + "/" + strings.TrimPrefix(u.Path, "/")
		u.RawPath = ""
	}
	return u.String()
}

// errUpgradeRequired answers a request for a stream that is an ordinary one.
func errUpgradeRequired() error { return apierrors.NewBadRequest("Upgrade request required") }
