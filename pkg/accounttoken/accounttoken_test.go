package accounttoken

import (
	"encoding/base64"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/pki"
)

// TestATokenInASecretClaimsInTheFormOfKubernetes whatever the key is.
func TestATokenInASecretClaimsInTheFormOfKubernetes(t *testing.T) {
	for kind, header := range map[pki.Algorithm]string{pki.ECDSAP256: `"alg":"ES256"`, pki.RSA2048: `"alg":"RS256"`} {
		key, err := pki.NewKey(kind)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := NewSigner(key)
		if err != nil {
			t.Fatal(err)
		}
		token, err := SignLegacy(signer, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "a", UID: "u"}}, "s")
		if err != nil {
			t.Fatal(err)
		}
		var parts []string
		for _, p := range strings.Split(token, ".")[:2] {
			text, err := base64.RawURLEncoding.DecodeString(p)
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, string(text))
		}
		id, err := KeyID(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(parts[0], header) || !strings.Contains(parts[0], `"kid":"`+id+`"`) {
			t.Errorf("signed as %s", parts[0])
		}
		const want = `{"iss":"kubernetes/serviceaccount","kubernetes.io/serviceaccount/namespace":"n","kubernetes.io/serviceaccount/secret.name":"s",` +
			`"kubernetes.io/serviceaccount/service-account.name":"a","kubernetes.io/serviceaccount/service-account.uid":"u","sub":"system:serviceaccount:n:a"}`
		if parts[1] != want {
			t.Errorf("claims %s, want %s", parts[1], want)
		}
	}
}
