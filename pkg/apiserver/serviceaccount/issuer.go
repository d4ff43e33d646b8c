package serviceaccount

import (
	"crypto"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/sampan-project/sampan/pkg/accounttoken"
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
	signer, err := accounttoken.NewSigner(key)
	if err != nil {
		return nil, err
	}
	return &Issuer{url: url, signer: signer, now: now}, nil
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
			Subject:   accounttoken.Username(sa.Namespace, sa.Name),
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
