package guard

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/plugins"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/policy"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/webhook"
	"github.com/sampan-project/sampan/pkg/apiserver/authn"
	"github.com/sampan-project/sampan/pkg/apiserver/authz/chain"
	"github.com/sampan-project/sampan/pkg/apiserver/bootstrapobjects"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/serviceaccount"
	"github.com/sampan-project/sampan/pkg/pki"
)

// Config is what the guard needs from the server around it.
type Config struct {
	*Options
	Access resource.Access
	// Kinds knows what is served, for policies.
	Kinds policy.Kinds
	// Tokens is set up by New to answer requests for tokens; the resource that hands them to it exists before.
	Tokens *serviceaccount.Requests
	// CertDir keeps the signing key of a server that was given none.
	CertDir string
	// ExternalURL is where clients reach the server, for the discovery of token keys: https://host:port.
	ExternalURL string
	Metrics     prometheus.Registerer
	Now         func() time.Time
	Log         logr.Logger
}

// Guard is everything that decides who may do what.
type Guard struct {
	Authn     *authn.Chain
	Authz     *chain.Chain
	Admission admission.Chain
	// Documents serve the discovery of token keys, by path; nil where the issuer does not allow it.
	Documents map[string]http.Handler

	cfg Config
}

// New starts what follows the cluster; it ends with ctx.
func New(ctx context.Context, cfg Config) (*Guard, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	g := &Guard{cfg: cfg}
	verifier, err := g.accounts()
	if err != nil {
		return nil, err
	}
	if err := g.authentication(verifier); err != nil {
		return nil, err
	}
	nodeRules, err := bootstrapobjects.NodeRules()
	if err != nil {
		return nil, err
	}
	if g.Authz, err = chain.New(ctx, chain.Config{Modes: cfg.Modes, Reader: cfg.Access, NodeRules: nodeRules}); err != nil {
		return nil, err
	}
	rules, err := plugins.New(ctx, plugins.Config{
		Enable: cfg.EnablePlugins, Disable: cfg.DisablePlugins, Access: cfg.Access, Kinds: cfg.Kinds, Authorizer: g.Authz, Roles: g.Authz.Roles,
		File: cfg.AdmissionFile, NotReadySeconds: cfg.NotReadySeconds, UnreachableSeconds: cfg.UnreachableSeconds, Now: cfg.Now,
		Webhooks: webhook.NewMetrics(cfg.Metrics), Policies: policy.NewMetrics(cfg.Metrics), Log: cfg.Log.WithName("admission"),
	})
	if err != nil {
		return nil, err
	}
	var measured *admission.Metrics
	g.Admission, measured = admission.Measured(append([]admission.Plugin{creation(g.Authz)}, rules...))
	cfg.Metrics.MustRegister(measured)
	return g, nil
}

// accounts sets up the tokens of service accounts.
func (g *Guard) accounts() (*serviceaccount.Verifier, error) {
	cfg := g.cfg
	issuers := cfg.AccountIssuers
	if len(issuers) == 0 {
		issuers = []string{DefaultIssuer}
	}
	if len(cfg.Audiences) == 0 {
		g.cfg.Options.Audiences = slices.Clone(issuers[:1])
	}
	signer, err := g.signingKey()
	if err != nil {
		return nil, err
	}
	var keys []crypto.PublicKey
	for _, f := range cfg.AccountKeyFiles {
		k, err := pki.LoadPublicKeys(f)
		if err != nil {
			return nil, fmt.Errorf("--service-account-key-file: %w", err)
		}
		keys = append(keys, k...)
	}
	if len(keys) == 0 {
		keys = []crypto.PublicKey{signer.Public()}
	}
	issuer, err := serviceaccount.NewIssuer(issuers[0], signer, cfg.Now)
	if err != nil {
		return nil, err
	}
	*cfg.Tokens = serviceaccount.Requests{Issuer: issuer, Access: cfg.Access, Audiences: g.cfg.Audiences,
		Max: cfg.AccountMaxLife, Extend: cfg.AccountExtend, Now: cfg.Now}
	if d, err := serviceaccount.NewDiscovery(issuers[0], cfg.AccountJWKSURI, cfg.ExternalURL, keys); err != nil {
		cfg.Log.Info(err.Error())
	} else {
		g.Documents = d.Handlers()
	}
	return serviceaccount.NewVerifier(serviceaccount.VerifierConfig{
		Issuers: issuers, Keys: keys, Audiences: g.cfg.Audiences, Access: cfg.Access, Lookup: cfg.AccountLookup, Now: cfg.Now,
		Metrics: serviceaccount.NewMetrics(cfg.Metrics), Log: cfg.Log,
	})
}

// signingKey is the one that was given, or one that is made at the first start and kept.
func (g *Guard) signingKey() (crypto.Signer, error) {
	if g.cfg.AccountSigningKey != "" {
		key, err := pki.LoadKey(g.cfg.AccountSigningKey)
		if err != nil {
			return nil, fmt.Errorf("--service-account-signing-key-file: %w", err)
		}
		return key, nil
	}
	file := filepath.Join(g.cfg.CertDir, "service-account.key")
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return pki.LoadKey(file)
	}
	key, err := pki.NewKey(pki.ECDSAP256)
	if err != nil {
		return nil, fmt.Errorf("making a key for service account tokens: %w", err)
	}
	if err := pki.WriteKey(file, key); err != nil {
		return nil, fmt.Errorf("keeping the key for service account tokens: %w", err)
	}
	return key, nil
}

func (g *Guard) authentication(accounts authn.Token) error {
	cfg := g.cfg
	c := authn.Config{
		ClientCAFile: cfg.ClientCAFile, TokenFile: cfg.TokenFile, ServiceAccounts: accounts,
		BootstrapTokens: cfg.BootstrapTokens, Reader: cfg.Access,
		Anonymous: cfg.Anonymous, Audiences: cfg.Audiences, Now: cfg.Now, Log: cfg.Log,
	}
	if cfg.ProxyClientCAFile != "" {
		c.FrontProxy = &authn.FrontProxyConfig{
			ClientCAFile: cfg.ProxyClientCAFile, AllowedNames: cfg.ProxyAllowedNames, UsernameHeaders: cfg.ProxyUserHeaders,
			UIDHeaders: cfg.ProxyUIDHeaders, GroupHeaders: cfg.ProxyGroupHeaders, ExtraHeaderPrefixes: cfg.ProxyExtraHeaders,
		}
	}
	var err error
	g.Authn, err = authn.New(c)
	return err
}

// Bootstrap makes the objects that exist before anyone writes. It may be called again after an error.
func (g *Guard) Bootstrap(ctx context.Context) error {
	trust, err := g.trust()
	if err != nil {
		return err
	}
	return bootstrapobjects.Ensure(ctx, bootstrapobjects.Config{
		Access: g.cfg.Access, RBAC: g.Authz.Roles != nil, Trust: trust, Now: g.cfg.Now,
	})
}

func (g *Guard) trust() (*bootstrapobjects.Trust, error) {
	t := &bootstrapobjects.Trust{
		AllowedNames: g.cfg.ProxyAllowedNames, UsernameHeaders: g.cfg.ProxyUserHeaders, UIDHeaders: g.cfg.ProxyUIDHeaders,
		GroupHeaders: g.cfg.ProxyGroupHeaders, ExtraHeaderPrefixes: g.cfg.ProxyExtraHeaders,
	}
	for file, into := range map[string]*[]byte{g.cfg.ClientCAFile: &t.ClientCA, g.cfg.ProxyClientCAFile: &t.ProxyClientCA} {
		if file == "" {
			continue
		}
		certs, err := pki.LoadCertificates(file)
		if err != nil {
			return nil, fmt.Errorf("publishing whom the server trusts: %w", err)
		}
		*into = pki.EncodeCertificates(certs...)
	}
	return t, nil
}
