package objectjson

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strconv"
	"sync"

	kjson "sigs.k8s.io/json"
)

// reader reads a value at the decoder's place into v; false says that it is not what the type wants, or that it
// stands twice. What was read of it until then stays.
type reader func(d *decoder, v reflect.Value) bool

// readers are those of the types that were met so far.
var readers sync.Map // reflect.Type -> reader

// UnmarshalStrict reads JSON into o, a pointer to a value with nothing in it, exactly as
// sigs.k8s.io/json.UnmarshalStrict would. It answers false, and leaves o in any state, where that would find a
// fault, strict or not, or might: a fault's words are the library's.
func UnmarshalStrict(data []byte, o any) bool {
	v := reflect.ValueOf(o)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return false
	}
	d := decoder{data: data}
	d.space()
	if !readerOf(v.Type().Elem())(&d, v.Elem()) {
		return false
	}
	d.space()
	return d.at == len(data)
}

// readerOf finds or compiles a type's reader.
func readerOf(t reflect.Type) reader {
	return compiled(&readers, t, compileReader, func(made func() reader) reader {
		return func(d *decoder, v reflect.Value) bool { return made()(d, v) }
	})
}

var (
	unmarshalers     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshalers = reflect.TypeFor[interface{ UnmarshalText(text []byte) error }]()
)

func compileReader(t reflect.Type) reader {
	switch {
	case t.Kind() == reflect.Pointer:
		return pointerReader(t)
	case t.Kind() == reflect.Interface, t == reflect.TypeFor[json.Number]():
		return readStandard
	}
	if r := itselfReader(t); r != nil {
		return r
	}
	switch t.Kind() {
	case reflect.String:
		return readString
	case reflect.Bool:
		return readBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return readInt
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return readUint
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return readBytes
		}
		return sliceReader(t)
	case reflect.Map:
		if k := reflect.PointerTo(t.Key()); t.Key().Kind() == reflect.String && !k.Implements(textUnmarshalers) && !k.Implements(unmarshalers) {
			return tableReader(t)
		}
	case reflect.Struct:
		if r := recordReader(t); r != nil {
			return r
		}
	}
	return readStandard
}

// readStandard leaves a value to the library.
func readStandard(d *decoder, v reflect.Value) bool {
	raw, ok := d.raw()
	if !ok {
		return false
	}
	faults, err := kjson.UnmarshalStrict(raw, v.Addr().Interface())
	return err == nil && len(faults) == 0
}

func readString(d *decoder, v reflect.Value) bool {
	if d.null() {
		return true
	}
	s, ok := d.text()
	if ok {
		v.SetString(s)
	}
	return ok
}

func readBool(d *decoder, v reflect.Value) bool {
	switch {
	case d.word("true"):
		v.SetBool(true)
	case d.word("false"):
		v.SetBool(false)
	default:
		return d.null()
	}
	return true
}

func readInt(d *decoder, v reflect.Value) bool {
	if d.null() {
		return true
	}
	digits, ok := d.number()
	if !ok {
		return false
	}
	n, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil || v.OverflowInt(n) {
		return false
	}
	v.SetInt(n)
	return true
}

func readUint(d *decoder, v reflect.Value) bool {
	if d.null() {
		return true
	}
	digits, ok := d.number()
	if !ok {
		return false
	}
	n, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil || v.OverflowUint(n) {
		return false
	}
	v.SetUint(n)
	return true
}

func readBytes(d *decoder, v reflect.Value) bool {
	if d.null() {
		return true
	}
	s, ok := d.text()
	if !ok {
		return false
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return false
	}
	v.SetBytes(b)
	return true
}

func pointerReader(t reflect.Type) reader {
	elem := readerOf(t.Elem())
	return func(d *decoder, v reflect.Value) bool {
		if d.null() {
			return true
		}
		p := reflect.New(t.Elem())
		v.Set(p)
		return elem(d, p.Elem())
	}
}

func sliceReader(t reflect.Type) reader {
	elem := readerOf(t.Elem())
	return func(d *decoder, v reflect.Value) bool {
		if d.null() {
			return true
		}
		if !d.enter('[') {
			return false
		}
		n, ok := d.elements()
		if !ok {
			return false
		}
		made := reflect.MakeSlice(t, n, n)
		v.Set(made)
		for i := range n {
			if i > 0 && !d.next(',') {
				return false
			}
			if d.space(); !elem(d, made.Index(i)) {
				return false
			}
		}
		return d.leave(']')
	}
}

func tableReader(t reflect.Type) reader {
	if t == reflect.TypeFor[map[string]string]() {
		return readStrings
	}
	elem := readerOf(t.Elem())
	return func(d *decoder, v reflect.Value) bool {
		if d.null() {
			return true
		}
		made, value, key := reflect.MakeMap(t), reflect.New(t.Elem()).Elem(), reflect.New(t.Key()).Elem()
		v.Set(made)
		return d.members(func(name string) bool {
			key.SetString(name)
			value.SetZero()
			if made.MapIndex(key).IsValid() || !elem(d, value) {
				return false
			}
			made.SetMapIndex(key, value)
			return true
		})
	}
}

func readStrings(d *decoder, v reflect.Value) bool {
	if d.null() {
		return true
	}
	made := map[string]string{}
	v.Set(reflect.ValueOf(made))
	return d.members(func(name string) bool {
		if _, twice := made[name]; twice {
			return false
		}
		value := ""
		ok := d.null()
		if !ok {
			value, ok = d.text()
		}
		made[name] = value
		return ok
	})
}

// mostFields is how many fields of a struct can be told apart when they stand twice.
const mostFields = 128

// recordReader compiles a struct; nil for one that only the library knows how to read.
func recordReader(t reflect.Type) reader {
	type field struct {
		place int // among those seen
		index []int
		read  reader
	}
	members, ok := membersOf(t, nil)
	if !ok || len(members) > mostFields {
		return nil
	}
	fields := make(map[string]*field, len(members))
	for i, m := range members {
		if fields[m.name] != nil {
			return nil // one hides the other
		}
		fields[m.name] = &field{place: i, index: m.index, read: readerOf(t.FieldByIndex(m.index).Type)}
	}
	return func(d *decoder, v reflect.Value) bool {
		if d.null() {
			return true
		}
		var seen [mostFields / 64]uint64
		return d.fields(func(name []byte) bool {
			f := fields[string(name)]
			if f == nil || seen[f.place/64]&(1<<(f.place%64)) != 0 {
				return false
			}
			seen[f.place/64] |= 1 << (f.place % 64)
			at := v
			for _, i := range f.index {
				at = at.Field(i)
			}
			return f.read(d, at)
		})
	}
}
