package manager

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
)

// tokenLifetime is what is asked for; a token is replaced after four fifths of what was given.
const tokenLifetime = time.Hour

// asAccount is config without its own credentials: requests bear a token of the service account, which is
// made if it does not exist.
func asAccount(config *rest.Config, client kubernetes.Interface, namespace, name string, c clock.PassiveClock) *rest.Config {
	config = rest.AnonymousClientConfig(config)
	source := &tokenSource{client: client, namespace: namespace, name: name, clock: c}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &bearer{source, next} })
	return config
}

type bearer struct {
	tokens *tokenSource
	next   http.RoundTripper
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := b.tokens.get(r.Context())
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := b.next.RoundTrip(r)
	if err == nil && response.StatusCode == http.StatusUnauthorized {
		b.tokens.drop(token)
	}
	return response, err
}

type tokenSource struct {
	client          kubernetes.Interface
	namespace, name string
	clock           clock.PassiveClock

	mu    sync.Mutex
	token string
	until time.Time
}

func (s *tokenSource) get(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	if s.token != "" && now.Before(s.until) {
		return s.token, nil
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(tokenLifetime.Seconds()))}}
	accounts := s.client.CoreV1().ServiceAccounts(s.namespace)
	got, err := accounts.CreateToken(ctx, s.name, request, metav1.CreateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: s.name}}, metav1.CreateOptions{})
		if err == nil || apierrors.IsAlreadyExists(err) {
			got, err = accounts.CreateToken(ctx, s.name, request, metav1.CreateOptions{})
		}
	}
	if err != nil {
		return "", fmt.Errorf("getting a token of service account %s/%s: %w", s.namespace, s.name, err)
	}
	s.token = got.Status.Token
	s.until = now.Add(got.Status.ExpirationTimestamp.Sub(now) * 4 / 5)
	return s.token, nil
}

func (s *tokenSource) drop(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == token {
		s.token = ""
	}
}
