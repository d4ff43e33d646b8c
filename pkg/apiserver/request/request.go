// Package request is what one API request is known by once it has been read: who asks, and for what.
// It is the vocabulary that authentication, authorization, admission and the verbs share, and it knows
// none of them.
package request

import (
	"context"
	"net/url"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// MaxBody is the largest body of a request in bytes, as in kube-apiserver.
const MaxBody = 3 << 20

// User is an authenticated identity.
type User struct {
	Name   string
	UID    string
	Groups []string
	Extra  map[string][]string
}

// InGroup says whether the user is a member of group.
func (u *User) InGroup(group string) bool {
	return slices.Contains(u.Groups, group)
}

// Info is what the method, the path and the query of a request ask for, in the terms of RBAC.
// For a path outside /api and /apis only Verb (the lower-case method), Path and IsResource=false are set.
type Info struct {
	IsResource      bool
	Path            string
	Verb            string // get list watch create update patch delete deletecollection, "" by another method; elsewhere the lower-case method
	Group           string
	Version         string
	Resource        string // plural, lower case: "pods"
	Subresource     string // "status"; for pods/x/proxy/a/b this is "proxy" and Rest is "a/b"
	Namespace       string
	Name            string     // of list and watch: what a field selector metadata.name=x pins it to
	PathName        string     // the object that the path names, "" for a collection
	DeprecatedWatch bool       // by the deprecated form of its path: /api/v1/watch/...
	Query           url.Values // do not change it
	Rest            string     // what follows a subresource in the path
	// LabelSelector and FieldSelector are the raw query parameters of list, watch and deletecollection,
	// for authorizers that look at them; a watch by the form of old has none.
	LabelSelector string
	FieldSelector string
	// Listed is told when a watch that begins with a list has sent all of it; nil where nobody wants to know.
	Listed func()
}

// GroupVersionResource is the resource that the request names.
func (i *Info) GroupVersionResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: i.Group, Version: i.Version, Resource: i.Resource}
}

type key int

const (
	userKey key = iota
	infoKey
	warningsKey
	annotationsKey
)

// asked is the context of one request, as each has it: one value for what would be four.
type asked struct {
	context.Context
	info     *Info
	user     *User
	warnings Warnings
}

// Value implements context.Context.
func (a *asked) Value(k any) any {
	switch k {
	case infoKey:
		return a.info
	case warningsKey:
		return &a.warnings
	case userKey:
		if a.user != nil {
			return a.user
		}
	}
	return a.Context.Value(k)
}

// Begin gives the context of a request what is asked for, and a collector of warnings.
func Begin(ctx context.Context, i *Info) context.Context { return &asked{Context: ctx, info: i} }

// WithUser puts the identity of the asker into ctx. In a context that was just begun it stands from then on.
func WithUser(ctx context.Context, u *User) context.Context {
	if a, ok := ctx.(*asked); ok && a.user == nil {
		a.user = u
		return a
	}
	return context.WithValue(ctx, userKey, u)
}

// UserFrom gives the identity of the asker, nil where none was established.
func UserFrom(ctx context.Context) *User {
	u, _ := ctx.Value(userKey).(*User)
	return u
}

// WithInfo puts what is asked for into ctx.
func WithInfo(ctx context.Context, i *Info) context.Context {
	return context.WithValue(ctx, infoKey, i)
}

// InfoFrom gives what is asked for, nil outside of a request.
func InfoFrom(ctx context.Context) *Info {
	i, _ := ctx.Value(infoKey).(*Info)
	return i
}
