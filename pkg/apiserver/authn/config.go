package authn

import (
	"context"
	"crypto/x509"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// Config says which credentials are accepted.
type Config struct {
	// ClientCAFile holds the authorities whose client certificates are identities; empty: none are.
	ClientCAFile string
	// TokenFile is the CSV file of static tokens; empty: none.
	TokenFile string
	// FrontProxy, where set, is trusted to name its users in headers.
	FrontProxy *FrontProxyConfig
	// ServiceAccounts, where set, verifies the tokens of service accounts.
	ServiceAccounts Token
	// BootstrapTokens accepts the tokens kept in kube-system, which Reader finds.
	BootstrapTokens bool
	Reader          resource.Reader
	// Anonymous lets requests without a credential in as system:anonymous.
	Anonymous bool
	// Audiences are the server's own names.
	Audiences []string

	Now func() time.Time // nil: time.Now
	Log logr.Logger
}

// Chain is the authentication of the server.
type Chain struct {
	proxy     *frontProxy
	requests  union
	tokens    tokens
	anonymous bool
	clientCAs []*bundle
	log       logr.Logger
}

// New reads the files that cfg names; they are read again when they change.
func New(cfg Config) (*Chain, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Chain{anonymous: cfg.Anonymous, log: cfg.Log}
	if cfg.FrontProxy != nil {
		p, err := newFrontProxy(*cfg.FrontProxy, cfg.Now, cfg.Log)
		if err != nil {
			return nil, err
		}
		c.proxy = p
		c.clientCAs = append(c.clientCAs, p.certs.bundle)
		c.requests = append(c.requests, p)
	}
	if cfg.ClientCAFile != "" {
		b, err := newBundle(cfg.ClientCAFile, cfg.Now, cfg.Log)
		if err != nil {
			return nil, err
		}
		c.clientCAs = append(c.clientCAs, b)
		c.requests = append(c.requests, &clientCertificates{certs: newVerifier(b, cfg.Now)})
	}
	if cfg.TokenFile != "" {
		t, err := readTokenFile(cfg.TokenFile, cfg.Audiences)
		if err != nil {
			return nil, err
		}
		c.tokens = append(c.tokens, t)
	}
	if cfg.ServiceAccounts != nil {
		c.tokens = append(c.tokens, cfg.ServiceAccounts)
	}
	if cfg.BootstrapTokens {
		c.tokens = append(c.tokens, &bootstrapTokens{reader: cfg.Reader, audiences: cfg.Audiences, now: cfg.Now})
	}
	c.requests = append(c.requests, bearer{c})
	return c, nil
}

// Authenticate answers who sends the request. An error is always the 401 status that the client gets; its
// cause is logged. Credentials that were accepted are taken out of the headers.
func (c *Chain) Authenticate(r *http.Request) (*request.User, error) {
	user, err := c.requests.Authenticate(r)
	if c.proxy != nil {
		c.proxy.clear(r.Header)
	}
	switch {
	case user != nil:
		r.Header.Del("Authorization")
		return withGroup(user, GroupAuthenticated), nil
	case err != nil:
		c.log.V(1).Info("unable to authenticate the request", "err", err.Error())
		return nil, Unauthorized()
	case c.anonymous:
		return &request.User{Name: AnonymousUser, Groups: []string{GroupUnauthenticated}}, nil
	}
	return nil, Unauthorized()
}

// AuthenticateToken implements Token for reviews of tokens; unlike a Token, it answers an error for a token
// that nobody knows.
func (c *Chain) AuthenticateToken(ctx context.Context, token string, audiences []string) (*request.User, []string, error) {
	user, auds, err := c.tokens.AuthenticateToken(ctx, token, audiences)
	if user != nil {
		return user, auds, nil
	}
	errs := []error{errInvalidToken}
	if err != nil {
		errs = append(errs, err)
	}
	return nil, nil, utilerrors.NewAggregate(errs)
}

// ClientCAs are the authorities to name in the TLS handshake, so that clients know which certificate to
// send. It is nil where no client certificate is accepted.
func (c *Chain) ClientCAs() *x509.CertPool {
	if len(c.clientCAs) == 0 {
		return nil
	}
	pool := x509.NewCertPool()
	for _, b := range c.clientCAs {
		for _, cert := range b.current().certs {
			pool.AddCert(cert)
		}
	}
	return pool
}
