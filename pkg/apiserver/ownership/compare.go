package ownership

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
)

// errKeys says that an item has none of the fields that would name it.
var errKeys = errors.New("an item of a list has none of its keys")

// change is what happened to a field.
type change int

const (
	added change = iota
	modified
	removed
	owned // by who applies it, changed or not
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

// is says that two values are one in memory, as what a patch leaves alone.
func (o operand) is(other operand) bool {
	if !o.v.IsValid() || !other.v.IsValid() {
		return false
	}
	switch o.v.Kind() {
	case reflect.Slice:
		return o.v.Len() == other.v.Len() && o.v.UnsafePointer() == other.v.UnsafePointer()
	case reflect.Map:
		return o.v.UnsafePointer() == other.v.UnsafePointer()
	case reflect.Struct:
		return o.v.CanAddr() && other.v.CanAddr() && o.v.UnsafeAddr() == other.v.UnsafeAddr()
	}
	return false
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

func (c *comparison) node(n *node, l, r operand) {
	if l.is(r) {
		return
	}
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
			c.enter()
			c.path = append(c.path, f.token...)
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
	for _, key := range keysOf(l.v, r.v) {
		c.enter()
		c.path = appendField(c.path, key.String())
		c.node(n.elem, entry(l.v, key), entry(r.v, key))
		c.leave()
	}
}

// keysOf are those of two maps, in order: what is found is written down the same whenever it is the same.
func keysOf(l, r reflect.Value) []reflect.Value {
	var keys []reflect.Value
	if l.IsValid() {
		keys = l.MapKeys()
	}
	if r.IsValid() {
		for it := r.MapRange(); it.Next(); {
			if !l.IsValid() || !l.MapIndex(it.Key()).IsValid() {
				keys = append(keys, it.Key())
			}
		}
	}
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

func entry(m, key reflect.Value) operand {
	if !m.IsValid() {
		return operand{}
	}
	v := m.MapIndex(key)
	if !v.IsValid() {
		return operand{}
	}
	return there(v)
}

// item is the elements of two lists that have one name.
type item struct {
	token []byte
	l, r  side
}

// side is an item in one of the lists, in which it may stand several times.
type side struct {
	operand
	again []operand
}

func (s *side) add(o operand) {
	if s.here {
		s.again = append(s.again, o)
		return
	}
	s.operand = o
}

func (s *side) several() bool { return len(s.again) > 0 }

func (c *comparison) list(n *node, l, r operand) {
	if equal(n, l, r) {
		return
	}
	items := c.items(n, l, r)
	for i := range items {
		it := &items[i]
		c.enter()
		c.path = append(c.path, it.token...)
		switch {
		case !it.l.several() && !it.r.several():
			c.node(n.elem, it.l.operand, it.r.operand)
		case it.l.several() && it.r.several(): // several of one name are one thing
			if !equal(n.elem, it.l.operand, it.r.operand) || !equalLists(n.elem, it.l.again, it.r.again) {
				c.mark(modified)
			}
		case it.l.several():
			if it.r.here {
				c.node(n.elem, operand{}, it.r.operand)
			}
			c.mark(removed)
		default:
			if it.l.here {
				c.node(n.elem, it.l.operand, operand{})
			}
			c.mark(added)
		}
		c.leave()
	}
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

// fewItems is how many are searched for a name one by one.
const fewItems = 16

// items puts together the elements of two lists that have the same name.
func (c *comparison) items(n *node, l, r operand) []item {
	size := l.length() + r.length()
	all := make([]item, 0, size)
	tokens := make([]byte, 0, 32*size)
	var byName map[string]int
	if size > fewItems {
		byName = make(map[string]int, size)
	}
	find := func(token []byte) *item {
		if byName == nil {
			for i := range all {
				if bytes.Equal(all[i].token, token) {
					return &all[i]
				}
			}
		} else if i, ok := byName[string(token)]; ok {
			return &all[i]
		} else {
			byName[string(token)] = len(all)
		}
		all = append(all, item{token: token})
		return &all[len(all)-1]
	}
	for i := range size {
		o, at := l, i
		if i >= l.length() {
			o, at = r, i-l.length()
		}
		v, begin := there(o.v.Index(at)), len(tokens)
		var err error
		if tokens, err = n.appendName(tokens, v); err != nil {
			c.err = err
			return nil
		}
		it := find(tokens[begin:len(tokens):len(tokens)])
		if i < l.length() {
			it.l.add(v)
		} else {
			it.r.add(v)
		}
	}
	return all
}

// length is that of a list.
func (o operand) length() int {
	if !o.v.IsValid() {
		return 0
	}
	return o.v.Len()
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
