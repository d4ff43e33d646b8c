// Package authz decides whether an identity may do what it asks for.
package authz

import (
	"context"

	authorizationv1 "k8s.io/api/authorization/v1"

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

// Rules are what an identity may do in one namespace and outside of all, as far as they can be listed.
type Rules struct {
	Resource    []authorizationv1.ResourceRule
	NonResource []authorizationv1.NonResourceRule
	Incomplete  bool
	Errors      []string
}

// RuleResolver is what an Authorizer also is where it can list an identity's rights.
type RuleResolver interface {
	RulesFor(ctx context.Context, user *request.User, namespace string) Rules
}

// Later is an Authorizer that is known before it is made. It must be bound before the first request.
type Later struct{ Authorizer }
