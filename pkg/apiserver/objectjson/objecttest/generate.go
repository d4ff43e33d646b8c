// Package objecttest makes random objects of all built-in kinds, for tests that compare two ways of doing one
// thing with any object.
package objecttest

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
)

// Kinds are those of the built-in objects.
func Kinds() (out []schema.GroupVersionKind) {
	for _, gv := range scheme.Scheme.PrioritizedVersionsAllGroups() {
		for name, typ := range scheme.Scheme.KnownTypes(gv) {
			_, object := reflect.New(typ).Interface().(metav1.Object)
			if object && !strings.HasSuffix(name, "List") {
				out = append(out, gv.WithKind(name))
			}
		}
	}
	return out
}

// Blank is an object of a kind with nothing in it.
func Blank(gvk schema.GroupVersionKind) runtime.Object {
	o, err := scheme.Scheme.New(gvk)
	if err != nil {
		panic(err) // Kinds gives known ones
	}
	o.GetObjectKind().SetGroupVersionKind(gvk)
	return o
}

// Generator makes random objects.
type Generator struct{ *rand.Rand }

// New makes a generator that gives the same objects for the same seed.
func New(seed uint64) *Generator { return &Generator{rand.New(rand.NewPCG(seed, 1))} }

// Object is a random object of a kind, as the API would have decoded it.
func (g *Generator) Object(gvk schema.GroupVersionKind) runtime.Object {
	o := Blank(gvk)
	g.fill(reflect.ValueOf(o).Elem(), 0)
	return g.settled(o, gvk)
}

// Changed is an object in which some fields are other ones.
func (g *Generator) Changed(o runtime.Object) runtime.Object {
	gvk := o.GetObjectKind().GroupVersionKind()
	out := o.DeepCopyObject()
	g.change(reflect.ValueOf(out).Elem(), 0)
	return g.settled(out, gvk)
}

// settled is what the API would have decoded.
func (g *Generator) settled(o runtime.Object, gvk schema.GroupVersionKind) runtime.Object {
	o.(metav1.Object).SetManagedFields(nil)
	o.GetObjectKind().SetGroupVersionKind(gvk)
	b, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	back := Blank(gvk)
	if err := json.Unmarshal(b, back); err != nil {
		panic(err)
	}
	return back
}

func (g *Generator) change(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		if writesItself(v.Type()) {
			g.fill(v, depth)
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() && g.IntN(3) == 0 {
				g.change(v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		if v.Len() > 0 && g.IntN(2) == 0 && v.Type().Elem().Kind() != reflect.Uint8 {
			g.change(v.Index(g.IntN(v.Len())), depth+1)
			return
		}
		g.fill(v, depth)
	case reflect.Pointer:
		if !v.IsNil() && g.IntN(2) == 0 {
			g.change(v.Elem(), depth+1)
			return
		}
		g.fill(v, depth)
	default:
		g.fill(v, depth)
	}
}

// writesItself says that a type has its own JSON and is changed as a whole.
func writesItself(t reflect.Type) bool {
	m := reflect.TypeFor[json.Marshaler]()
	return t.Implements(m) || reflect.PointerTo(t).Implements(m)
}

func (g *Generator) fill(v reflect.Value, depth int) {
	t := v.Type()
	if f, ok := special(t); ok {
		f(g, v)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() && g.IntN(depth/2+2) == 0 {
				g.fill(v.Field(i), depth+1)
			}
		}
	case reflect.Pointer:
		if depth > 12 || g.IntN(2) == 0 {
			v.SetZero()
			return
		}
		v.Set(reflect.New(t.Elem()))
		g.fill(v.Elem(), depth)
	case reflect.Slice:
		if depth > 12 {
			return
		}
		n := g.IntN(3)
		v.Set(reflect.MakeSlice(t, n, n))
		for i := range n {
			g.fill(v.Index(i), depth+1)
		}
	case reflect.Map:
		if depth > 12 {
			return
		}
		v.Set(reflect.MakeMap(t))
		for range g.IntN(3) {
			key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
			key.SetString(string(rune('a' + g.IntN(3))))
			g.fill(value, depth+1)
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		v.SetString([]string{"", "x", "y", "z"}[g.IntN(4)])
	case reflect.Bool:
		v.SetBool(g.IntN(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(g.IntN(3)))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		v.SetUint(uint64(g.IntN(3)))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(g.IntN(3)))
	}
}

// special fills the types that write their own JSON.
func special(t reflect.Type) (func(*Generator, reflect.Value), bool) {
	f, ok := map[reflect.Type]func(*Generator, reflect.Value){
		reflect.TypeFor[metav1.Time](): func(g *Generator, v reflect.Value) {
			v.Set(reflect.ValueOf(metav1.Time{Time: time.Unix(int64(g.IntN(3))*1000, 0)}))
		},
		reflect.TypeFor[metav1.MicroTime](): func(g *Generator, v reflect.Value) {
			v.Set(reflect.ValueOf(metav1.MicroTime{Time: time.Unix(int64(g.IntN(3))*1000, 5000)}))
		},
		reflect.TypeFor[metav1.Duration](): func(g *Generator, v reflect.Value) {
			v.Set(reflect.ValueOf(metav1.Duration{Duration: time.Duration(g.IntN(3)) * time.Second}))
		},
		reflect.TypeFor[resource.Quantity](): func(g *Generator, v reflect.Value) {
			v.Set(reflect.ValueOf(resource.MustParse([]string{"0", "1", "1500m", "1Gi", "1024Mi", "1000m"}[g.IntN(6)])))
		},
		reflect.TypeFor[runtime.RawExtension](): func(g *Generator, v reflect.Value) {
			v.Set(reflect.ValueOf(runtime.RawExtension{Raw: []byte([]string{`{"a":"x"}`, `{"b":[1]}`, `{}`}[g.IntN(3)])}))
		},
		reflect.TypeFor[metav1.FieldsV1](): func(g *Generator, v reflect.Value) {
			v.Set(reflect.ValueOf(metav1.FieldsV1{Raw: []byte([]string{`{"f:a":{}}`, `{"f:b":{".":{}}}`}[g.IntN(2)])}))
		},
		reflect.TypeFor[intstr.IntOrString](): func(g *Generator, v reflect.Value) {
			v.Set(reflect.ValueOf([]intstr.IntOrString{intstr.FromInt32(1), intstr.FromString("a"), intstr.FromInt32(0)}[g.IntN(3)]))
		},
	}[t]
	return f, ok
}
