package resource

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Status declares the status subresource of a kind. Unless part says otherwise, it may not own the spec.
func Status[T Object](kind schema.GroupVersionKind, part UpdatePart[T]) Subresource[T] {
	if part.Reset == nil {
		part.Reset = []string{"spec"}
	}
	return Subresource[T]{Name: "status", Kind: kind, Verbs: []string{"get", "patch", "update"}, Update: &part}
}

// Keep adapts a function that sets back what a status write may not change.
func Keep[T Object](f func(obj, old T)) func(context.Context, T, T) {
	return func(_ context.Context, obj, old T) { f(obj, old) }
}

// KeepStatus makes the Prepare of a kind whose status is written through its subresource alone: a new object has none,
// and an update leaves the old one.
func KeepStatus[T interface {
	*E
	Object
}, S interface {
	*V
	DeepCopy() *V
}, E, V any](status func(T) S) func(context.Context, T, T) {
	return func(_ context.Context, obj, old T) {
		var none V
		*status(obj) = none
		if old != nil {
			*status(obj) = *status(old).DeepCopy()
		}
	}
}
