// Package objectpatch applies ordinary merge patches to Go objects in place: what the patch does not name
// is not touched, let alone written as JSON and read again. A patch that is not ordinary (directives,
// fields that nobody knows, values of another type) is left to the libraries, whose
// outcome this package's is compared with in its tests.
package objectpatch

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"

	kjson "sigs.k8s.io/json"
)

// ErrNotOrdinary says that the patch is for the libraries. The object may have been changed in part.
var ErrNotOrdinary = errors.New("not an ordinary patch")

// Kind of patch.
type Kind int

// The kinds: JSON merge patch (RFC 7386), whose lists replace, and strategic merge patch, whose lists of
// objects are merged by key where the Go type says so.
const (
	Merge Kind = iota
	Strategic
)

// Apply changes obj, a pointer to a struct, as the patch says. Values of patch are those that JSON decodes to,
// whole numbers as int64.
func Apply(obj any, patch map[string]any, kind Kind) error {
	p := patcher{kind: kind}
	return p.record(reflect.ValueOf(obj).Elem(), patch)
}

type patcher struct{ kind Kind }

// field is a struct's field by its JSON name.
type field struct {
	index     []int
	omitEmpty bool
	mergeKey  string // of a list that strategic patches merge
	strategy  string
}

// known are the fields of the struct types met so far.
var known sync.Map // reflect.Type -> map[string]field

func fieldsOf(t reflect.Type) map[string]field {
	if f, ok := known.Load(t); ok {
		return f.(map[string]field)
	}
	out := map[string]field{}
	gather(t, nil, out)
	f, _ := known.LoadOrStore(t, out)
	return f.(map[string]field)
}

func gather(t reflect.Type, above []int, out map[string]field) {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(slices.Clone(above), i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct {
			gather(f.Type, index, out)
			continue
		}
		if name != "" && name != "-" {
			out[name] = field{index: index, omitEmpty: strings.Contains(options, "omitempty"), mergeKey: f.Tag.Get("patchMergeKey"), strategy: f.Tag.Get("patchStrategy")}
		}
	}
}

func (p patcher) record(v reflect.Value, patch map[string]any) error {
	fields := fieldsOf(v.Type())
	for name, value := range patch {
		f, ok := fields[name]
		if !ok {
			return ErrNotOrdinary
		}
		part := v.FieldByIndex(f.index)
		if err := p.field(part, f, value); err != nil {
			return err
		}
		if f.omitEmpty && (part.Kind() == reflect.Map || part.Kind() == reflect.Slice) && part.Len() == 0 {
			part.SetZero() // as if read from JSON, where it does not stand
		}
	}
	return nil
}

func (p patcher) field(v reflect.Value, f field, value any) error {
	if value == nil {
		v.SetZero()
		return nil
	}
	if p.kind == Strategic && f.strategy != "" {
		items, isList := value.([]any)
		if f.strategy != "merge" || isList && f.mergeKey == "" {
			return ErrNotOrdinary
		}
		if isList {
			return p.list(v, f.mergeKey, items)
		}
	}
	return p.value(v, value)
}

// value sets v, or merges into it where both are objects.
func (p patcher) value(v reflect.Value, value any) error {
	object, isObject := value.(map[string]any)
	if !isObject {
		return p.plain(v, value)
	}
	if decodesItself(v.Type()) {
		return ErrNotOrdinary
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			fresh := reflect.New(v.Type().Elem())
			v.Set(fresh)
		}
		return p.value(v.Elem(), value)
	case reflect.Struct:
		return p.record(v, object)
	case reflect.Map:
		return p.table(v, object)
	}
	return ErrNotOrdinary
}

func (p patcher) table(v reflect.Value, patch map[string]any) error {
	if v.Type().Key().Kind() != reflect.String {
		return ErrNotOrdinary
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	for name, value := range patch {
		if p.kind == Strategic && strings.HasPrefix(name, "$") {
			return ErrNotOrdinary
		}
		key := reflect.ValueOf(name).Convert(v.Type().Key())
		if value == nil {
			v.SetMapIndex(key, reflect.Value{})
			continue
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		if old := v.MapIndex(key); old.IsValid() {
			elem.Set(old)
		}
		if err := p.value(elem, value); err != nil {
			return err
		}
		v.SetMapIndex(key, elem)
	}
	return nil
}

// plain sets what is no object.
func (p patcher) plain(v reflect.Value, value any) error {
	if decodesItself(v.Type()) {
		return decode(v, value)
	}
	switch x := value.(type) {
	case string:
		if v.Kind() == reflect.String {
			v.SetString(x)
			return nil
		}
	case bool:
		if v.Kind() == reflect.Bool {
			v.SetBool(x)
			return nil
		}
	case []any:
		if v.Kind() != reflect.Slice || holdsNull(x) || p.kind == Strategic && holdsDirective(x) {
			return ErrNotOrdinary
		}
	}
	return decode(v, value)
}

// decode reads a value anew, as the body of a request is read.
func decode(v reflect.Value, value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return ErrNotOrdinary
	}
	fresh := reflect.New(v.Type())
	faults, err := kjson.UnmarshalStrict(b, fresh.Interface())
	if err != nil || len(faults) > 0 {
		return ErrNotOrdinary
	}
	v.Set(fresh.Elem())
	return nil
}

// list merges items into a list of structs by a key.
func (p patcher) list(v reflect.Value, key string, items []any) error {
	if v.Kind() != reflect.Slice || v.Type().Elem().Kind() != reflect.Struct || len(items) == 0 {
		return ErrNotOrdinary
	}
	f, ok := fieldsOf(v.Type().Elem())[key]
	if !ok || len(items)*(v.Len()+len(items)) > mostCompared {
		return ErrNotOrdinary
	}
	named := make([]item, 0, len(items))
	for _, each := range items {
		patch, ok := each.(map[string]any)
		if !ok || patch[key] == nil || holdsDirective(patch) {
			return ErrNotOrdinary
		}
		at, err := find(v, f, patch[key])
		if err != nil || slices.ContainsFunc(named, func(o item) bool { return o.key == patch[key] }) {
			return ErrNotOrdinary
		}
		merged := reflect.New(v.Type().Elem()).Elem()
		if at >= 0 {
			merged.Set(v.Index(at))
			err = p.record(merged, patch)
		} else if err = ErrNotOrdinary; !holdsNull(patch) {
			err = decode(merged, patch)
		}
		if err != nil {
			return err
		}
		named = append(named, item{patch[key], at, merged})
	}
	v.Set(ordered(v, named))
	return nil
}

// item is one that a patch names: where it was, -1 for a new one, and what it became.
type item struct {
	key   any
	at    int
	value reflect.Value
}

// ordered puts the items that a patch names, in its order, among those that it does not: each of those
// stands before the first named one that stood behind it.
func ordered(list reflect.Value, named []item) reflect.Value {
	out := reflect.MakeSlice(list.Type(), 0, list.Len()+len(named))
	for i := range list.Len() {
		if slices.ContainsFunc(named, func(o item) bool { return o.at == i }) {
			continue
		}
		for len(named) > 0 && named[0].at < i { // a new one, too, goes first
			out, named = reflect.Append(out, named[0].value), named[1:]
		}
		out = reflect.Append(out, list.Index(i))
	}
	for _, o := range named {
		out = reflect.Append(out, o.value)
	}
	return out
}

// find is the place of the item with a key, -1 where there is none. Two of them are not ordinary.
func find(list reflect.Value, f field, want any) (int, error) {
	at := -1
	for i := range list.Len() {
		k := list.Index(i).FieldByIndex(f.index)
		var same bool
		switch x := want.(type) {
		case string:
			same = k.Kind() == reflect.String && k.String() == x
		case int64:
			same = k.CanInt() && k.Int() == x
		default:
			return 0, ErrNotOrdinary
		}
		if !same {
			continue
		}
		if at >= 0 {
			return 0, ErrNotOrdinary
		}
		at = i
	}
	return at, nil
}

func holdsNull(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case []any:
		return slices.ContainsFunc(v, holdsNull)
	case map[string]any:
		for _, e := range v {
			if holdsNull(e) {
				return true
			}
		}
	}
	return false
}

// holdsDirective says that a strategic patch orders something: "$patch", "$setElementOrder/...".
func holdsDirective(v any) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, holdsDirective)
	case map[string]any:
		for name, e := range v {
			if strings.HasPrefix(name, "$") || holdsDirective(e) {
				return true
			}
		}
	}
	return false
}

var unmarshalers = reflect.TypeFor[json.Unmarshaler]()

// decodesItself says that a type reads its own JSON.
func decodesItself(t reflect.Type) bool {
	return t.Implements(unmarshalers) || reflect.PointerTo(t).Implements(unmarshalers)
}
