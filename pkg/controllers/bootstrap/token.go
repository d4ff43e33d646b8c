// Package bootstrap serves nodes that join: it signs the public cluster-info with every bootstrap token, so
// that who knows a token can trust it, and deletes tokens that have expired.
package bootstrap

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	secretType      = corev1.SecretType("bootstrap.kubernetes.io/token")
	secretPrefix    = "bootstrap-token-"
	idKey           = "token-id"
	secretKey       = "token-secret"
	expirationKey   = "expiration"
	signingKey      = "usage-bootstrap-signing"
	secretNamespace = "kube-system"

	infoNamespace   = "kube-public"
	infoName        = "cluster-info"
	infoKey         = "kubeconfig"
	signaturePrefix = "jws-kubeconfig-"
)

var wellFormed = regexp.MustCompile(`^[a-z0-9]{6}\.[a-z0-9]{16}$`)

// token reads a secret: its id and secret, "" where it is not a token that may sign at now.
func token(s *corev1.Secret, now time.Time) (id, secret string) {
	id, secret = string(s.Data[idKey]), string(s.Data[secretKey])
	if s.Type != secretType || s.DeletionTimestamp != nil || !wellFormed.MatchString(id+"."+secret) || s.Name != secretPrefix+id {
		return "", ""
	}
	if subtle.ConstantTimeCompare(s.Data[signingKey], []byte("true")) != 1 {
		return "", ""
	}
	if until, ok := expiry(s); ok && !now.Before(until) {
		return "", ""
	}
	return id, secret
}

// expiry is when a token ends; false for never. A time that cannot be read has passed.
func expiry(s *corev1.Secret) (time.Time, bool) {
	text := string(s.Data[expirationKey])
	if text == "" {
		return time.Time{}, false
	}
	until, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, true
	}
	return until, true
}

// Detached signs content with a token: a compact JWS (RFC 7515) by HMAC with SHA-256 without its payload, which
// the reader has already. A token's secret is shorter than RFC 7518 wants of such a key, which libraries
// refuse; it is what every joining machine expects.
func Detached(content, id, secret string) (string, error) {
	header, err := json.Marshal(map[string]string{"alg": "HS256", "kid": id})
	if err != nil {
		return "", fmt.Errorf("signing with bootstrap token %s: %w", id, err)
	}
	protected := base64.RawURLEncoding.EncodeToString(header)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(protected + "." + base64.RawURLEncoding.EncodeToString([]byte(content))))
	return protected + ".." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}
