package serviceaccount

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sampan-project/sampan/pkg/accounttoken"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

// FuzzVerifier takes anything for a token, and anything for the claims of one that the right key has signed: nobody
// becomes a user but the service account that signed claims name.
func FuzzVerifier(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	v, err := NewVerifier(VerifierConfig{
		Issuers: []string{"https://issuer"}, Keys: []crypto.PublicKey{key.Public()}, Audiences: []string{"api"},
		Access: resourcetest.New(), Now: func() time.Time { return time.Unix(1000, 0) },
	})
	if err != nil {
		f.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"iss":"https://issuer","aud":["api"],"exp":1100,"nbf":900,"sub":"system:serviceaccount:n:a","kubernetes.io":{"namespace":"n","serviceaccount":{"name":"a","uid":"u"},"pod":{"name":"p"},"warnafter":1}}`), true)
	f.Add([]byte(`{"iss":"https://issuer","aud":"api","exp":1e300,"kubernetes.io":null}`), true)
	f.Add([]byte(`{"iss":"kubernetes/serviceaccount","sub":"system:serviceaccount:n:a","kubernetes.io/serviceaccount/namespace":"n","kubernetes.io/serviceaccount/secret.name":"s","kubernetes.io/serviceaccount/service-account.name":"a","kubernetes.io/serviceaccount/service-account.uid":"u"}`), true)
	f.Add([]byte(`eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lzc3VlciJ9.AAAA`), false)
	f.Add([]byte(`eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2lzc3VlciJ9.`), false)
	f.Fuzz(func(t *testing.T, data []byte, signed bool) {
		token := string(data)
		if signed {
			s, err := signer.Sign(data)
			if err != nil {
				t.Fatal(err)
			}
			if token, err = s.CompactSerialize(); err != nil {
				t.Fatal(err)
			}
		}
		user, _, err := v.AuthenticateToken(t.Context(), token, nil)
		if user == nil || err != nil {
			return
		}
		if !signed {
			t.Fatalf("%q makes %+v", token, user)
		}
		if !strings.HasPrefix(user.Name, accounttoken.UserPrefix) || strings.Count(user.Name, ":") != 3 {
			t.Errorf("signed claims make %+v", user)
		}
	})
}
