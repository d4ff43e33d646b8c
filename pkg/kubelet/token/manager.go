// Package token obtains the service account tokens that pods are given, keeps them for as long as they are
// fresh and renews them in time. It must not know how a token gets to its pod.
package token

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
)

const (
	maxAge     = 24 * time.Hour   // a token is renewed at this age at the latest
	maxJitter  = 10 * time.Second // spreads the renewals of pods that started together
	retryAfter = time.Minute      // after a renewal that failed while the old token is still good
)

// Manager caches tokens by what was requested. It is safe for use by several goroutines.
type Manager struct {
	client kubernetes.Interface
	clock  clock.PassiveClock
	random func() float64 // in [0,1)

	mu     sync.Mutex
	tokens map[string]cached
}

type cached struct {
	request   *authenticationv1.TokenRequest
	refreshAt time.Time
}

// New returns a Manager that requests tokens through client.
func New(client kubernetes.Interface, clock clock.PassiveClock) *Manager {
	return &Manager{client: client, clock: clock, random: rand.Float64, tokens: map[string]cached{}}
}

// Token answers r with a token of the service account: a cached one for as long as less than 80 % of its
// life, and less than 24 hours, have passed. When a renewal fails, the old token is answered until it
// expires. What is returned is shared and must not be changed.
func (m *Manager) Token(ctx context.Context, namespace, serviceAccount string, r *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
	k, err := key(namespace, serviceAccount, r)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	old, has := m.tokens[k]
	m.mu.Unlock()
	if has && m.clock.Now().Before(old.refreshAt) {
		return old.request, nil
	}
	answer, err := m.client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, serviceAccount, r, metav1.CreateOptions{})
	now := m.clock.Now()
	switch {
	case err == nil:
		m.keep(k, cached{answer, m.refreshAt(answer)})
		return answer, nil
	case !has:
		return nil, fmt.Errorf("failed to fetch token: %w", err)
	case now.Before(old.request.Status.ExpirationTimestamp.Time):
		m.keep(k, cached{old.request, now.Add(retryAfter)})
		return old.request, nil
	}
	return nil, fmt.Errorf("token of service account %s/%s expired and refresh failed: %w", namespace, serviceAccount, err)
}

// RefreshAt is when Token will next ask for a new token in answer to r; the zero time when it has none.
func (m *Manager) RefreshAt(namespace, serviceAccount string, r *authenticationv1.TokenRequest) time.Time {
	k, err := key(namespace, serviceAccount, r)
	if err != nil {
		return time.Time{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tokens[k].refreshAt
}

// Forget drops the tokens that are bound to a pod.
func (m *Manager) Forget(pod types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, c := range m.tokens {
		if ref := c.request.Spec.BoundObjectRef; ref != nil && ref.UID == pod {
			delete(m.tokens, k)
		}
	}
}

func (m *Manager) keep(k string, c cached) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tokens[k] = c
}

// refreshAt is some seconds before 80 % of the token's life, or 24 hours, have passed.
func (m *Manager) refreshAt(r *authenticationv1.TokenRequest) time.Time {
	expires, life := r.Status.ExpirationTimestamp.Time, time.Duration(0)
	if s := r.Spec.ExpirationSeconds; s != nil {
		life = time.Duration(*s) * time.Second
	}
	at := expires.Add(-life / 5)
	if aged := expires.Add(maxAge - life); aged.Before(at) {
		at = aged
	}
	return at.Add(-time.Duration(m.random() * float64(maxJitter)))
}

func key(namespace, serviceAccount string, r *authenticationv1.TokenRequest) (string, error) {
	spec, err := json.Marshal(r.Spec)
	if err != nil {
		return "", fmt.Errorf("writing down a token request: %w", err)
	}
	return namespace + "/" + serviceAccount + "/" + string(spec), nil
}
