package serviceaccount

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestTokensHoldByTheClockOfWhoLooksAtThem puts the clock forward and back: a token is judged anew each time.
func TestTokensHoldByTheClockOfWhoLooksAtThem(t *testing.T) {
	made := time.Unix(1e9, 0)
	now := made
	clock := func() time.Time { return now }
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := NewIssuer("https://issuer", key, clock)
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewVerifier(VerifierConfig{Issuers: []string{"https://issuer"}, Keys: []crypto.PublicKey{key.Public()}, Audiences: []string{"api"}, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	token, err := issuer.Issue(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "a", UID: "u"}}, Binding{}, []string{"api"}, 30*time.Minute, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		off  time.Duration
		want string // of the error
	}{
		{0, ""}, {time.Hour, "has expired"}, {0, ""}, {-time.Hour, "is not valid yet"}, {0, ""},
		{29 * time.Minute, ""}, {30*time.Minute + 59*time.Second, ""}, {31*time.Minute + time.Second, "has expired"},
		{-59 * time.Second, ""}, {-61 * time.Second, "is not valid yet"},
	} {
		now = made.Add(c.off)
		user, _, err := v.AuthenticateToken(t.Context(), token, nil)
		if c.want == "" && (err != nil || user == nil) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("a clock that is %v off: %v, %v, want %q", c.off, user, err, c.want)
		}
	}
}
