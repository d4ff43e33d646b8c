package serviceaccount

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/accounttoken"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

// TestUsesOfTokensAreCounted by what is to be known before they are given up.
func TestUsesOfTokensAreCounted(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := accounttoken.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1e9, 0)
	clock := func() time.Time { return now }
	issuer, err := NewIssuer("https://issuer", key, clock)
	if err != nil {
		t.Fatal(err)
	}
	access, registry := resourcetest.New(), prometheus.NewRegistry()
	v, err := NewVerifier(VerifierConfig{
		Issuers: []string{"https://issuer"}, Keys: []crypto.PublicKey{key.Public()}, Audiences: []string{"api"},
		Access: access, Lookup: true, Now: clock, Metrics: NewMetrics(registry),
	})
	if err != nil {
		t.Fatal(err)
	}
	account := &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "a", UID: "u"}, Secrets: []corev1.ObjectReference{{Name: "auto"}},
	}
	if _, err := access.Create(t.Context(), corev1.Resource("serviceaccounts"), account); err != nil {
		t.Fatal(err)
	}
	kept := func(name string, labels map[string]string) string {
		token, err := accounttoken.SignLegacy(signer, account, name)
		if err != nil {
			t.Fatal(err)
		}
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name, Labels: labels}, Data: map[string][]byte{"token": []byte(token)}}
		if _, err := access.Create(t.Context(), secrets, s); err != nil {
			t.Fatal(err)
		}
		return token
	}
	issued := func(warnAfter time.Duration) string {
		token, err := issuer.Issue(account, Binding{}, []string{"api"}, time.Hour, warnAfter)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	refreshed, extended := issued(2*time.Minute), issued(time.Minute)
	now = now.Add(90 * time.Second)
	for _, c := range []struct{ what, token, want string }{
		{"made for every account", kept("auto", nil), "legacy_auto_token_uses_total legacy_tokens_total"},
		{"made by a user", kept("manual", nil), "legacy_manual_token_uses_total legacy_tokens_total"},
		{"marked", kept("marked", map[string]string{accounttoken.InvalidSinceLabel: "x"}), "invalid_legacy_auto_token_uses_total legacy_tokens_total"},
		{"used in time", refreshed, "valid_tokens_total"},
		{"used late", extended, "stale_tokens_total"},
		{"not extended", issued(0), ""},
	} {
		before := counted(t, registry)
		_, _, _ = v.AuthenticateToken(t.Context(), c.token, nil)
		var more []string
		after := counted(t, registry)
		for _, line := range after {
			if !strings.Contains(strings.Join(before, "\n"), line) {
				name, _, _ := strings.Cut(line, " ")
				more = append(more, strings.TrimPrefix(name, "serviceaccount_"))
			}
		}
		if got := strings.Join(more, " "); got != c.want || len(after) != 6 {
			t.Errorf("%s: counted %q of %q, want %q", c.what, got, after, c.want)
		}
	}
}

// counted are the counts of a registry, in the order of their names.
func counted(t *testing.T, r *prometheus.Registry) (lines []string) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		lines = append(lines, fmt.Sprintf("%s %.0f;", f.GetName(), f.GetMetric()[0].GetCounter().GetValue()))
	}
	return lines
}
