// Package authn establishes who sends a request.
package authn

import (
	"net/http"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// Authenticator looks at one kind of credential. It answers nil, nil where the request carries no
// credential of its kind, and an error where it carries a wrong one. Authenticators are asked in order;
// the first identity found is taken.
type Authenticator interface {
	Authenticate(r *http.Request) (*request.User, error)
}
