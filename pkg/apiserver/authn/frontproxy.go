package authn

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// FrontProxyConfig says whom the server believes what stands in headers about the user.
type FrontProxyConfig struct {
	ClientCAFile        string   // who signs the proxy's certificate
	AllowedNames        []string // common names of the proxy; none: any that ClientCAFile signed
	UsernameHeaders     []string // in order, the first with a value counts
	UIDHeaders          []string
	GroupHeaders        []string // every value of every one
	ExtraHeaderPrefixes []string
}

type frontProxy struct {
	cfg   FrontProxyConfig
	certs *verifier
}

func newFrontProxy(cfg FrontProxyConfig, now func() time.Time, log logr.Logger) (*frontProxy, error) {
	b, err := newBundle(cfg.ClientCAFile, now, log)
	if err != nil {
		return nil, fmt.Errorf("front proxy: %w", err)
	}
	for _, list := range []*[]string{&cfg.UsernameHeaders, &cfg.UIDHeaders, &cfg.GroupHeaders, &cfg.ExtraHeaderPrefixes} {
		trimmed := make([]string, 0, len(*list))
		for _, h := range *list {
			h = strings.TrimSpace(h)
			if h == "" {
				return nil, fmt.Errorf("front proxy: empty header name in %q", *list)
			}
			trimmed = append(trimmed, h)
		}
		*list = trimmed
	}
	return &frontProxy{cfg: cfg, certs: newVerifier(b, now)}, nil
}

func (p *frontProxy) Authenticate(r *http.Request) (*request.User, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, nil
	}
	if err := p.certs.verify(r.TLS.PeerCertificates); err != nil {
		return nil, err
	}
	cn := r.TLS.PeerCertificates[0].Subject.CommonName
	if len(p.cfg.AllowedNames) > 0 && !slices.Contains(p.cfg.AllowedNames, cn) {
		return nil, fmt.Errorf("x509: subject with cn=%s is not in the allowed list", cn)
	}
	name := first(r.Header, p.cfg.UsernameHeaders)
	if name == "" {
		return nil, nil
	}
	user := &request.User{Name: name, UID: first(r.Header, p.cfg.UIDHeaders)}
	for _, h := range p.cfg.GroupHeaders {
		for _, v := range r.Header.Values(h) {
			if v != "" {
				user.Groups = append(user.Groups, v)
			}
		}
	}
	user.Extra = p.extra(r.Header)
	return user, nil
}

func first(h http.Header, names []string) string {
	for _, n := range names {
		if v := h.Get(n); v != "" {
			return v
		}
	}
	return ""
}

func (p *frontProxy) extra(h http.Header) map[string][]string {
	var extra map[string][]string
	for name, values := range h {
		for _, prefix := range p.cfg.ExtraHeaderPrefixes {
			if !hasPrefixFold(name, prefix) {
				continue
			}
			if extra == nil {
				extra = map[string][]string{}
			}
			k := unescapeExtra(strings.ToLower(name[len(prefix):]))
			extra[k] = append(extra[k], values...)
		}
	}
	return extra
}

// clear takes the headers out, whoever sent them: nothing behind the authentication shall see an
// identity that a client only claims.
func (p *frontProxy) clear(h http.Header) {
	for _, list := range [][]string{p.cfg.UsernameHeaders, p.cfg.UIDHeaders, p.cfg.GroupHeaders} {
		for _, n := range list {
			h.Del(n)
		}
	}
	for name := range h {
		for _, prefix := range p.cfg.ExtraHeaderPrefixes {
			if hasPrefixFold(name, prefix) {
				delete(h, name)
			}
		}
	}
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// unescapeExtra reads a key that was percent-encoded to fit into a header's name.
func unescapeExtra(key string) string {
	if k, err := url.PathUnescape(key); err == nil {
		return k
	}
	return key
}
