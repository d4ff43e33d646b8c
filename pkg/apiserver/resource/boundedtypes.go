package resource

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/schema"
	smd "sigs.k8s.io/structured-merge-diff/v6/typed"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

const (
	// mostMoved is how many items of lists may be moved to find out who owns them: about half a second's.
	mostMoved = 60_000_000
	// shortList is a list's length at which as many as a request has room for come to about that number, and their
	// items are moved in less time than they are compared.
	shortList = 256
)

// boundedTypes refuses objects of which the library would take seconds to tell who owns their fields. It keeps the
// items of lists that have names in order, and moves all that follow for each that comes out of its turn: half a million
// bytes of a set would keep a core busy for a minute. An object that is refused so is written without owners of
// fields, and not applied.
type boundedTypes struct{ managedfields.TypeConverter }

// ObjectToTyped implements managedfields.TypeConverter.
func (t boundedTypes) ObjectToTyped(o runtime.Object, options ...smd.ValidationOptions) (*smd.TypedValue, error) {
	if err := t.bounded(o); err != nil {
		return nil, err
	}
	return t.TypeConverter.ObjectToTyped(o, options...)
}

// bounded answers an error for an object that is too much. Those of Go types never are: etcd takes no larger ones.
func (t boundedTypes) bounded(o runtime.Object) error {
	u, ok := o.(*unstructured.Unstructured)
	if !ok || longestList(u.Object) <= shortList {
		return nil
	}
	empty := &unstructured.Unstructured{}
	empty.SetGroupVersionKind(u.GroupVersionKind())
	kind, err := t.TypeConverter.ObjectToTyped(empty)
	if err != nil {
		return err
	}
	if n := moved(u.Object, kind.Schema(), kind.TypeRef()); n > mostMoved {
		return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf(
			"telling who owns the items of its lists would move items %d times, more than %d: give long lists in order",
			n, mostMoved))
	}
	return nil
}

// longestList is the length of the longest list in a JSON value.
func longestList(v any) (longest int) {
	switch v := v.(type) {
	case map[string]any:
		for _, item := range v {
			longest = max(longest, longestList(item))
		}
	case []any:
		longest = len(v)
		for _, item := range v {
			longest = max(longest, longestList(item))
		}
	}
	return longest
}

// moved is how many items are moved when those of all lists that have names are put in order one by one.
func moved(v any, s *schema.Schema, ref schema.TypeRef) (n int) {
	atom, _ := s.Resolve(ref)
	switch v := v.(type) {
	case map[string]any:
		if atom.Map == nil || atom.Map.ElementRelationship == schema.Atomic {
			return 0
		}
		for name, item := range v {
			of := atom.Map.ElementType
			if field, ok := atom.Map.FindField(name); ok {
				of = field.Type
			}
			n += moved(item, s, of)
		}
	case []any:
		if atom.List == nil || atom.List.ElementRelationship != schema.Associative {
			return 0
		}
		if len(v) > shortList {
			n = outOfTurn(namesOf(v, atom.List.Keys))
		}
		for _, item := range v {
			n += moved(item, s, atom.List.ElementType)
		}
	}
	return n
}

// namesOf gives the names of a list's items: themselves, or what they have in the fields that are keys.
func namesOf(items []any, keys []string) []fieldpath.PathElement {
	out := make([]fieldpath.PathElement, len(items))
	for i, item := range items {
		if len(keys) == 0 {
			v := value.NewValueInterface(item)
			out[i].Value = &v
			continue
		}
		fields, _ := item.(map[string]any)
		list := make(value.FieldList, len(keys))
		for k, key := range keys {
			list[k] = value.Field{Name: key, Value: value.NewValueInterface(fields[key])}
		}
		list.Sort()
		out[i].Key = &list
	}
	return out
}

// outOfTurn counts the pairs of which the greater stands first. It leaves the names in order: merging halves that are
// in order, each name from the second half stands behind all that are left of the first.
func outOfTurn(names []fieldpath.PathElement) (pairs int) {
	if len(names) < 2 {
		return 0
	}
	a, b := names[:len(names)/2], names[len(names)/2:]
	pairs = outOfTurn(a) + outOfTurn(b)
	merged := make([]fieldpath.PathElement, 0, len(names))
	for len(a) > 0 && len(b) > 0 {
		if a[0].Compare(b[0]) <= 0 {
			merged, a = append(merged, a[0]), a[1:]
		} else {
			pairs += len(a)
			merged, b = append(merged, b[0]), b[1:]
		}
	}
	copy(names, append(append(merged, a...), b...))
	return pairs
}
