package controller

import (
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// Key names a namespaced object; Namespace is empty for those of the cluster.
type Key = types.NamespacedName

// KeyOf is the key of an object.
func KeyOf(o metav1.Object) Key { return Key{Namespace: o.GetNamespace(), Name: o.GetName()} }

// pointer is a pointer to T that has metadata.
type pointer[T any] interface {
	*T
	metav1.Object
}

// Latest is the object of an event as it is now, or was before it was deleted.
func Latest[T any](old, obj *T) *T {
	if obj == nil {
		return old
	}
	return obj
}

// Itself turns every event of an object into its own key, for Watch.
func Itself[T any, P pointer[T]](old, obj *T) []Key { return []Key{KeyOf(P(Latest(old, obj)))} }

// WhileThere turns the events of an object, but for its deletion, into its name.
func WhileThere[T any, P pointer[T]](_, obj *T) []string {
	if obj == nil {
		return nil
	}
	return []string{P(obj).GetName()}
}

// Dependents turns events into the keys of the owners of a kind before and after, and for an object that
// nobody controls into those who might: matching is asked for them when that can have changed.
func Dependents[T any, P pointer[T]](kind string, matching func(obj *T) []Key) func(old, obj *T) []Key {
	return func(old, obj *T) []Key {
		var keys []Key
		if old != nil {
			keys = OwnerKey(kind, P(old))
		}
		if obj == nil {
			return keys
		}
		keys = append(keys, OwnerKey(kind, P(obj))...)
		orphan := ControllerOf(P(obj)) == nil
		changed := old == nil || ControllerOf(P(old)) != nil || !maps.Equal(P(old).GetLabels(), P(obj).GetLabels())
		if orphan && changed {
			keys = append(keys, matching(obj)...)
		}
		return keys
	}
}

// Selecting gives the keys of those in a list whose selector matches the labels of obj. Empty selectors match nothing.
func Selecting[T metav1.Object](list func(labels.Selector) ([]T, error), selector func(T) *metav1.LabelSelector, obj metav1.Object) []Key {
	all, err := list(labels.Everything())
	if err != nil {
		return nil
	}
	var keys []Key
	for _, o := range all {
		s, err := metav1.LabelSelectorAsSelector(selector(o))
		if err == nil && !s.Empty() && s.Matches(labels.Set(obj.GetLabels())) {
			keys = append(keys, KeyOf(o))
		}
	}
	return keys
}

// ControllerOf is the owner reference of obj that says controller, nil for none.
func ControllerOf(obj metav1.Object) *metav1.OwnerReference { return metav1.GetControllerOfNoCopy(obj) }

// OwnerKey is the key of the controlling owner of obj where that is of kind; nil where it is not. It is
// what most controllers watch their dependents with.
func OwnerKey(kind string, obj metav1.Object) []Key {
	if ref := ControllerOf(obj); ref != nil && ref.Kind == kind {
		return []Key{{Namespace: obj.GetNamespace(), Name: ref.Name}}
	}
	return nil
}
