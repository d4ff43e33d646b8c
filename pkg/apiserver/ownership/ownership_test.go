package ownership

import (
	"encoding/json"
	"errors"
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

	"github.com/sampan-project/sampan/pkg/apiserver/objectjson/objecttest"
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

// TestOwnershipIsThatOfStructuredMergeDiff writes random objects, one over the other, by several managers,
// and compares who owns what with the library that apply goes by.
func TestOwnershipIsThatOfStructuredMergeDiff(t *testing.T) {
	types := applyconfigurations.NewTypeConverter(scheme.Scheme)
	compared := 0
	for _, gvk := range objecttest.Kinds() {
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
	seed := objecttest.Seed(t)
	g := objecttest.New(seed)
	sets := NewSets()
	for round := range 10 {
		live := g.Object(gvk)
		var managed []metav1.ManagedFieldsEntry
		old := objecttest.Blank(gvk)
		for step := range 5 {
			manager := []string{"a", "b", "c"}[g.IntN(3)]
			want := copyOf(live)
			want.(metav1.Object).SetManagedFields(managed)
			before := copyOf(old)
			before.(metav1.Object).SetManagedFields(managed)
			updated, refused := library.Update(before, want, manager)
			if refused != nil {
				break // a list's element without its key: who looks only at what changed may not meet it
			}
			got := updated.(metav1.Object).GetManagedFields()
			writer := &Writer{Manager: manager, Version: gvk.GroupVersion().String(), Now: latest(got), Filter: status[fieldpath.APIVersion(gvk.GroupVersion().String())]}
			if g.IntN(2) == 0 { // what the same came to before is remembered
				_, _ = typ.Update(old.(metav1.Object), live.(metav1.Object), managed, writer, sets)
			}
			mine, err := typ.Update(old.(metav1.Object), live.(metav1.Object), managed, writer, sets)
			if err != nil {
				t.Fatalf("seed %d round %d step %d: %v", seed, round, step, err)
			}
			if d := cmp.Diff(text(t, got), text(t, mine), cmpopts.EquateEmpty()); d != "" {
				a, _ := json.Marshal(old)
				b, _ := json.Marshal(live)
				t.Fatalf("seed %d round %d step %d: library (-) and own (+):\n%s\n%s\n%s", seed, round, step, d, a, b)
			}
			managed, old, live = mine, live, g.Changed(live)
		}
	}
}

// latest is when the library says that it has written: a second may end between it and ours, and entries are
// in the order of their times.
func latest(entries []metav1.ManagedFieldsEntry) (at time.Time) {
	for _, e := range entries {
		if e.Time != nil && e.Time.After(at) {
			at = e.Time.Time
		}
	}
	return at
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
