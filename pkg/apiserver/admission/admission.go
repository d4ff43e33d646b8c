// Package admission is the chain of rules that a write passes between decoding and storage: first those
// that may change the object, then, after validation, those that may only refuse it.
package admission

import (
	"context"
	"slices"

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

// operations are all there are.
var operations = [...]Operation{Create, Update, Delete, Connect}

func (o Operation) index() int { return max(0, slices.Index(operations[:], o)) }

// Operations is a set of them; the empty one stands for all.
type Operations uint8

// On makes a set.
func On(in ...Operation) (set Operations) {
	for _, o := range in {
		set |= 1 << o.index()
	}
	return set
}

// has looks for an operation by its index.
func (s Operations) has(operation int) bool { return s == 0 || s&(1<<operation) != 0 }

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
	On       Operations
	Admit    func(ctx context.Context, a *Attributes) error
	Validate func(ctx context.Context, a *Attributes) error

	took *timings // nil: it is not timed
}

// Chain runs plugins in the order given.
type Chain struct {
	Plugins []Plugin

	steps *timings // nil: it is not timed
}

// Admit lets every plugin change the object; the first error ends it. All see it once more where one that
// users configure has changed it.
func (c Chain) Admit(ctx context.Context, a *Attributes) error {
	a.Passes = &Passes{State: map[string]any{}}
	w := c.start(admitting, a.Operation)
	err := c.admit(ctx, a, &w)
	if err == nil && a.Passes.Again {
		a.Passes.Second = true
		err = c.admit(ctx, a, &w)
	}
	w.end(err)
	return err
}

func (c Chain) admit(ctx context.Context, a *Attributes, w *stopwatch) error {
	for i := range c.Plugins {
		if p := &c.Plugins[i]; p.Admit != nil && p.On.has(w.operation) {
			err := p.Admit(ctx, a)
			w.done(p, err)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Validate lets every plugin refuse the final object; the first error ends it.
func (c Chain) Validate(ctx context.Context, a *Attributes) (err error) {
	w := c.start(validating, a.Operation)
	for i := range c.Plugins {
		if p := &c.Plugins[i]; p.Validate != nil && p.On.has(w.operation) {
			err = p.Validate(ctx, a)
			w.done(p, err)
			if err != nil {
				break
			}
		}
	}
	w.end(err)
	return err
}
