package serviceaccount

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestATokenClaimsInTheFormOfKubernetes: who reads tokens without this server's help relies on it.
func TestATokenClaimsInTheFormOfKubernetes(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := NewIssuer("https://issuer", key, func() time.Time { return time.Unix(1000, 0) })
	if err != nil {
		t.Fatal(err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "a", UID: "u"}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "pu"}}
	token, err := issuer.Issue(account, Binding{Pod: pod}, []string{"api"}, time.Hour, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(payload, &got); err != nil {
		t.Fatal(err)
	}
	if id, _ := got["jti"].(string); len(id) != 36 {
		t.Errorf("jti: %q", id)
	}
	delete(got, "jti")
	want := map[string]any{
		"aud": []any{"api"}, "exp": 4600., "iat": 1000., "iss": "https://issuer", "nbf": 1000., "sub": "system:serviceaccount:n:a",
		"kubernetes.io": map[string]any{
			"namespace": "n", "serviceaccount": map[string]any{"name": "a", "uid": "u"}, "pod": map[string]any{"name": "p", "uid": "pu"}, "warnafter": 1060.,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
