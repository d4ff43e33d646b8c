// Package authn establishes who sends a request.
package authn

import (
	"context"
	"errors"
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// The names that every cluster knows.
const (
	AnonymousUser        = "system:anonymous"
	GroupAuthenticated   = "system:authenticated"
	GroupUnauthenticated = "system:unauthenticated"
	// CredentialID is the extra key that tells one credential of an identity from another.
	CredentialID = "authentication.kubernetes.io/credential-id"
)

// Authenticator looks at one kind of credential. It answers nil, nil where the request carries no
// credential of its kind, and an error where it carries a wrong one. Authenticators are asked in order;
// the first identity found is taken.
type Authenticator interface {
	Authenticate(r *http.Request) (*request.User, error)
}

// Token knows one kind of bearer token. It answers nil, nil, nil for a token that is not of its kind.
// audiences are those that the asker accepts; none means the server's own. The second answer are the
// audiences that the token has of them.
type Token interface {
	AuthenticateToken(ctx context.Context, token string, audiences []string) (*request.User, []string, error)
}

// errInvalidToken is all that a client learns of a token that nobody knows.
var errInvalidToken = errors.New("invalid bearer token")

// Unauthorized is the answer to a request with a wrong credential, or with none where one is needed. It
// tells nothing of the cause, on purpose.
func Unauthorized() *apierrors.StatusError {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusUnauthorized,
		Reason:  metav1.StatusReasonUnauthorized,
		Message: "Unauthorized",
	}}
}

// union asks in order. A wrong credential does not end the search: another kind may be right.
type union []Authenticator

func (u union) Authenticate(r *http.Request) (*request.User, error) {
	var errs []error
	for _, a := range u {
		user, err := a.Authenticate(r)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if user != nil {
			return user, nil
		}
	}
	return nil, utilerrors.NewAggregate(errs)
}

// tokens asks in order, and is itself a Token.
type tokens []Token

func (ts tokens) AuthenticateToken(ctx context.Context, token string, audiences []string) (*request.User, []string, error) {
	var errs []error
	for _, t := range ts {
		user, auds, err := t.AuthenticateToken(ctx, token, audiences)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if user != nil {
			return withGroup(user, GroupAuthenticated), auds, nil
		}
	}
	return nil, nil, utilerrors.NewAggregate(errs)
}

// withGroup answers user with one more group, without changing what was given.
func withGroup(user *request.User, group string) *request.User {
	if user.InGroup(group) || user.InGroup(GroupUnauthenticated) {
		return user
	}
	u := *user
	u.Groups = append(slices.Clone(user.Groups), group)
	return &u
}

// acceptable answers which of the wanted audiences are the server's own; none wanted means all of them.
func acceptable(own, wanted []string) []string {
	if len(wanted) == 0 {
		return own
	}
	var both []string
	for _, a := range own {
		if slices.Contains(wanted, a) {
			both = append(both, a)
		}
	}
	return both
}
