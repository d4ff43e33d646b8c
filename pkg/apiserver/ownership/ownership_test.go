package ownership

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// oneVersion is the conversion of kinds that have one version.
type oneVersion struct{}

func (oneVersion) Convert(_, _, _ any) error { return errors.New("no conversion") }
func (oneVersion) ConvertToVersion(in runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	return in, nil
}
func (oneVersion) ConvertFieldLabel(_ schema.GroupVersionKind, l, v string) (string, string, error) {
	return l, v, nil
}
func (oneVersion) Default(runtime.Object) {}

// kinds are those of built-in objects, by the group versions of the API.
func kinds(t *testing.T) (out []schema.GroupVersionKind) {
	t.Helper()
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

// TestOwnershipIsThatOfStructuredMergeDiff writes random objects, one over the other, by several managers,
// and compares who owns what with the library that apply goes by.
func TestOwnershipIsThatOfStructuredMergeDiff(t *testing.T) {
	types := applyconfigurations.NewTypeConverter(scheme.Scheme)
	compared := 0
	for _, gvk := range kinds(t) {
		empty, err := scheme.Scheme.New(gvk)
		if err != nil {
			t.Fatal(err)
		}
		typ, err := Of(types, gvk, empty)
		if err != nil {
			t.Logf("%s: %v", gvk, err)
			continue
		}
		compared++
		t.Run(gvk.String(), func(t *testing.T) { differ(t, types, gvk, typ) })
	}
	if compared < 60 {
		t.Errorf("only %d kinds were compared", compared)
	}
}

func differ(t *testing.T, types managedfields.TypeConverter, gvk schema.GroupVersionKind, typ *Type) {
	status := map[fieldpath.APIVersion]fieldpath.Filter{
		fieldpath.APIVersion(gvk.GroupVersion().String()): fieldpath.NewExcludeSetFilter(fieldpath.NewSet(fieldpath.MakePathOrDie("status"))),
	}
	var o oneVersion
	library, err := managedfields.NewDefaultFieldManager(types, o, o, scheme.Scheme, gvk, gvk.GroupVersion(), "", status)
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	g := &generator{rand.New(rand.NewPCG(seed, 1))}
	sets := NewSets()
	for round := range 10 {
		live := g.object(gvk)
		var managed []metav1.ManagedFieldsEntry
		old := blank(gvk)
		for step := range 5 {
			manager := []string{"a", "b", "c"}[g.IntN(3)]
			want := copyOf(live)
			want.(metav1.Object).SetManagedFields(managed)
			before := copyOf(old)
			before.(metav1.Object).SetManagedFields(managed)
			got := library.UpdateNoErrors(before, want, manager).(metav1.Object).GetManagedFields()
			mine, err := typ.Update(old.(metav1.Object), live.(metav1.Object), managed, &Writer{Manager: manager, Version: gvk.GroupVersion().String(), Now: time.Now(),
				Filter: status[fieldpath.APIVersion(gvk.GroupVersion().String())]}, sets)
			if errors.Is(err, errKeys) {
				break // the library refuses these too
			}
			if err != nil {
				t.Fatalf("seed %d round %d step %d: %v", seed, round, step, err)
			}
			if d := cmp.Diff(text(t, got), text(t, mine), cmpopts.EquateEmpty()); d != "" {
				a, _ := json.Marshal(old)
				b, _ := json.Marshal(live)
				t.Fatalf("seed %d round %d step %d: library (-) and own (+):\n%s\n%s\n%s", seed, round, step, d, a, b)
			}
			managed, old, live = mine, live, g.changed(live)
		}
	}
}

func text(t *testing.T, entries []metav1.ManagedFieldsEntry) (out []string) {
	t.Helper()
	for _, e := range entries {
		e.Time = nil
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	return out
}

func copyOf(o runtime.Object) runtime.Object { return o.DeepCopyObject() }

func blank(gvk schema.GroupVersionKind) runtime.Object {
	o, _ := scheme.Scheme.New(gvk) // it is known
	o.GetObjectKind().SetGroupVersionKind(gvk)
	return o
}

// generator makes random objects.
type generator struct{ *rand.Rand }

func (g *generator) object(gvk schema.GroupVersionKind) runtime.Object {
	o := blank(gvk)
	g.fill(reflect.ValueOf(o).Elem(), 0)
	return g.settled(o, gvk)
}

// changed is an object in which some fields are other ones.
func (g *generator) changed(o runtime.Object) runtime.Object {
	gvk := o.GetObjectKind().GroupVersionKind()
	out := o.DeepCopyObject()
	g.change(reflect.ValueOf(out).Elem(), 0)
	return g.settled(out, gvk)
}

// settled is what the API would have decoded.
func (g *generator) settled(o runtime.Object, gvk schema.GroupVersionKind) runtime.Object {
	o.(metav1.Object).SetManagedFields(nil)
	o.GetObjectKind().SetGroupVersionKind(gvk)
	b, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	back := blank(gvk)
	if err := json.Unmarshal(b, back); err != nil {
		panic(err)
	}
	return back
}

func (g *generator) change(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		if scalarLike(v.Type()) {
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

func scalarLike(t reflect.Type) bool { same, _ := scalarOf(t); return same != nil || marshals(t) }

func (g *generator) fill(v reflect.Value, depth int) {
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
