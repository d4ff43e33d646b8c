package serviceaccount

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
)

// Issuer signs tokens.
type Issuer struct {
	url    string
	signer jose.Signer
	now    func() time.Time
}

// NewIssuer signs as url with an RSA or ECDSA key.
func NewIssuer(url string, key crypto.Signer, now func() time.Time) (*Issuer, error) {
	if url == "" {
		return nil, errors.New("service account tokens need an issuer: set --service-account-issuer")
	}
	alg, err := algorithm(key.Public())
	if err != nil {
		return nil, fmt.Errorf("service account signing key: %w", err)
	}
	id, err := keyID(key.Public())
	if err != nil {
		return nil, fmt.Errorf("service account signing key: %w", err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Algorithm: string(alg), Key: key, KeyID: id, Use: "sig"}}, nil)
	if err != nil {
		return nil, fmt.Errorf("service account signing key: %w", err)
	}
	return &Issuer{url: url, signer: signer, now: now}, nil
}

func algorithm(public crypto.PublicKey) (jose.SignatureAlgorithm, error) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return jose.RS256, nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return jose.ES256, nil
		case elliptic.P384():
			return jose.ES384, nil
		case elliptic.P521():
			return jose.ES512, nil
		}
		return "", fmt.Errorf("unknown curve %s: use P-256, P-384 or P-521", k.Params().Name)
	}
	return "", fmt.Errorf("a key of type %T cannot be used: use RSA or ECDSA", public)
}

// keyID is upstream's: the hash of the public key, so that every server finds the same.
func keyID(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// Binding is what a token is bound to besides its service account. At most one of Pod, Secret and Node is
// set by who asks; the node of a bound pod is added.
type Binding struct {
	Pod    *corev1.Pod
	Secret *corev1.Secret
	Node   *corev1.Node
}

// Issue signs a token for audiences that ends after life. warnAfter, where not zero, marks the moment from
// which on its use is reported.
func (i *Issuer) Issue(sa *corev1.ServiceAccount, b Binding, audiences []string, life, warnAfter time.Duration) (string, error) {
	now := i.now()
	c := claims{
		Claims: jwt.Claims{
			Issuer:    i.url,
			Subject:   Username(sa.Namespace, sa.Name),
			Expiry:    jwt.NewNumericDate(now.Add(life)),
			IssuedAt:  jwt.NewNumericDate(now),
			NotBefore: jwt.NewNumericDate(now),
			ID:        string(uuid.NewUUID()),
		},
		Audience:   audiences,
		Kubernetes: &boundTo{Namespace: sa.Namespace, ServiceAccount: ref{sa.Name, string(sa.UID)}},
	}
	k := c.Kubernetes
	if b.Pod != nil {
		k.Pod = &ref{b.Pod.Name, string(b.Pod.UID)}
	}
	if b.Secret != nil {
		k.Secret = &ref{b.Secret.Name, string(b.Secret.UID)}
	}
	if b.Node != nil {
		k.Node = &ref{b.Node.Name, string(b.Node.UID)}
	}
	if warnAfter != 0 {
		k.WarnAfter = jwt.NewNumericDate(now.Add(warnAfter))
	}
	token, err := jwt.Signed(i.signer).Claims(c).Serialize()
	if err != nil {
		return "", fmt.Errorf("signing a token for %s: %w", c.Subject, err)
	}
	return token, nil
}
