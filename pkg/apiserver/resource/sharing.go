package resource

import (
	"bytes"
	"reflect"
	"strings"
	"unsafe"
)

// CopyFor copies an object for a change of some of its members, by their JSON names. Where the kind shares (see
// Definition) only those are copied, and metadata; the rest the copy has in common with the object.
func (s *Store) CopyFor(o Object, changes func(member string) bool) Object {
	if !s.Shares {
		return o.DeepCopyObject().(Object)
	}
	bare := shallow(o)
	from, without := reflect.ValueOf(o).Elem(), reflect.ValueOf(bare).Elem()
	for i, name := range s.members {
		if name != "" && !changes(name) {
			without.Field(i).SetZero()
		}
	}
	bare.SetManagedFields(nil) // are never changed, but replaced
	out := bare.DeepCopyObject().(Object)
	out.SetManagedFields(o.GetManagedFields())
	to := reflect.ValueOf(out).Elem()
	for i, name := range s.members {
		if name != "" && !changes(name) {
			to.Field(i).Set(from.Field(i))
		}
	}
	return out
}

// isOne says that two structs, given by pointers, hold the same numbers and point at the same memory: then they are
// equal, to whatever depth. It does not say so of all that are.
func isOne(a, b any) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	if x.Kind() != reflect.Pointer || x.Type() != y.Type() {
		return false
	}
	bits := func(v reflect.Value) []byte { return unsafe.Slice((*byte)(v.UnsafePointer()), v.Type().Elem().Size()) }
	return bytes.Equal(bits(x), bits(y))
}

// membersOf are the JSON names of what stands directly in a kind's objects, "" for what is embedded: type and metadata.
func membersOf(r *Resource) []string {
	if !r.Shares {
		return nil
	}
	t := reflect.TypeOf(r.New()).Elem()
	names := make([]string, t.NumField())
	for i := range names {
		if f := t.Field(i); !f.Anonymous {
			names[i], _, _ = strings.Cut(f.Tag.Get("json"), ",")
		}
	}
	return names
}
