package objectjson

import (
	"reflect"
	"slices"
	"strings"
)

// member is a field of a struct, ready to be written.
type member struct {
	name      string
	text      string // "name":
	index     []int
	omitEmpty bool
	isZero    func(reflect.Value) bool // of omitzero
	step      step
}

// record compiles a struct; nil for one that only encoding/json knows how to write.
func record(t reflect.Type) step {
	members, ok := membersOf(t, nil)
	if !ok {
		return nil
	}
	for i := range members {
		for j := range i {
			if members[i].name == members[j].name {
				return nil // one hides the other
			}
		}
	}
	return func(to []byte, v reflect.Value) (_ []byte, err error) {
		to = append(to, '{')
		begin := len(to)
		for i := range members {
			m := &members[i]
			f := v.FieldByIndex(m.index)
			if m.omitEmpty && Empty(f) || m.isZero != nil && m.isZero(f) {
				continue
			}
			if len(to) > begin {
				to = append(to, ',')
			}
			to = append(to, m.text...)
			if to, err = m.step(to, f); err != nil {
				return nil, err
			}
		}
		return append(to, '}'), nil
	}
}

func membersOf(t reflect.Type, above []int) (out []member, ok bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(slices.Clone(above), i)
		tag := f.Tag.Get("json")
		name, rest, _ := strings.Cut(tag, ",")
		options := strings.Split(rest, ",")
		switch {
		case tag == "-" || !f.IsExported() && !f.Anonymous:
			continue
		case f.Anonymous && name == "":
			if f.Type.Kind() != reflect.Struct || ofItself(f.Type) != nil {
				return nil, false
			}
			embedded, ok := membersOf(f.Type, index)
			if !ok {
				return nil, false
			}
			out = append(out, embedded...)
			continue
		case slices.Contains(options, "string"):
			return nil, false
		case name == "":
			name = f.Name
		}
		m := member{name: name, text: string(append(appendString(nil, name), ':')), index: index, omitEmpty: slices.Contains(options, "omitempty"), step: stepOf(f.Type)}
		if slices.Contains(options, "omitzero") {
			m.isZero = zeroOf(f.Type)
		}
		out = append(out, m)
	}
	return out, true
}

// Empty is what omitempty leaves out.
func Empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16,
		reflect.Uint32, reflect.Uint64, reflect.Uintptr, reflect.Float32, reflect.Float64, reflect.Interface, reflect.Pointer:
		return v.IsZero()
	}
	return false
}

type zeroer interface{ IsZero() bool }

// zeroOf is what omitzero asks of a type: its own IsZero where it has one.
func zeroOf(t reflect.Type) func(reflect.Value) bool {
	own := reflect.TypeFor[zeroer]()
	switch {
	case t.Kind() == reflect.Pointer && t.Implements(own):
		return func(v reflect.Value) bool { return v.IsNil() || v.Interface().(zeroer).IsZero() }
	case t.Implements(own):
		return func(v reflect.Value) bool { return v.Interface().(zeroer).IsZero() }
	case reflect.PointerTo(t).Implements(own):
		return func(v reflect.Value) bool { return addressed(v).Interface().(zeroer).IsZero() }
	}
	return reflect.Value.IsZero
}

func addressed(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v.Addr()
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return p
}
