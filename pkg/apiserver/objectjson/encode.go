// Package objectjson writes API objects as JSON: the very bytes that encoding/json gives, at a part of its
// cost. A Go type is compiled once to the steps that write it; what a type writes itself (times, quantities,
// raw fields) is taken as it is and not parsed again.
package objectjson

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"
)

// step appends a value.
type step func(to []byte, v reflect.Value) ([]byte, error)

// steps are those of the types that were met so far. What a type is never changes, so one table serves all.
var steps sync.Map // reflect.Type -> step

// buffers are grown by one object and serve the next.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// largestKept is how many bytes of a buffer are kept at most.
const largestKept = 64 << 10

// Marshal gives o's JSON, as json.Marshal would, in as many bytes as it has.
func Marshal(o any) ([]byte, error) {
	buffer := buffers.Get().(*[]byte)
	b, err := Append((*buffer)[:0], o)
	out := bytes.Clone(b)
	if cap(b) <= largestKept {
		*buffer = b[:0]
		buffers.Put(buffer)
	}
	return out, err
}

// Append appends o's JSON.
func Append(to []byte, o any) ([]byte, error) {
	v := reflect.ValueOf(o)
	if !v.IsValid() {
		return append(to, "null"...), nil
	}
	return stepOf(v.Type())(to, v)
}

// stepOf finds or compiles a type's step.
func stepOf(t reflect.Type) step {
	return compiled(&steps, t, compile, func(made func() step) step {
		return func(to []byte, v reflect.Value) ([]byte, error) { return made()(to, v) }
	})
}

func compile(t reflect.Type) step {
	if s := ofItself(t); s != nil {
		return s
	}
	switch t.Kind() {
	case reflect.String:
		return func(to []byte, v reflect.Value) ([]byte, error) { return appendString(to, v.String()), nil }
	case reflect.Bool:
		return func(to []byte, v reflect.Value) ([]byte, error) { return strconv.AppendBool(to, v.Bool()), nil }
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(to []byte, v reflect.Value) ([]byte, error) { return strconv.AppendInt(to, v.Int(), 10), nil }
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return func(to []byte, v reflect.Value) ([]byte, error) { return strconv.AppendUint(to, v.Uint(), 10), nil }
	case reflect.Pointer:
		elem := stepOf(t.Elem())
		return func(to []byte, v reflect.Value) ([]byte, error) {
			if v.IsNil() {
				return append(to, "null"...), nil
			}
			return elem(to, v.Elem())
		}
	case reflect.Slice:
		return slice(t)
	case reflect.Map:
		if t.Key().Kind() == reflect.String && !writesText(t.Key()) {
			return table(t)
		}
	case reflect.Struct:
		if s := record(t); s != nil {
			return s
		}
	}
	return standard
}

// standard leaves a value to encoding/json.
func standard(to []byte, v reflect.Value) ([]byte, error) {
	b, err := json.Marshal(v.Interface())
	if err != nil {
		return nil, fmt.Errorf("encoding a %s: %w", v.Type(), err)
	}
	return append(to, b...), nil
}

func slice(t reflect.Type) step {
	if t.Elem().Kind() == reflect.Uint8 {
		return func(to []byte, v reflect.Value) ([]byte, error) {
			if v.IsNil() {
				return append(to, "null"...), nil
			}
			return append(base64.StdEncoding.AppendEncode(append(to, '"'), v.Bytes()), '"'), nil
		}
	}
	elem := stepOf(t.Elem())
	return func(to []byte, v reflect.Value) (_ []byte, err error) {
		if v.IsNil() {
			return append(to, "null"...), nil
		}
		to = append(to, '[')
		for i := range v.Len() {
			if i > 0 {
				to = append(to, ',')
			}
			if to, err = elem(to, v.Index(i)); err != nil {
				return nil, err
			}
		}
		return append(to, ']'), nil
	}
}

func table(t reflect.Type) step {
	if t == reflect.TypeFor[map[string]string]() {
		return func(to []byte, v reflect.Value) ([]byte, error) {
			return appendStrings(to, v.Interface().(map[string]string)), nil
		}
	}
	elem := stepOf(t.Elem())
	type pair struct {
		name  string
		value reflect.Value
	}
	return func(to []byte, v reflect.Value) (_ []byte, err error) {
		if v.IsNil() {
			return append(to, "null"...), nil
		}
		pairs := make([]pair, 0, v.Len())
		for it := v.MapRange(); it.Next(); {
			pairs = append(pairs, pair{it.Key().String(), it.Value()})
		}
		slices.SortFunc(pairs, func(a, b pair) int {
			if a.name < b.name {
				return -1
			}
			return 1
		})
		to = append(to, '{')
		for i, p := range pairs {
			if i > 0 {
				to = append(to, ',')
			}
			to = append(appendString(to, p.name), ':')
			if to, err = elem(to, p.value); err != nil {
				return nil, err
			}
		}
		return append(to, '}'), nil
	}
}

func appendStrings(to []byte, m map[string]string) []byte {
	if m == nil {
		return append(to, "null"...)
	}
	names := make([]string, 0, 16)
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	to = append(to, '{')
	for i, name := range names {
		if i > 0 {
			to = append(to, ',')
		}
		to = append(appendString(to, name), ':')
		to = appendString(to, m[name])
	}
	return append(to, '}')
}

// plain are the bytes that stand in a string as they are.
var plain = func() (p [256]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		p[c] = c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
	}
	return p
}()

// appendString appends a string that needs no escapes, as nearly all do, and leaves the others to
// encoding/json.
func appendString(to []byte, s string) []byte {
	for i := range len(s) {
		if !plain[s[i]] {
			b, _ := json.Marshal(s) // a string has a JSON form
			return append(to, b...)
		}
	}
	to = append(to, '"')
	to = append(to, s...)
	return append(to, '"')
}
