// Package serviceaccount issues the tokens of service accounts, verifies them against the live objects
// that they are bound to, and publishes the keys that let others verify them.
package serviceaccount

import (
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/sampan-project/sampan/pkg/accounttoken"
)

// What the tokens of injected volumes ask for, and what they get while clients that never read their
// token again are being found: the life of a year, and a mark of when it should have ended.
const (
	// ExtendableSeconds is the life that the ServiceAccount admission asks for. The odd seven seconds tell
	// such a request from one that a person wrote.
	ExtendableSeconds = 3607
	extendedSeconds   = 365 * 24 * 3600
)

// The groups of every service account.
const (
	allGroup       = "system:serviceaccounts"
	namespaceGroup = "system:serviceaccounts:"
)

// Groups are the groups of every service account of a namespace.
func Groups(namespace string) []string { return []string{allGroup, namespaceGroup + namespace} }

// claims is the payload of a token.
type claims struct {
	jwt.Claims
	accounttoken.Legacy // of those that are kept in secrets

	Audience   audiences `json:"aud,omitempty"` // instead of jwt.Claims'
	Kubernetes *boundTo  `json:"kubernetes.io,omitempty"`
}

// audiences are written as a list where there is but one, too: who reads tokens of Kubernetes knows them so.
type audiences []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *audiences) UnmarshalJSON(b []byte) error { return (*jwt.Audience)(a).UnmarshalJSON(b) }

// boundTo names the objects that a token dies with.
type boundTo struct {
	Namespace      string           `json:"namespace,omitempty"`
	Node           *ref             `json:"node,omitempty"`
	Pod            *ref             `json:"pod,omitempty"`
	Secret         *ref             `json:"secret,omitempty"`
	ServiceAccount ref              `json:"serviceaccount"`
	WarnAfter      *jwt.NumericDate `json:"warnafter,omitempty"`
}

type ref struct {
	Name string `json:"name,omitempty"`
	UID  string `json:"uid,omitempty"`
}
