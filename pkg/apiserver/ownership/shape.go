// Package ownership says who owns which fields of a built-in object after a plain write or an ordinary apply, and
// merges what is applied: the same as structured-merge-diff makes of it, computed without turning objects into
// anything else. A Type is compiled once for a Go type and its schema; from then on two objects are compared, or one
// is merged into another, field by field.
package ownership

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	k8sschema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
	"sigs.k8s.io/structured-merge-diff/v6/value"

	"github.com/sampan-project/sampan/pkg/apiserver/objectjson"
)

// ErrShape says that a type holds what has no fixed shape (raw extensions, free JSON): its fields cannot be
// known ahead.
var ErrShape = errors.New("the type has parts without a fixed shape")

// form is what a value is in JSON.
type form int

const (
	scalar form = iota
	record      // a Go struct
	table       // a Go map
	list
)

// node is a type with what its schema says of it.
type node struct {
	form   form
	atomic bool
	goType reflect.Type
	fields []member // of a record, in the order of their names
	elem   *node    // of a table or list
	keys   []key    // of an associative list; none: a set
	same   func(a, b reflect.Value) bool
	plain  func(reflect.Value) any // a scalar as a path element holds it
	itself bool                    // a scalar that reads its own JSON
	text   bool                    // that is the string itself
}

// member is a field of a record.
type member struct {
	name      string
	token     []byte  // the element of a path
	steps     [][]int // through inlined structs
	omitEmpty bool
	omitZero  func(reflect.Value) bool
	node      *node
}

// key is one of the fields that name an item of a list.
type key struct {
	member   *member
	standsIn any // what stands for an absent one; may be nil
}

// compiler makes the nodes of one schema.
type compiler struct {
	schema *schema.Schema
	made   map[nodeKey]*node
}

type nodeKey struct {
	goType   reflect.Type
	typeName string
	relation schema.ElementRelationship
}

func (c *compiler) node(t reflect.Type, ref schema.TypeRef) (*node, error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	id := nodeKey{goType: t}
	if ref.NamedType != nil {
		id.typeName = *ref.NamedType
	}
	if ref.ElementRelationship != nil {
		id.relation = *ref.ElementRelationship
	}
	if n := c.made[id]; n != nil && id.typeName != "" {
		return n, nil
	}
	atom, ok := c.schema.Resolve(ref)
	if !ok {
		return nil, fmt.Errorf("%w: no schema for %s", ErrShape, t)
	}
	n := &node{goType: t}
	if id.typeName != "" {
		c.made[id] = n // types may hold themselves
	}
	if n.same, n.plain = scalarOf(t); n.same != nil {
		if atom.Scalar == nil && t != managedType {
			return nil, fmt.Errorf("%w: %s", ErrShape, t)
		}
		n.text = t.Kind() == reflect.String && !t.Implements(converts)
		n.itself = marshals(t)
		return n, nil
	}
	if atom.Scalar != nil || (atom.Map != nil) == (atom.List != nil) || marshals(t) {
		return nil, fmt.Errorf("%w: %s", ErrShape, t)
	}
	return n, c.fill(n, t, atom)
}

func (c *compiler) fill(n *node, t reflect.Type, atom schema.Atom) (err error) {
	switch {
	case t.Kind() == reflect.Struct && atom.Map != nil:
		n.form, n.atomic = record, atom.Map.ElementRelationship == schema.Atomic
		return c.record(n, t, nil, atom.Map)
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String && atom.Map != nil:
		n.form, n.atomic = table, atom.Map.ElementRelationship == schema.Atomic
		n.elem, err = c.node(t.Elem(), atom.Map.ElementType)
		return err
	case t.Kind() == reflect.Slice && atom.List != nil:
		n.form, n.atomic = list, atom.List.ElementRelationship != schema.Associative
		if n.elem, err = c.node(t.Elem(), atom.List.ElementType); err != nil || n.atomic {
			return err
		}
		return c.keys(n, atom.List)
	}
	return fmt.Errorf("%w: %s", ErrShape, t)
}

// record adds the fields of a struct, and of those that it inlines.
func (c *compiler) record(n *node, t reflect.Type, steps [][]int, m *schema.Map) error {
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		options := strings.Split(opts, ",")
		path := append(slices.Clip(steps), f.Index)
		switch {
		case name == "-":
			continue
		case slices.Contains(options, "inline"):
			inlined := f.Type
			if inlined.Kind() == reflect.Pointer {
				inlined = inlined.Elem()
			}
			if err := c.record(n, inlined, path, m); err != nil {
				return err
			}
			continue
		case name == "":
			name = f.Name
		}
		ref := m.ElementType
		if sf, ok := m.FindField(name); ok {
			ref = sf.Type
		}
		child, err := c.node(f.Type, ref)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		added := member{name: name, token: appendField(nil, name), steps: path, omitEmpty: slices.Contains(options, "omitempty"), node: child}
		if slices.Contains(options, "omitzero") {
			added.omitZero = value.OmitZeroFunc(f.Type)
		}
		n.fields = append(n.fields, added)
	}
	slices.SortFunc(n.fields, func(a, b member) int { return strings.Compare(a.name, b.name) })
	return nil
}

// keys finds the fields that name an item, in the order of their names.
func (c *compiler) keys(n *node, l *schema.List) error {
	if len(l.Keys) == 0 {
		if n.elem.plain == nil {
			return fmt.Errorf("%w: a set of what is no scalar", ErrShape)
		}
		return nil
	}
	atom, ok := c.schema.Resolve(l.ElementType)
	if !ok || atom.Map == nil || n.elem.form != record {
		return fmt.Errorf("%w: items with keys that are no structs", ErrShape)
	}
	names := slices.Sorted(slices.Values(l.Keys))
	for _, name := range names {
		i := slices.IndexFunc(n.elem.fields, func(m member) bool { return m.name == name })
		if i < 0 || n.elem.fields[i].node.plain == nil {
			return fmt.Errorf("%w: the key %s", ErrShape, name)
		}
		k := key{member: &n.elem.fields[i]}
		if f, ok := atom.Map.FindField(name); ok {
			k.standsIn = f.Default
		}
		n.keys = append(n.keys, k)
	}
	return nil
}

// of is a record's field, and whether it is there.
func (m *member) of(v reflect.Value) (reflect.Value, bool) {
	for _, step := range m.steps {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return reflect.Value{}, false
			}
			v = v.Elem()
		}
		v = v.FieldByIndex(step)
	}
	if m.omitEmpty && objectjson.Empty(v) || m.omitZero != nil && m.omitZero(v) {
		return v, false
	}
	return v, true
}

// Type compares and merges the objects of one kind.
type Type struct {
	root   *node
	schema *typed.TypedValue // of no value: what the libraries ask of the type
}

// Compile makes the Type of the Go type of an object, of which ref says what belongs together and what is
// named by which keys. ErrShape where that cannot be known ahead.
func Compile(of any, s *schema.Schema, ref schema.TypeRef) (*Type, error) {
	c := &compiler{schema: s, made: map[nodeKey]*node{}}
	root, err := c.node(reflect.TypeOf(of), ref)
	if err != nil {
		return nil, err
	}
	return &Type{root: root, schema: typed.AsTypedUnvalidated(nil, s, ref)}, nil
}

// Of compiles the type of a built-in kind, of which empty is an object.
func Of(types managedfields.TypeConverter, kind k8sschema.GroupVersionKind, empty runtime.Object) (*Type, error) {
	o := empty.DeepCopyObject()
	o.GetObjectKind().SetGroupVersionKind(kind)
	known, err := types.ObjectToTyped(o)
	if err != nil {
		return nil, fmt.Errorf("finding the schema of %s: %w", kind.Kind, err)
	}
	return Compile(empty, known.Schema(), known.TypeRef())
}
