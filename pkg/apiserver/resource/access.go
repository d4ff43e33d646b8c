package resource

import (
	"context"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// ErrNotServed is what every method of Reader and Access answers, wrapped, for a resource that this server
// does not have.
var ErrNotServed = errors.New("the resource is not served")

// Reader reads objects in the process, from the watch cache: no copy, no permission check. What it
// answers is shared and must not be changed. It may be a moment behind etcd.
type Reader interface {
	// Get answers a NotFound status error where there is none.
	Get(ctx context.Context, r schema.GroupResource, namespace, name string) (Object, error)
	// List answers every object of a namespace, or of all where namespace is empty, in the order of keys. Built-in ones
	// that cannot be decoded are left out; a custom one that cannot be is an error.
	List(ctx context.Context, r schema.GroupResource, namespace string) ([]Object, error)
	// Follow calls f for every object there is and every change afterwards, in order, until ctx ends: with the
	// object as it is now, or with the type, namespace and name of the one that has gone. synced is closed after the
	// first pass.
	Follow(ctx context.Context, r schema.GroupResource, f func(obj, gone Object)) (synced <-chan struct{}, err error)
}

// Access also reads what is certainly current and writes, as the server itself: the rules of the kind
// hold, admission and permissions do not apply, but for creations that are marked by Admitted.
type Access interface {
	Reader
	// GetLive reads from etcd.
	GetLive(ctx context.Context, r schema.GroupResource, namespace, name string) (Object, error)
	Create(ctx context.Context, r schema.GroupResource, obj Object) (Object, error)
	// Update reads, lets change work on a copy, and writes, again on conflict. subresource "" is the main
	// resource. Where change answers an error nothing is written.
	Update(ctx context.Context, r schema.GroupResource, subresource, namespace, name string, change func(obj Object) error) (Object, error)
	// Delete removes the object as a client's delete would: grace, finalizers and propagation hold, and so
	// do the preconditions and the dry run of opts, which may be nil.
	Delete(ctx context.Context, r schema.GroupResource, namespace, name string, opts *metav1.DeleteOptions) error
}

type ownManagerKey struct{}

// Unowned marks what is written in the process on behalf of a request (a binding, an eviction): nobody comes
// to own the fields that it changes.
func Unowned(ctx context.Context) context.Context { return ManagedAs(ctx, "") }

// ManagedAs lets what is written in the process own its fields under another name than the server's.
func ManagedAs(ctx context.Context, manager string) context.Context {
	return context.WithValue(ctx, ownManagerKey{}, manager)
}

type admittedKey struct{}

type admitted struct {
	rules admission.Chain
	by    *request.User
}

// Admitted lets what is created in the process pass rules first, as if a user had sent it.
func Admitted(ctx context.Context, rules admission.Chain, by *request.User) context.Context {
	return context.WithValue(ctx, admittedKey{}, admitted{rules, by})
}
