// Package admission is the chain of rules that a write passes between decoding and storage: first those
// that may change the object, then, after validation, those that may only refuse it.
package admission

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// Operation is the kind of a write.
type Operation string

// The operations, in the words of admission webhooks.
const (
	Create  Operation = "CREATE"
	Update  Operation = "UPDATE"
	Delete  Operation = "DELETE"
	Connect Operation = "CONNECT"
)

// Attributes describe one write. Object is nil on Delete; OldObject is nil on Create and must not be
// changed. Options is the *metav1.CreateOptions, UpdateOptions, PatchOptions or DeleteOptions.
type Attributes struct {
	Operation   Operation
	Kind        schema.GroupVersionKind
	Resource    schema.GroupVersionResource
	Subresource string
	Namespace   string
	Name        string // empty where generateName has not been resolved yet
	Object      runtime.Object
	OldObject   runtime.Object
	Options     runtime.Object
	DryRun      bool
	User        *request.User
	// Forms are the other versions in which the resource is served, the one that was asked for among them where
	// Object is in another.
	Forms []Form
	// Default fills in what a rule that has replaced Object may have left out; nil for nothing.
	Default func(runtime.Object)
	// Passes says how often the rules have been at the object; nil outside of Chain.Admit.
	Passes *Passes
}

// Plugin declares one admission rule. A nil function has nothing to say. Admit may change a.Object, in
// place or by another; Validate must not. An error that is an apierrors.APIStatus is answered as it is; use Forbidden
// for the usual one.
type Plugin struct {
	Name     string // upstream's, as in --enable-admission-plugins
	Admit    func(ctx context.Context, a *Attributes) error
	Validate func(ctx context.Context, a *Attributes) error
}

// Chain runs plugins in the order given.
type Chain []Plugin

// Admit lets every plugin change the object; the first error ends it. All see it once more where one that
// users configure has changed it.
func (c Chain) Admit(ctx context.Context, a *Attributes) error {
	a.Passes = &Passes{State: map[string]any{}}
	if err := c.admit(ctx, a); err != nil || !a.Passes.Again {
		return err
	}
	a.Passes.Second = true
	return c.admit(ctx, a)
}

func (c Chain) admit(ctx context.Context, a *Attributes) error {
	for _, p := range c {
		if p.Admit != nil {
			if err := p.Admit(ctx, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// Validate lets every plugin refuse the final object; the first error ends it.
func (c Chain) Validate(ctx context.Context, a *Attributes) error {
	for _, p := range c {
		if p.Validate != nil {
			if err := p.Validate(ctx, a); err != nil {
				return err
			}
		}
	}
	return nil
}
