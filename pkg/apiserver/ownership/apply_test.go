package ownership

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/sampan-project/sampan/pkg/apiserver/objectjson/objecttest"
)

// TestApplyIsThatOfStructuredMergeDiff lets managers apply and update random objects in turn, and compares what each
// apply makes of object and owners, and whether it may be, with the library.
func TestApplyIsThatOfStructuredMergeDiff(t *testing.T) {
	types := applyconfigurations.NewTypeConverter(scheme.Scheme)
	var seen tally
	for _, gvk := range objecttest.Kinds() {
		empty, err := scheme.Scheme.New(gvk)
		if err != nil {
			t.Fatal(err)
		}
		if typ, err := Of(types, gvk, empty); err == nil {
			t.Run(gvk.String(), func(t *testing.T) {
				a := newAppliers(t, types, gvk, typ, &seen)
				for range 5 {
					a.round(t)
				}
			})
		}
	}
	t.Logf("%+v", seen)
	if seen.ordinary < seen.all/5 || seen.changed < seen.ordinary/10 || seen.forced < 10 || seen.unchanged < 10 || seen.anew < 10 {
		t.Errorf("hardly anything was compared: %+v", seen)
	}
}

// TestListsAreMergedInTheOrderOfTheLibrary applies lists of many items over others, in any order.
func TestListsAreMergedInTheOrderOfTheLibrary(t *testing.T) {
	types := applyconfigurations.NewTypeConverter(scheme.Scheme)
	gvk := corev1.SchemeGroupVersion.WithKind("ConfigMap")
	typ, err := Of(types, gvk, &corev1.ConfigMap{})
	if err != nil {
		t.Fatal(err)
	}
	var seen tally
	a := newAppliers(t, types, gvk, typ, &seen)
	for range 500 {
		of := []int{4, 6, 12, 40}[a.IntN(4)]
		live := &corev1.ConfigMap{Data: map[string]string{"k": "v"}, ObjectMeta: metav1.ObjectMeta{Name: "c", UID: "u"}}
		live.SetGroupVersionKind(gvk)
		for _, i := range a.Perm(of)[:a.IntN(of)] {
			live.Finalizers = append(live.Finalizers, fmt.Sprint("f/", i))
		}
		var items []any
		for _, i := range a.Perm(of)[:a.IntN(of)] {
			items = append(items, fmt.Sprint("f/", i))
		}
		old := objecttest.Blank(gvk)
		a.appliedAs(t, a.updated(t, old, live), map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"finalizers": items}}, "c", false)
	}
	if seen.ordinary < 300 || seen.changed < 300 {
		t.Errorf("hardly anything was compared: %+v", seen)
	}
}

// tally counts what a test has seen.
type tally struct{ all, ordinary, changed, unchanged, forced, anew, refused int }

// appliers are several managers of one object.
type appliers struct {
	*objecttest.Generator
	seed      uint64
	gvk       schema.GroupVersionKind
	typ       *Type
	reference *managedfields.FieldManager
	filter    fieldpath.Filter
	sets      *Sets
	seen      *tally
}

func newAppliers(t *testing.T, types managedfields.TypeConverter, gvk schema.GroupVersionKind, typ *Type, seen *tally) *appliers {
	a := &appliers{seed: objecttest.Seed(t), gvk: gvk, typ: typ, sets: NewSets(), seen: seen}
	a.Generator = objecttest.New(a.seed)
	a.filter = fieldpath.NewExcludeSetFilter(fieldpath.NewSet(fieldpath.MakePathOrDie("status")))
	filters := map[fieldpath.APIVersion]fieldpath.Filter{fieldpath.APIVersion(gvk.GroupVersion().String()): a.filter}
	var o oneVersion
	var err error
	if a.reference, err = managedfields.NewDefaultFieldManager(types, o, o, blanks{}, gvk, gvk.GroupVersion(), "", filters); err != nil {
		t.Fatal(err)
	}
	return a
}

// blanks makes objects that say what they are, as the registry's do.
type blanks struct{}

func (blanks) New(gvk schema.GroupVersionKind) (runtime.Object, error) {
	return objecttest.Blank(gvk), nil
}

func (a *appliers) round(t *testing.T) {
	live := objecttest.Blank(a.gvk)
	if a.IntN(3) > 0 {
		live = a.Object(a.gvk)
		live.(metav1.Object).SetUID("u")
		live = a.updated(t, objecttest.Blank(a.gvk), live)
	}
	for range 6 {
		if a.IntN(3) == 0 && live.(metav1.Object).GetUID() != "" {
			next := a.Changed(live)
			next.(metav1.Object).SetUID("u")
			live = a.updated(t, live, next)
			continue
		}
		live = a.applied(t, live)
		live.(metav1.Object).SetUID("u")
	}
}

// updated is an object after an update; the one before where the library cannot say who owns what.
func (a *appliers) updated(t *testing.T, old, next runtime.Object) runtime.Object {
	t.Helper()
	out, err := a.reference.Update(old.DeepCopyObject(), next.DeepCopyObject(), []string{"a", "b"}[a.IntN(2)])
	if err != nil {
		return old
	}
	return out
}

// applied lets a manager apply something.
func (a *appliers) applied(t *testing.T, live runtime.Object) runtime.Object {
	t.Helper()
	return a.appliedAs(t, live, a.wanted(live), []string{"a", "b", "c"}[a.IntN(3)], a.IntN(2) == 0)
}

// appliedAs gives what the library makes of an apply.
func (a *appliers) appliedAs(t *testing.T, live runtime.Object, wanted map[string]any, manager string, force bool) runtime.Object {
	t.Helper()
	before(live)
	mine := live.DeepCopyObject()
	kept := runtime.DeepCopyJSON(wanted)
	want, refused := a.reference.Apply(live.DeepCopyObject(), &unstructured.Unstructured{Object: runtime.DeepCopyJSON(wanted)}, manager, force)
	writer := &Writer{Manager: manager, Version: a.gvk.GroupVersion().String(), Filter: a.filter, Now: time.Now()}
	if refused == nil {
		writer.Now = latest(want.(metav1.Object).GetManagedFields())
	}
	err := a.typ.Apply(mine.(metav1.Object), wanted, writer, force, a.sets)
	a.seen.all++
	at := func() string {
		return fmt.Sprintf("seed %d: %s (force %t)\nlive %s\nwanted %s", a.seed, manager, force, encoded(t, live), encoded(t, wanted))
	}
	if d := cmp.Diff(kept, wanted); d != "" {
		t.Fatalf("what is wanted was changed: %s\n%s", d, at())
	}
	switch {
	case err != nil && refused != nil:
		a.seen.refused++
		return live
	case err != nil:
		if !errors.Is(err, ErrNotOrdinary) && !errors.Is(err, errKeys) && !errors.Is(err, ErrEntries) {
			t.Fatalf("%v: %s", err, at())
		}
		return typedOf(t, want, a.gvk)
	case refused != nil:
		if strings.Contains(refused.Error(), "failed to create typed live object") {
			return live // an item without its key: who looks only at what is applied may not meet it
		}
		t.Fatalf("the library refuses it: %v\n%s", refused, at())
	}
	out := typedOf(t, want, a.gvk)
	a.compare(t, live, out, mine, at)
	if a.seen.ordinary++; force {
		a.seen.forced++
	}
	if live.(metav1.Object).GetUID() == "" {
		a.seen.anew++
	}
	return out
}

func (a *appliers) compare(t *testing.T, live, want, mine runtime.Object, at func() string) {
	t.Helper()
	w, m := want.(metav1.Object), mine.(metav1.Object)
	if d := cmp.Diff(stamped(w.GetManagedFields()), stamped(m.GetManagedFields()), cmpopts.EquateEmpty()); d != "" {
		t.Fatalf("owners by the library (-) and own (+):\n%s\n%s", d, at())
	}
	wantText, mineText := withoutOwners(t, want), withoutOwners(t, mine)
	if d := cmp.Diff(wantText, mineText); d != "" {
		t.Fatalf("library (-) and own (+):\n%s\n%s", d, at())
	}
	if wantText == withoutOwners(t, live) {
		a.seen.unchanged++
	} else {
		a.seen.changed++
	}
}

// before lets an hour pass since all that was written.
func before(o runtime.Object) {
	entries := o.(metav1.Object).GetManagedFields()
	for i := range entries {
		if t := entries[i].Time; t != nil {
			entries[i].Time = &metav1.Time{Time: t.Add(-time.Hour)}
		}
	}
	o.(metav1.Object).SetManagedFields(entries)
}

// stamped is the text of entries with the second in which each was written.
func stamped(entries []metav1.ManagedFieldsEntry) (out []string) {
	for _, e := range entries {
		b, _ := json.Marshal(e)
		out = append(out, string(b))
	}
	return out
}

func withoutOwners(t *testing.T, o runtime.Object) string {
	o = o.DeepCopyObject()
	o.(metav1.Object).SetManagedFields(nil)
	return encoded(t, o)
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func typedOf(t *testing.T, o runtime.Object, gvk schema.GroupVersionKind) runtime.Object {
	t.Helper()
	u, dynamic := o.(*unstructured.Unstructured)
	if !dynamic {
		return o
	}
	out := objecttest.Blank(gvk)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// wanted is what somebody may apply: parts of the live object, of one that differs from it a little, or of any.
func (a *appliers) wanted(live runtime.Object) map[string]any {
	of := live
	switch a.IntN(4) {
	case 0:
		of = a.Object(a.gvk)
	case 1, 2:
		of = a.Changed(live)
	}
	var all map[string]any
	if err := json.Unmarshal([]byte(withoutIdentity(of)), &all); err != nil {
		panic(err)
	}
	out := a.part(all, 0).(map[string]any)
	out["apiVersion"], out["kind"] = a.gvk.GroupVersion().String(), a.gvk.Kind
	return out
}

func withoutIdentity(o runtime.Object) string {
	o = o.DeepCopyObject()
	o.(metav1.Object).SetManagedFields(nil)
	o.(metav1.Object).SetUID("")
	b, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// part leaves some of a JSON value out, rarely what names an item, and puts lists into another order.
func (a *appliers) part(v any, depth int) any {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			keep := 3
			if depth > 0 && depth < 6 {
				keep = 2
			}
			if e := v[name]; e == nil && a.IntN(50) > 0 || a.IntN(keep+1) == 0 && !isScalar(e) || isScalar(e) && a.IntN(12) == 0 {
				delete(v, name)
				continue
			}
			v[name] = a.part(v[name], depth+1)
		}
	case []any:
		if a.IntN(4) == 0 {
			a.Shuffle(len(v), func(i, j int) { v[i], v[j] = v[j], v[i] })
		}
		if len(v) > 0 && a.IntN(4) == 0 {
			v = v[1:]
		}
		for i := range v {
			v[i] = a.part(v[i], depth+1)
		}
		return v
	}
	return v
}

func isScalar(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return false
	}
	return true
}
