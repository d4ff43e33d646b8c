package ownership

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// comparison walks down two objects and writes down what it finds: where it goes and what happened there. Equal
// trails stand for equal changes, so that what follows of one has to be computed once.
type comparison struct {
	path  []byte // the elements from the root to where the walk is
	at    []int  // where each begins
	told  int    // how many of them the trail has entered
	trail []byte
	err   error
}

// The marks of a trail. After enter follows an element of a path, and after the changes nothing. The ends are none
// of a trail's own.
const (
	enter = byte(changes) + iota
	leave
	endOfUpdate
	endOfApply
)

// The kinds of an element, and those of values.
const (
	fieldElement = 'f' // a name
	keyElement   = 'k' // a count, and as often a name and a value
	valueElement = 'v' // a value

	textValue   = 's'
	intValue    = 'i'
	floatValue  = 'd'
	trueValue   = 't'
	falseValue  = 'b'
	absentValue = 'n'
)

// enter goes one element down; who calls it appends that to the path.
func (c *comparison) enter() { c.at = append(c.at, len(c.path)) }

func (c *comparison) leave() {
	n := len(c.at) - 1
	if c.told > n {
		c.trail = append(c.trail, leave)
		c.told = n
	}
	c.path, c.at = c.path[:c.at[n]], c.at[:n]
}

// mark notes what happened to the field that the walk has reached.
func (c *comparison) mark(what change) {
	if len(c.at) == 0 {
		return
	}
	for ; c.told < len(c.at); c.told++ {
		end := len(c.path)
		if c.told+1 < len(c.at) {
			end = c.at[c.told+1]
		}
		c.trail = append(c.trail, enter)
		c.trail = append(c.trail, c.path[c.at[c.told]:end]...)
	}
	c.trail = append(c.trail, byte(what))
}

func appendText(to []byte, s string) []byte {
	return append(binary.AppendUvarint(to, uint64(len(s))), s...)
}

func appendField(to []byte, name string) []byte { return appendText(append(to, fieldElement), name) }

// appendName appends the element of an item: its keys, or, in a set, itself.
func (n *node) appendName(to []byte, o operand) ([]byte, error) {
	if !o.v.IsValid() {
		return nil, errKeys
	}
	if len(n.keys) == 0 {
		return n.elem.appendValue(append(to, valueElement), o.v)
	}
	to = append(to, keyElement, 0)
	count, err := len(to)-1, error(nil)
	for _, k := range n.keys {
		field := k.member.operand(o)
		if !field.here && k.standsIn == nil {
			continue
		}
		to[count]++
		to = appendText(to, k.member.name)
		switch {
		case field.v.IsValid():
			to, err = k.member.node.appendValue(to, field.v)
		case field.here:
			to = append(to, absentValue)
		default:
			to, err = appendPlain(to, k.standsIn)
		}
		if err != nil {
			return nil, err
		}
	}
	if to[count] == 0 {
		return nil, errKeys
	}
	return to, nil
}

// appendValue appends a scalar.
func (n *node) appendValue(to []byte, v reflect.Value) ([]byte, error) {
	if v.Kind() == reflect.String && n.text {
		return appendText(append(to, textValue), v.String()), nil
	}
	return appendPlain(to, n.plain(v))
}

func appendPlain(to []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(to, absentValue), nil
	case string:
		return appendText(append(to, textValue), v), nil
	case bool:
		if v {
			return append(to, trueValue), nil
		}
		return append(to, falseValue), nil
	case int:
		return binary.AppendVarint(append(to, intValue), int64(v)), nil
	case int64:
		return binary.AppendVarint(append(to, intValue), v), nil
	case float64:
		return binary.BigEndian.AppendUint64(append(to, floatValue), math.Float64bits(v)), nil
	}
	return nil, fmt.Errorf("%w: a %T names an item", ErrShape, v)
}

// Changes are the fields in which one object differs from another, and those that who applies it names.
type Changes struct{ Added, Modified, Removed, Owned *fieldpath.Set }

// reader goes along a trail. sets holds, for each kind of change, the sets of the path from the root to where it
// is; nil where nothing was inserted yet.
type reader struct {
	rest []byte
	path []fieldpath.PathElement
	sets [changes][]*fieldpath.Set
}

// errTrail says that a trail is none. Nothing but a fault of this package makes such.
var errTrail = errors.New("the changes cannot be read")

// changesOf gives the changes that a trail tells of.
func changesOf(trail []byte) (_ *Changes, err error) {
	r := &reader{rest: trail}
	for i := range r.sets {
		r.sets[i] = []*fieldpath.Set{fieldpath.NewSet()}
	}
	for len(r.rest) > 0 && err == nil {
		mark := r.rest[0]
		r.rest = r.rest[1:]
		switch {
		case mark == enter:
			err = r.enter()
		case mark == leave && len(r.path) > 0:
			n := len(r.path) - 1
			r.path = r.path[:n]
			for i := range r.sets {
				r.sets[i] = r.sets[i][:n+1]
			}
		case mark < byte(changes) && len(r.path) > 0:
			r.insert(change(mark))
		default:
			err = errTrail
		}
	}
	return &Changes{Added: r.sets[added][0], Modified: r.sets[modified][0], Removed: r.sets[removed][0], Owned: r.sets[owned][0]}, err
}

func (r *reader) enter() error {
	e, err := r.element()
	r.path = append(r.path, e)
	for i := range r.sets {
		r.sets[i] = append(r.sets[i], nil)
	}
	return err
}

func (r *reader) insert(what change) {
	sets, last := r.sets[what], len(r.path)-1
	for depth := 1; depth <= last; depth++ {
		if sets[depth] == nil {
			sets[depth] = sets[depth-1].Children.Descend(r.path[depth-1])
		}
	}
	sets[last].Members.Insert(r.path[last])
}

func (r *reader) element() (e fieldpath.PathElement, err error) {
	kind, err := r.byte()
	switch {
	case err != nil:
	case kind == fieldElement:
		var name string
		name, err = r.text()
		e.FieldName = &name
	case kind == valueElement:
		var v value.Value
		v, err = r.value()
		e.Value = &v
	case kind == keyElement:
		e.Key, err = r.keys()
	default:
		err = errTrail
	}
	return e, err
}

func (r *reader) keys() (*value.FieldList, error) {
	count, err := r.byte()
	keys := make(value.FieldList, 0, count)
	for ; count > 0 && err == nil; count-- {
		var f value.Field
		if f.Name, err = r.text(); err == nil {
			f.Value, err = r.value()
		}
		keys = append(keys, f)
	}
	return &keys, err
}

func (r *reader) byte() (byte, error) {
	if len(r.rest) == 0 {
		return 0, errTrail
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b, nil
}

func (r *reader) text() (string, error) {
	size, n := binary.Uvarint(r.rest)
	if n <= 0 || uint64(len(r.rest)-n) < size {
		return "", errTrail
	}
	s := string(r.rest[n : n+int(size)])
	r.rest = r.rest[n+int(size):]
	return s, nil
}

func (r *reader) value() (value.Value, error) {
	kind, err := r.byte()
	if err != nil {
		return nil, err
	}
	var plain any
	switch kind {
	case absentValue:
	case trueValue, falseValue:
		plain = kind == trueValue
	case textValue:
		plain, err = r.text()
	case intValue:
		v, n := binary.Varint(r.rest)
		if n <= 0 {
			return nil, errTrail
		}
		plain, r.rest = v, r.rest[n:]
	case floatValue:
		if len(r.rest) < 8 {
			return nil, errTrail
		}
		plain, r.rest = math.Float64frombits(binary.BigEndian.Uint64(r.rest)), r.rest[8:]
	default:
		err = errTrail
	}
	return value.NewValueInterface(plain), err
}
