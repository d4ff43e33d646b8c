// Package authz decides whether an identity may do what it asks for.
package authz

import (
	"context"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// Decision is an authorizer's answer.
type Decision int

// NoOpinion leaves the decision to the next authorizer; if all have none, the request is denied.
const (
	NoOpinion Decision = iota
	Allow
	Deny
)

// Authorizer decides from the identity and the request alone. The reason is for the client to read.
type Authorizer interface {
	Authorize(ctx context.Context, user *request.User, info *request.Info) (d Decision, reason string, err error)
}
