package serviceaccount

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/sampan-project/sampan/pkg/accounttoken"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// VerifierConfig says which tokens are accepted.
type VerifierConfig struct {
	Issuers   []string           // any of them
	Keys      []crypto.PublicKey // any of them
	Audiences []string           // the server's own names
	Access    resource.Access    // finds what tokens are bound to
	Lookup    bool               // false accepts tokens of objects that are gone (--service-account-lookup)
	Now       func() time.Time
	Metrics   *Metrics // nil: nobody reads them
	Log       logr.Logger
}

// Verifier knows the tokens that an Issuer signed. It is an authn.Token.
type Verifier struct {
	cfg  VerifierConfig
	keys map[string][]crypto.PublicKey // by key id

	mu   sync.Mutex
	good map[[sha256.Size]byte]*claims
}

// maxRemembered bounds the signatures that are remembered as good.
const maxRemembered = 8192

// NewVerifier accepts what cfg says.
func NewVerifier(cfg VerifierConfig) (*Verifier, error) {
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics(prometheus.NewRegistry())
	}
	v := &Verifier{cfg: cfg, keys: map[string][]crypto.PublicKey{}, good: map[[sha256.Size]byte]*claims{}}
	for _, k := range cfg.Keys {
		if _, err := accounttoken.Algorithm(k); err != nil {
			return nil, fmt.Errorf("service account key: %w", err)
		}
		id, err := accounttoken.KeyID(k)
		if err != nil {
			return nil, fmt.Errorf("service account key: %w", err)
		}
		v.keys[id] = append(v.keys[id], k)
	}
	return v, nil
}

var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512}

// AuthenticateToken implements authn.Token. A token of another issuer is not of its kind.
func (v *Verifier) AuthenticateToken(ctx context.Context, token string, audiences []string) (*request.User, []string, error) {
	key := sha256.Sum256([]byte(token))
	c := v.known(key)
	if c == nil {
		if !v.ours(token) {
			return nil, nil, nil
		}
		var err error
		if c, err = v.verify(token, key); err != nil {
			return nil, nil, err
		}
	}
	if len(c.Audience) == 0 {
		v.cfg.Metrics.legacy.Inc()
	}
	auds, err := v.audiences(c, audiences)
	if err != nil {
		return nil, nil, err
	}
	var user *request.User
	if v.isLegacy(c) {
		user, err = v.fromSecret(ctx, c, token)
	} else {
		user, err = v.identity(ctx, c)
	}
	if err != nil {
		return nil, nil, err
	}
	return user, auds, nil
}

// ours looks at the issuer alone, before any cost.
func (v *Verifier) ours(token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return false
	}
	var c struct {
		Issuer string `json:"iss"`
	}
	return json.Unmarshal(payload, &c) == nil && (c.Issuer == accounttoken.LegacyIssuer || slices.Contains(v.cfg.Issuers, c.Issuer))
}

// known gives what a token claims whose signature was found good before.
func (v *Verifier) known(key [sha256.Size]byte) *claims {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.good[key]
}

// verify checks the signature once per token; times and bound objects are looked at every time.
func (v *Verifier) verify(token string, key [sha256.Size]byte) (*claims, error) {
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil {
		return nil, err
	}
	c := &claims{}
	var errs []error
	for _, k := range v.candidates(parsed) {
		if err := parsed.Claims(k, c); err != nil {
			errs = append(errs, err)
			continue
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		if len(v.good) >= maxRemembered {
			clear(v.good)
		}
		v.good[key] = c
		return c, nil
	}
	if len(errs) == 0 {
		return nil, errors.New("no key verifies the service account token")
	}
	return nil, utilerrors.NewAggregate(errs)
}

func (v *Verifier) candidates(t *jwt.JSONWebToken) []crypto.PublicKey {
	if len(t.Headers) == 1 && t.Headers[0].KeyID != "" {
		return v.keys[t.Headers[0].KeyID]
	}
	return v.cfg.Keys
}

func (v *Verifier) audiences(c *claims, wanted []string) ([]string, error) {
	has := []string(c.Audience)
	if len(has) == 0 {
		has = v.cfg.Audiences // a token from before tokens had audiences
	}
	if len(wanted) == 0 {
		wanted = v.cfg.Audiences
	}
	var both []string
	for _, a := range has {
		if slices.Contains(wanted, a) {
			both = append(both, a)
		}
	}
	if len(both) == 0 && len(v.cfg.Audiences) != 0 {
		return nil, fmt.Errorf("token audiences %q is invalid for the target audiences %q", has, wanted)
	}
	return both, nil
}
