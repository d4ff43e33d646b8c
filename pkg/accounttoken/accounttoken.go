// Package accounttoken signs the tokens of service accounts. The apiserver, which issues most of them and takes them
// all, and the controller that fills secrets with the kind that has no end share it.
package accounttoken

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"
)

// UserPrefix begins the user names of service accounts.
const UserPrefix = "system:serviceaccount:"

// Username is the user that a service account acts as.
func Username(namespace, name string) string { return UserPrefix + namespace + ":" + name }

// NewSigner signs with an RSA or ECDSA key.
func NewSigner(key crypto.Signer) (jose.Signer, error) {
	alg, err := Algorithm(key.Public())
	if err != nil {
		return nil, fmt.Errorf("service account signing key: %w", err)
	}
	id, err := KeyID(key.Public())
	if err != nil {
		return nil, fmt.Errorf("service account signing key: %w", err)
	}
	named := jose.JSONWebKey{Algorithm: string(alg), Key: key, KeyID: id, Use: "sig"}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: named}, nil)
	if err != nil {
		return nil, fmt.Errorf("service account signing key: %w", err)
	}
	return signer, nil
}

// Algorithm is the one with which a key of the kind signs.
func Algorithm(public crypto.PublicKey) (jose.SignatureAlgorithm, error) {
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

// KeyID is upstream's: the hash of the public key, so that every server finds the same.
func KeyID(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// LegacyIssuer is who has issued the tokens that are kept in secrets, whatever other tokens' issuer is.
const LegacyIssuer = "kubernetes/serviceaccount"

// Legacy is what a token claims that is kept in a secret. It holds as long as the secret does.
type Legacy struct {
	Namespace   string `json:"kubernetes.io/serviceaccount/namespace,omitempty"`
	SecretName  string `json:"kubernetes.io/serviceaccount/secret.name,omitempty"`
	AccountName string `json:"kubernetes.io/serviceaccount/service-account.name,omitempty"`
	AccountUID  string `json:"kubernetes.io/serviceaccount/service-account.uid,omitempty"`
}

// SignLegacy makes the token of a service account that is to be kept in a secret of its namespace.
func SignLegacy(signer jose.Signer, account *corev1.ServiceAccount, secret string) (string, error) {
	claims := struct {
		jwt.Claims
		Legacy
	}{
		jwt.Claims{Issuer: LegacyIssuer, Subject: Username(account.Namespace, account.Name)},
		Legacy{
			Namespace: account.Namespace, SecretName: secret, AccountName: account.Name, AccountUID: string(account.UID),
		},
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		return "", fmt.Errorf("signing a token for %s: %w", claims.Subject, err)
	}
	return token, nil
}

// What tells of the use of tokens that are kept in secrets. The labels stand at the secrets, and hold days in UTC.
const (
	LastUsedLabel = "kubernetes.io/legacy-token-last-used"
	// InvalidSinceLabel with any value: the token no longer holds, though it is there.
	InvalidSinceLabel = "kubernetes.io/legacy-token-invalid-since"
	// TrackingConfigMap is in kube-system; its key TrackingSince holds the day since which use is noted.
	TrackingConfigMap = "kube-apiserver-legacy-service-account-token-tracking"
	TrackingSince     = "since"
)
