package ownership

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
)

// tells says that a value, which is there, is in JSON what is wanted.
func (n *node) tells(v reflect.Value, want any) bool {
	switch want := want.(type) {
	case string:
		if n.text {
			return v.String() == want
		}
	case map[string]any:
		return n.form == record && n.tellsRecord(v, want) || n.form == table && n.tellsTable(v, want)
	case []any:
		return n.form == list && n.tellsList(v, want)
	}
	if n.form != scalar {
		return false
	}
	fresh := reflect.New(n.goType).Elem()
	return n.read(fresh, want) == nil && n.same(v, fresh)
}

func (n *node) tellsRecord(v reflect.Value, want map[string]any) bool {
	here := 0
	for i := range n.fields {
		f := &n.fields[i]
		part, ok := f.of(v)
		if !ok {
			continue
		}
		here++
		value, named := want[f.name]
		if o := there(part); !named || !o.v.IsValid() || !f.node.tells(o.v, value) {
			return false
		}
	}
	return here == len(want)
}

func (n *node) tellsTable(v reflect.Value, want map[string]any) bool {
	if v.Len() != len(want) {
		return false
	}
	for it := v.MapRange(); it.Next(); {
		value, named := want[it.Key().String()]
		if o := there(it.Value()); !named || !o.v.IsValid() || !n.elem.tells(o.v, value) {
			return false
		}
	}
	return true
}

func (n *node) tellsList(v reflect.Value, want []any) bool {
	if v.Len() != len(want) || !n.atomic && !n.distinct(want) {
		return false
	}
	for i, value := range want {
		if o := there(v.Index(i)); !o.v.IsValid() || !n.elem.tells(o.v, value) {
			return false
		}
	}
	return true
}

// read makes a zero value what is wanted. What would not be the same in JSON again is not ordinary.
func (n *node) read(v reflect.Value, want any) error {
	v = filled(v)
	switch want := want.(type) {
	case map[string]any:
		switch n.form {
		case record:
			return n.readRecord(v, want)
		case table:
			return n.readTable(v, want)
		}
	case []any:
		if n.form == list {
			return n.readList(v, want)
		}
	case string, bool, int64, float64:
		if n.form == scalar && n.itself {
			return readItself(v, want)
		}
		if n.form == scalar {
			return readPlain(v, want)
		}
	}
	return ErrNotOrdinary
}

func (n *node) readRecord(v reflect.Value, want map[string]any) error {
	return n.named(v, want, func(f *member, part reflect.Value, _ bool, value any) error {
		return f.node.read(part, value)
	})
}

// named calls each for the fields of a record that are named, with what a struct has there.
func (n *node) named(v reflect.Value, want map[string]any, each func(f *member, part reflect.Value, here bool, value any) error) error {
	left := len(want)
	for i := range n.fields {
		f := &n.fields[i]
		value, named := want[f.name]
		if !named {
			continue
		}
		left--
		part, here := f.of(v)
		if !part.IsValid() { // of an inlined struct that is not there
			return ErrNotOrdinary
		}
		if err := each(f, part, here, value); err != nil {
			return err
		}
	}
	if left > 0 {
		return fmt.Errorf("%w: fields that nobody knows", ErrNotOrdinary)
	}
	return nil
}

func (n *node) readTable(v reflect.Value, want map[string]any) error {
	v.Set(reflect.MakeMapWithSize(v.Type(), len(want)))
	elem := reflect.New(v.Type().Elem()).Elem()
	for name, value := range want {
		elem.SetZero()
		if err := n.elem.read(elem, value); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), elem)
	}
	return nil
}

// distinct says that no item of a list stands twice, which is a fault even below something atomic.
func (n *node) distinct(want []any) bool {
	names, err := n.wantedNames(want)
	if err != nil {
		return false
	}
	inWanted, _ := matched(nil, names)
	return inWanted != nil
}

func (n *node) readList(v reflect.Value, want []any) error {
	if !n.atomic && !n.distinct(want) {
		return ErrNotOrdinary
	}
	v.Set(reflect.MakeSlice(v.Type(), len(want), len(want)))
	for i, value := range want {
		if err := n.elem.read(v.Index(i), value); err != nil {
			return err
		}
	}
	return nil
}

// readItself has a type read its own JSON.
func readItself(v reflect.Value, want any) error {
	text, err := json.Marshal(want)
	if err != nil {
		return ErrNotOrdinary
	}
	if err := json.Unmarshal(text, v.Addr().Interface()); err != nil {
		return ErrNotOrdinary
	}
	if again, err := json.Marshal(v.Addr().Interface()); err != nil || !bytes.Equal(text, again) {
		return ErrNotOrdinary
	}
	return nil
}

func readPlain(v reflect.Value, want any) error {
	switch want := want.(type) {
	case string:
		if v.Kind() == reflect.String {
			v.SetString(want)
			return nil
		}
		if v.Kind() == reflect.Slice && want != "" {
			data, err := base64.StdEncoding.DecodeString(want)
			if err == nil && base64.StdEncoding.EncodeToString(data) == want {
				v.SetBytes(data)
				return nil
			}
		}
	case bool:
		if v.Kind() == reflect.Bool {
			v.SetBool(want)
			return nil
		}
	case int64:
		return readNumber(v, float64(want))
	case float64:
		return readNumber(v, want)
	}
	return ErrNotOrdinary
}

// readNumber takes whole numbers that a float holds exactly.
func readNumber(v reflect.Value, want float64) error {
	const exact = 1 << 53
	if want != math.Trunc(want) || math.Abs(want) > exact {
		return ErrNotOrdinary
	}
	switch {
	case v.CanInt() && !v.OverflowInt(int64(want)):
		v.SetInt(int64(want))
	case v.CanUint() && want >= 0 && !v.OverflowUint(uint64(want)):
		v.SetUint(uint64(want))
	case v.CanFloat():
		v.SetFloat(want)
	default:
		return ErrNotOrdinary
	}
	return nil
}
