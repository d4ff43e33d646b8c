package ownership

import (
	"errors"
	"reflect"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// Changes are the fields in which one object differs from another.
type Changes struct{ Added, Modified, Removed *fieldpath.Set }

// errKeys says that an item has none of the fields that would name it.
var errKeys = errors.New("an item of a list has none of its keys")

// Compare says what was changed from one object to the other, both of the Go type that t was compiled for.
func (t *Type) Compare(from, to any) (*Changes, error) {
	c := &comparison{}
	for i := range c.sets {
		c.sets[i] = []*fieldpath.Set{fieldpath.NewSet()}
	}
	c.node(t.root, there(reflect.ValueOf(from)), there(reflect.ValueOf(to)))
	if c.err != nil {
		return nil, c.err
	}
	return &Changes{Added: c.sets[added][0], Modified: c.sets[modified][0], Removed: c.sets[removed][0]}, nil
}

// change is what happened to a field.
type change int

const (
	added change = iota
	modified
	removed
	changes
)

// operand is a value that may be absent, or null.
type operand struct {
	v    reflect.Value // valid where present and not null
	here bool
}

func there(v reflect.Value) operand {
	for v.Kind() == reflect.Pointer {
		v = v.Elem() // invalid of nil
	}
	if v.IsValid() && (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.IsNil() {
		v = reflect.Value{}
	}
	return operand{v: v, here: true}
}

// bare says that there is nothing below: absent, null or empty.
func (o operand) bare(n *node) bool {
	if !o.v.IsValid() {
		return true
	}
	if n.form != record {
		return o.v.Len() == 0
	}
	for i := range n.fields {
		if _, ok := n.fields[i].of(o.v); ok {
			return false
		}
	}
	return true
}

// comparison walks down two objects. sets holds, for each kind of change, the sets of the path from the
// root to where the walk is; nil where nothing was inserted yet.
type comparison struct {
	path []fieldpath.PathElement
	sets [changes][]*fieldpath.Set
	err  error
}

func (c *comparison) enter(e fieldpath.PathElement) {
	c.path = append(c.path, e)
	for i := range c.sets {
		c.sets[i] = append(c.sets[i], nil)
	}
}

func (c *comparison) leave() {
	n := len(c.path) - 1
	c.path = c.path[:n]
	for i := range c.sets {
		c.sets[i] = c.sets[i][:n+1]
	}
}

// mark notes what happened to the field that the walk has reached.
func (c *comparison) mark(what change) {
	if len(c.path) == 0 {
		return
	}
	sets, last := c.sets[what], len(c.path)-1
	for depth := 1; depth <= last; depth++ {
		if sets[depth] == nil {
			sets[depth] = sets[depth-1].Children.Descend(c.path[depth-1])
		}
	}
	sets[last].Members.Insert(c.path[last])
}

func (c *comparison) node(n *node, l, r operand) {
	if n.form == scalar || n.atomic || l.bare(n) && r.bare(n) {
		c.leaf(n, l, r)
		return
	}
	switch n.form {
	case record:
		c.record(n, l, r)
	case table:
		c.table(n, l, r)
	default:
		c.list(n, l, r)
	}
	switch {
	case !l.here:
		c.mark(added)
	case !r.here:
		c.mark(removed)
	}
}

func (c *comparison) leaf(n *node, l, r operand) {
	switch {
	case !l.here:
		c.mark(added)
	case !r.here:
		c.mark(removed)
	case !equal(n, l, r):
		c.mark(modified)
	}
}

func (c *comparison) record(n *node, l, r operand) {
	for i := range n.fields {
		f := &n.fields[i]
		x, y := f.operand(l), f.operand(r)
		if x.here || y.here {
			c.enter(f.element)
			c.node(f.node, x, y)
			c.leave()
		}
	}
}

// operand is the field of a record that may itself be absent.
func (m *member) operand(o operand) operand {
	if !o.v.IsValid() {
		return operand{}
	}
	v, ok := m.of(o.v)
	if !ok {
		return operand{}
	}
	return there(v)
}

func (c *comparison) table(n *node, l, r operand) {
	visit := func(name string, x, y operand) {
		c.enter(fieldpath.PathElement{FieldName: &name})
		c.node(n.elem, x, y)
		c.leave()
	}
	if l.v.IsValid() {
		for it := l.v.MapRange(); it.Next(); {
			var other operand
			if r.v.IsValid() {
				if v := r.v.MapIndex(it.Key()); v.IsValid() {
					other = there(v)
				}
			}
			visit(it.Key().String(), there(it.Value()), other)
		}
	}
	if r.v.IsValid() {
		for it := r.v.MapRange(); it.Next(); {
			if !l.v.IsValid() || !l.v.MapIndex(it.Key()).IsValid() {
				visit(it.Key().String(), operand{}, there(it.Value()))
			}
		}
	}
}

// item is an element of a list; several may have one name.
type item struct {
	element fieldpath.PathElement
	l, r    []operand
}

func (c *comparison) list(n *node, l, r operand) {
	if equal(n, l, r) {
		return
	}
	for _, it := range c.items(n, l, r) {
		c.enter(it.element)
		switch {
		case len(it.l) <= 1 && len(it.r) <= 1:
			c.node(n.elem, first(it.l), first(it.r))
		case len(it.l) >= 2 && len(it.r) >= 2: // several of one name are one thing
			if !equalLists(n.elem, it.l, it.r) {
				c.mark(modified)
			}
		case len(it.l) >= 2:
			if len(it.r) > 0 {
				c.node(n.elem, operand{}, it.r[0])
			}
			c.mark(removed)
		default:
			if len(it.l) > 0 {
				c.node(n.elem, it.l[0], operand{})
			}
			c.mark(added)
		}
		c.leave()
	}
}

func first(all []operand) operand {
	if len(all) == 0 {
		return operand{}
	}
	return all[0]
}

func equalLists(n *node, l, r []operand) bool {
	if len(l) != len(r) {
		return false
	}
	for i := range l {
		if !equal(n, l[i], r[i]) {
			return false
		}
	}
	return true
}

// items puts together the elements of two lists that have the same name.
func (c *comparison) items(n *node, l, r operand) []*item {
	var all []*item
	byName := fieldpath.MakePathElementMap(8)
	gather := func(o operand, add func(*item, operand)) {
		if !o.v.IsValid() {
			return
		}
		for i := range o.v.Len() {
			v := there(o.v.Index(i))
			e, err := n.name(v)
			if err != nil {
				c.err = err
				return
			}
			known, ok := byName.Get(e)
			if !ok {
				known = &item{element: e}
				byName.Insert(e, known)
				all = append(all, known.(*item))
			}
			add(known.(*item), v)
		}
	}
	gather(l, func(it *item, v operand) { it.l = append(it.l, v) })
	gather(r, func(it *item, v operand) { it.r = append(it.r, v) })
	return all
}

// name is the path element of an item: its keys, or, in a set, itself.
func (n *node) name(o operand) (e fieldpath.PathElement, err error) {
	if !o.v.IsValid() {
		return e, errKeys
	}
	if len(n.keys) == 0 {
		v := value.NewValueInterface(n.elem.plain(o.v))
		e.Value = &v
		return e, nil
	}
	keys := make(value.FieldList, 0, len(n.keys))
	for _, k := range n.keys {
		field := k.member.operand(o)
		switch {
		case field.here && field.v.IsValid():
			keys = append(keys, value.Field{Name: k.member.name, Value: value.NewValueInterface(k.member.node.plain(field.v))})
		case field.here:
			keys = append(keys, value.Field{Name: k.member.name, Value: value.NewValueInterface(nil)})
		case k.standsIn != nil:
			keys = append(keys, value.Field{Name: k.member.name, Value: value.NewValueInterface(k.standsIn)})
		}
	}
	if len(keys) == 0 {
		return e, errKeys
	}
	e.Key = &keys
	return e, nil
}

// equal compares what two values are in JSON.
func equal(n *node, l, r operand) bool {
	if l.here != r.here || l.v.IsValid() != r.v.IsValid() {
		return false
	}
	if !l.v.IsValid() {
		return true
	}
	switch n.form {
	case scalar:
		return n.same(l.v, r.v)
	case record:
		for i := range n.fields {
			if f := &n.fields[i]; !equal(f.node, f.operand(l), f.operand(r)) {
				return false
			}
		}
		return true
	case table:
		if l.v.Len() != r.v.Len() {
			return false
		}
		for it := l.v.MapRange(); it.Next(); {
			other := r.v.MapIndex(it.Key())
			if !other.IsValid() || !equal(n.elem, there(it.Value()), there(other)) {
				return false
			}
		}
		return true
	}
	if l.v.Len() != r.v.Len() {
		return false
	}
	for i := range l.v.Len() {
		if !equal(n.elem, there(l.v.Index(i)), there(r.v.Index(i))) {
			return false
		}
	}
	return true
}
