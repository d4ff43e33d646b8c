package objectjson

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// shared are the layouts of types within objects. What a type is never changes, so one table serves all.
var shared sync.Map // reflect.Type -> *layout

// compiler compiles the types that one transcoder meets.
type compiler struct {
	root reflect.Type
	made map[reflect.Type]*layout
}

// NewTranscoder compiles the type of an object, a struct. It answers false where the type, or one within it, has a
// form of its own that is not known here.
func NewTranscoder(t reflect.Type) (*Transcoder, bool) {
	f, ok := t.FieldByName("ObjectMeta")
	if !ok || f.Type != reflect.TypeFor[metav1.ObjectMeta]() {
		return nil, false
	}
	c := &compiler{t, map[reflect.Type]*layout{}}
	root, ok := c.of(t)
	if !ok {
		return nil, false
	}
	meta, ok := c.of(f.Type)
	if !ok {
		return nil, false
	}
	for t, l := range c.made {
		if t != c.root { // which has its metadata's version, and may have a type
			shared.LoadOrStore(t, l)
		}
	}
	root.override(`"metadata":`, func(m *wireMember) {
		own := &layout{members: slices.Clone(meta.members), numbers: meta.numbers, always: meta.always} // others within the object have versions of their own
		own.override(`"resourceVersion":`, func(m *wireMember) { m.form, m.omitEmpty = revision, false })
		m.write = own.object
	})
	return &Transcoder{root}, true
}

// override changes the member with a text. It is written from then on, stored or not.
func (l *layout) override(text string, change func(*wireMember)) {
	for i := range l.members {
		if l.members[i].text == text {
			change(&l.members[i])
			l.always |= 1 << i
		}
	}
}

// of compiles a struct. One that holds itself finds what is being compiled.
func (c *compiler) of(t reflect.Type) (*layout, bool) {
	if l, ok := c.made[t]; ok {
		return l, t != c.root
	}
	if l, ok := shared.Load(t); ok {
		return l.(*layout), true
	}
	l := &layout{}
	c.made[t] = l
	for i := range t.NumField() {
		f := t.Field(i)
		switch {
		case f.Tag.Get("json") == "-":
			continue
		case f.Type == reflect.TypeFor[metav1.TypeMeta](): // not in the message: around it, or filled in where it is decoded
			if t != c.root {
				return nil, false
			}
			continue
		}
		m, number, ok := c.member(f)
		if !ok {
			return nil, false
		}
		if m.form == inlined || !m.omitEmpty || m.nilIs == "" && m.emptyIs == neverEmpty {
			l.always |= 1 << len(l.members)
		}
		l.members = append(l.members, m)
		if number >= len(l.numbers) {
			l.numbers = append(l.numbers, make([]uint8, number+1-len(l.numbers))...)
		}
		if l.numbers[number] != 0 || len(l.members) > mostMembers {
			return nil, false
		}
		l.numbers[number] = uint8(len(l.members))
	}
	return l, true
}

// member compiles a field; it gives its number. The wire type in its tag is not always the one that is written.
func (c *compiler) member(f reflect.StructField) (m wireMember, number int, ok bool) {
	tag := strings.Split(f.Tag.Get("protobuf"), ",")
	if len(tag) < 2 || !f.IsExported() {
		return m, 0, false
	}
	number, err := strconv.Atoi(tag[1])
	if err != nil || number <= 0 || number > math.MaxUint8 {
		return m, 0, false
	}
	name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
	options := strings.Split(rest, ",")
	if slices.Contains(options, "string") {
		return m, 0, false
	}
	if f.Anonymous && name == "" {
		if f.Type.Kind() != reflect.Struct || writesOwn(f.Type) {
			return m, 0, false
		}
		m.form, m.wire = inlined, lengthWire
		m.inline, ok = c.of(f.Type)
		return m, number, ok
	}
	if name == "" {
		name = f.Name
	}
	if m, ok = c.formed(f.Type); !ok {
		return m, 0, false
	}
	m.text = string(append(appendString(nil, name), ':'))
	m.omitEmpty = slices.Contains(options, "omitempty")
	if slices.Contains(options, "omitzero") {
		if f.Type != reflect.TypeFor[metav1.Time]() {
			return m, 0, false
		}
		m.omitNull = true
	}
	return m, number, true
}

// formed compiles the type of a field: a value, or many.
func (c *compiler) formed(t reflect.Type) (m wireMember, ok bool) {
	switch {
	case t.Kind() == reflect.Pointer:
		m.nilIs = null
		m.wire, m.write, ok = c.valued(t.Elem())
		return m, ok && !many(t.Elem())
	case writesOwn(t):
	case many(t):
		if _, own := reflect.New(t).Interface().(interface{ Unmarshal([]byte) error }); own {
			return m, false // a message, though it is no struct
		}
		m.nilIs = null
		if t.Kind() == reflect.Slice {
			m.form = often
			m.wire, m.write, ok = c.valued(t.Elem())
			return m, ok
		}
		m.form, m.wire = mapped, lengthWire
		if t.Key().Kind() != reflect.String || writesText(t.Key()) {
			return m, false
		}
		m.key.wire, m.key.write, ok = c.valued(t.Elem())
		return m, ok
	}
	m.wire, m.write, ok = c.valued(t)
	switch {
	case t.Kind() == reflect.Int32:
		m.emptyIs = emptyInt32
	case m.wire == varintWire:
		m.emptyIs = emptyNumber
	case t.Kind() == reflect.String:
		m.emptyIs = emptyText
	case t.Kind() == reflect.Slice:
		m.emptyIs, m.nilIs = emptyText, null
	}
	return m, ok
}

// many says whether a type is a field that may stand many times.
func many(t reflect.Type) bool {
	return t.Kind() == reflect.Map || t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8
}

// writesOwn says whether a type has JSON of its own.
func writesOwn(t reflect.Type) bool {
	return t.Implements(marshalers) || reflect.PointerTo(t).Implements(marshalers) || writesText(t)
}

// valued compiles the type of a value.
func (c *compiler) valued(t reflect.Type) (wire uint64, write wireStep, ok bool) {
	if write, ok := ownSteps[t]; ok {
		return lengthWire, write, true
	}
	if writesOwn(t) {
		return 0, nil, false
	}
	switch t.Kind() {
	case reflect.String:
		return lengthWire, func(_ *transcoding, to []byte, v value) ([]byte, bool) { return appendString(to, text(v.body)), true }, true
	case reflect.Bool:
		return varintWire, func(_ *transcoding, to []byte, v value) ([]byte, bool) {
			return strconv.AppendBool(to, v.number != 0), true
		}, true
	case reflect.Int32:
		return varintWire, func(_ *transcoding, to []byte, v value) ([]byte, bool) {
			return strconv.AppendInt(to, int64(int32(v.number)), 10), true
		}, true
	case reflect.Int64:
		return varintWire, func(_ *transcoding, to []byte, v value) ([]byte, bool) {
			return strconv.AppendInt(to, int64(v.number), 10), true
		}, true
	case reflect.Slice:
		if t.Elem().Kind() != reflect.Uint8 {
			return 0, nil, false
		}
		return lengthWire, func(_ *transcoding, to []byte, v value) ([]byte, bool) {
			return append(base64.StdEncoding.AppendEncode(append(to, '"'), v.body), '"'), true
		}, true
	case reflect.Struct:
		l, ok := c.of(t)
		return lengthWire, l.object, ok
	}
	return 0, nil, false
}

// ownSteps are those of the types that write their own JSON.
var ownSteps = map[reflect.Type]wireStep{
	reflect.TypeFor[metav1.Time](): func(_ *transcoding, to []byte, v value) ([]byte, bool) {
		var at metav1.Time
		err := at.Unmarshal(v.body)
		return appendTime(to, at.Time, time.RFC3339), err == nil
	},
	reflect.TypeFor[metav1.MicroTime](): func(_ *transcoding, to []byte, v value) ([]byte, bool) {
		var at metav1.MicroTime
		err := at.Unmarshal(v.body)
		return appendTime(to, at.Time, metav1.RFC3339Micro), err == nil
	},
	reflect.TypeFor[intstr.IntOrString](): func(_ *transcoding, to []byte, v value) ([]byte, bool) {
		var x intstr.IntOrString
		if err := x.Unmarshal(v.body); err != nil {
			return to, false
		}
		switch x.Type {
		case intstr.Int:
			return strconv.AppendInt(to, int64(x.IntVal), 10), true
		case intstr.String:
			return appendString(to, x.StrVal), true
		}
		return to, false
	},
	reflect.TypeFor[resource.Quantity]():    appendQuantity,
	reflect.TypeFor[runtime.RawExtension](): appendRaw,
	reflect.TypeFor[metav1.FieldsV1]():      appendRaw,
}

// appendRaw takes JSON that stands in the first field of a message: an object. Of what begins otherwise the types tell
// whether it is JSON at all.
func appendRaw(_ *transcoding, to []byte, v value) ([]byte, bool) {
	if len(v.body) == 0 {
		return append(to, null...), true
	}
	raw, ok := onlyField(v.body)
	if !ok || len(raw) == 0 || raw[0] != '{' {
		return to, false
	}
	for _, c := range raw {
		if rewritten[c] {
			b, err := json.Marshal(json.RawMessage(raw))
			return append(to, b...), err == nil
		}
	}
	return append(to, raw...), true
}

// onlyField gives the bytes of a message's first field, where it has no other.
func onlyField(body []byte) ([]byte, bool) {
	tag, at := varint(body, 0)
	if at < 0 || tag != 1<<3|lengthWire {
		return nil, false
	}
	v, at := field(body, at, lengthWire)
	return v.body, at == len(body)
}

func appendQuantity(_ *transcoding, to []byte, v value) ([]byte, bool) {
	if s, ok := onlyField(v.body); ok && shortest(s) {
		to = append(append(to, '"'), s...)
		return append(to, '"'), true
	}
	var q resource.Quantity
	if err := q.Unmarshal(v.body); err != nil {
		return to, false
	}
	b, err := q.MarshalJSON()
	return append(to, b...), err == nil
}

// shortest says of most quantities that they are in their shortest form already: up to three digits and a suffix.
func shortest(s []byte) bool {
	n := 0
	for n < len(s) && n < 3 && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	if n == 0 || s[0] == '0' {
		return false
	}
	switch text(s[n:]) {
	case "", "m", "k", "M", "G", "Ki", "Mi", "Gi":
		return true
	}
	return false
}
