package daemon

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
)

// Delegated lets the apiserver decide who may use a daemon's own port: identities come from client
// certificates of ClientCAs or from TokenReviews, permissions from SubjectAccessReviews. Answers are kept
// for a short time. It is safe for use by several requests at once.
type Delegated struct {
	Client kubernetes.Interface // nil: no tokens are accepted and nothing is permitted
	// ClientCAs is asked for each request, so that authorities can be replaced while the daemon runs; nil: no
	// certificates are accepted.
	ClientCAs func() *x509.CertPool
	Anonymous bool // a request without credentials is system:anonymous
	NoTokens  bool // tokens are not accepted
	AllowAll  bool // whoever is known may do everything
	Clock     clock.PassiveClock
	// How long answers are kept; zero for the usual 10 s, 10 s and 10 s.
	TokenTTL, AllowedTTL, DeniedTTL time.Duration

	mu    sync.Mutex
	kept  map[[sha256.Size]byte]keptAnswer
	sweep time.Time
}

type keptAnswer struct {
	until   time.Time
	user    *authenticationv1.UserInfo
	allowed bool
	reason  string
}

const defaultAnswerTTL = 10 * time.Second

// Authenticate answers who sends the request, nil where that is not known.
func (d *Delegated) Authenticate(r *http.Request) (*authenticationv1.UserInfo, error) {
	if user, err := d.byCertificate(r); user != nil || err != nil {
		return user, err
	}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && token != "" && d.Client != nil && !d.NoTokens {
		return d.byToken(r.Context(), token)
	}
	if d.Anonymous && r.Header.Get("Authorization") == "" {
		return &authenticationv1.UserInfo{Username: "system:anonymous", Groups: []string{"system:unauthenticated"}}, nil
	}
	return nil, nil
}

func (d *Delegated) byCertificate(r *http.Request) (*authenticationv1.UserInfo, error) {
	if d.ClientCAs == nil || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, nil
	}
	chain := x509.NewCertPool()
	for _, c := range r.TLS.PeerCertificates[1:] {
		chain.AddCert(c)
	}
	leaf := r.TLS.PeerCertificates[0]
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: d.ClientCAs(), Intermediates: chain, CurrentTime: d.Clock.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, fmt.Errorf("verifying the client certificate: %w", err)
	}
	return &authenticationv1.UserInfo{
		Username: leaf.Subject.CommonName, Groups: append(leaf.Subject.Organization, "system:authenticated"),
	}, nil
}

func (d *Delegated) byToken(ctx context.Context, token string) (*authenticationv1.UserInfo, error) {
	key := sha256.Sum256([]byte("token\x00" + token))
	if a, ok := d.lookup(key); ok {
		return a.user, nil
	}
	review, err := d.Client.AuthenticationV1().TokenReviews().Create(ctx,
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("asking the apiserver about a token: %w", err)
	}
	a := keptAnswer{}
	if review.Status.Authenticated {
		a.user = &review.Status.User
	}
	d.keep(key, a, d.TokenTTL)
	return a.user, nil
}

// Authorize asks whether user may do what attributes say (User, Groups, UID and Extra are filled in here).
func (d *Delegated) Authorize(ctx context.Context, user *authenticationv1.UserInfo, attributes authorizationv1.SubjectAccessReviewSpec) (bool, string, error) {
	if d.AllowAll || slices.Contains(user.Groups, "system:masters") {
		return true, "", nil
	}
	if d.Client == nil {
		return false, "no apiserver to ask", nil
	}
	attributes.User, attributes.UID, attributes.Groups = user.Username, user.UID, user.Groups
	attributes.Extra = map[string]authorizationv1.ExtraValue{}
	for k, v := range user.Extra {
		attributes.Extra[k] = authorizationv1.ExtraValue(v)
	}
	spelled, err := json.Marshal(attributes)
	if err != nil {
		return false, "", fmt.Errorf("encoding an access review: %w", err)
	}
	key := sha256.Sum256(append([]byte("access\x00"), spelled...))
	if a, ok := d.lookup(key); ok {
		return a.allowed, a.reason, nil
	}
	review, err := d.Client.AuthorizationV1().SubjectAccessReviews().Create(ctx,
		&authorizationv1.SubjectAccessReview{Spec: attributes}, metav1.CreateOptions{})
	if err != nil {
		return false, "", fmt.Errorf("asking the apiserver for permission: %w", err)
	}
	a := keptAnswer{allowed: review.Status.Allowed, reason: review.Status.Reason}
	ttl := d.DeniedTTL
	if a.allowed {
		ttl = d.AllowedTTL
	}
	d.keep(key, a, ttl)
	return a.allowed, a.reason, nil
}

// Protect passes on the requests whose sender may use the path with the method, and answers 401 and 403 to others.
func (d *Delegated) Protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, err := d.Authenticate(r)
		if err != nil || user == nil {
			refuse(w, apierrors.NewUnauthorized("Unauthorized"))
			return
		}
		verb := strings.ToLower(r.Method)
		allowed, reason, err := d.Authorize(r.Context(), user, authorizationv1.SubjectAccessReviewSpec{
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: r.URL.Path, Verb: verb},
		})
		switch {
		case err != nil:
			http.Error(w, "Authorization error: the apiserver could not be asked; try again", http.StatusInternalServerError)
		case !allowed:
			why := fmt.Sprintf("User %q cannot %s path %q", user.Username, verb, r.URL.Path)
			if reason != "" {
				why += ": " + reason
			}
			refuse(w, apierrors.NewForbidden(schema.GroupResource{}, "", errors.New(why)))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// refuse answers with a status, as JSON.
func refuse(w http.ResponseWriter, err *apierrors.StatusError) {
	status := err.Status()
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	body, _ := json.Marshal(status) // of strings and numbers
	w.Header().Set("Content-Type", mediaJSON)
	w.WriteHeader(int(status.Code))
	_, _ = w.Write(append(body, '\n')) // the client has gone where this fails
}

func (d *Delegated) lookup(key [sha256.Size]byte) (keptAnswer, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, ok := d.kept[key]
	return a, ok && d.Clock.Now().Before(a.until)
}

func (d *Delegated) keep(key [sha256.Size]byte, a keptAnswer, ttl time.Duration) {
	ttl = cmp.Or(ttl, defaultAnswerTTL)
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.Clock.Now()
	if d.kept == nil {
		d.kept = map[[sha256.Size]byte]keptAnswer{}
	}
	if now.After(d.sweep) { // old answers go once a minute, so that the map is bounded by what is asked
		for k, old := range d.kept {
			if now.After(old.until) {
				delete(d.kept, k)
			}
		}
		d.sweep = now.Add(time.Minute)
	}
	a.until = now.Add(ttl)
	d.kept[key] = a
}
