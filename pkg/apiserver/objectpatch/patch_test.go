package objectpatch

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	kjson "sigs.k8s.io/json"

	"github.com/sampan-project/sampan/pkg/apiserver/objectjson/objecttest"
)

// TestOutcomesAreThoseOfTheLibraries makes patches of the differences of random objects, applies them both
// ways to the first, and compares.
func TestOutcomesAreThoseOfTheLibraries(t *testing.T) {
	ordinary, all := 0, 0
	for _, gvk := range objecttest.Kinds() {
		seed := objecttest.Seed(t)
		g := objecttest.New(seed)
		for range 10 {
			old := g.Object(gvk)
			changed := g.Changed(old)
			for _, kind := range []Kind{Merge, Strategic} {
				all++
				if agrees(t, old, changed, kind, seed) {
					ordinary++
				}
			}
		}
	}
	if ordinary < all/3 {
		t.Errorf("only %d of %d patches were ordinary", ordinary, all)
	}
}

// agrees says whether the patch was ordinary; its outcome then is the library's.
func agrees(t *testing.T, old, changed runtime.Object, kind Kind, seed uint64) bool {
	t.Helper()
	before, after := encoded(t, old), encoded(t, changed)
	var patch, want []byte
	var err error
	if kind == Merge {
		if patch, err = jsonpatch.CreateMergePatch(before, after); err != nil {
			t.Fatal(err)
		}
		want, err = jsonpatch.MergePatch(before, patch)
	} else {
		if patch, err = strategicpatch.CreateTwoWayMergePatch(before, after, old); err != nil {
			return false // lists with items that lack their keys
		}
		patch = withoutOrders(t, patch)
		want, err = strategicpatch.StrategicMergePatch(before, patch, old)
	}
	if err != nil {
		return false
	}
	return compare(t, old, patch, want, kind, seed)
}

// withoutOrders takes out the directives that the library puts into every patch of a list: those that people
// and kubelets write have none.
func withoutOrders(t *testing.T, patch []byte) []byte {
	t.Helper()
	var v any
	if err := json.Unmarshal(patch, &v); err != nil {
		t.Fatal(err)
	}
	var clean func(any)
	clean = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				clean(e)
			}
		case map[string]any:
			for name, e := range v {
				if strings.HasPrefix(name, "$setElementOrder") {
					delete(v, name)
				}
				clean(e)
			}
		}
	}
	clean(v)
	return encoded(t, v)
}

func compare(t *testing.T, old runtime.Object, patch, want []byte, kind Kind, seed uint64) bool {
	t.Helper()
	fields := map[string]any{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(patch, &fields); err != nil {
		t.Fatal(err)
	}
	got := old.DeepCopyObject()
	err := Apply(got, fields, kind)
	if errors.Is(err, ErrNotOrdinary) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	expected := objecttest.Blank(old.GetObjectKind().GroupVersionKind())
	if err := json.Unmarshal(want, expected); err != nil {
		return false
	}
	if d := cmp.Diff(string(encoded(t, expected)), string(encoded(t, got))); d != "" {
		t.Fatalf("%T kind %d seed %d: library (-) and own (+):\n%s\nbefore %s\npatch %s", old, kind, seed, d, encoded(t, old), patch)
	}
	return true
}

func encoded(t *testing.T, o any) []byte {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhatIsOrdinary(t *testing.T) {
	pod := func() *corev1.Pod {
		p := &corev1.Pod{}
		p.Kind, p.APIVersion, p.Name, p.Labels = "Pod", "v1", "a", map[string]string{"a": "b"}
		p.Spec.Containers = []corev1.Container{{Name: "one", Image: "x"}, {Name: "two", Image: "y"}}
		p.Status.Conditions = []corev1.PodCondition{{Type: "Ready", Status: "False"}, {Type: "Initialized", Status: "True"}}
		p.Finalizers = []string{"f/a"}
		return p
	}
	for name, c := range map[string]struct {
		patch    string
		kind     Kind
		ordinary bool
	}{
		"labels":                    {`{"metadata":{"labels":{"a":null,"c":"d"}}}`, Merge, true},
		"labels strategically":      {`{"metadata":{"labels":{"a":null,"c":"d"}}}`, Strategic, true},
		"a new map":                 {`{"metadata":{"annotations":{"c":"d"}}}`, Merge, true},
		"condition":                 {`{"status":{"conditions":[{"type":"Ready","status":"True","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`, Strategic, true},
		"new condition":             {`{"status":{"conditions":[{"type":"Ready","status":"True"},{"type":"Other","status":"True"}]}}`, Strategic, true},
		"only a new condition":      {`{"status":{"phase":"Running","conditions":[{"type":"Other","status":"True"}]}}`, Strategic, true},
		"conditions turned about":   {`{"status":{"conditions":[{"type":"Initialized","status":"True"},{"type":"Ready","status":"True"}]}}`, Strategic, true},
		"a new one between":         {`{"status":{"conditions":[{"type":"Ready","status":"True"},{"type":"X","status":"True"},{"type":"Initialized","status":"True"}]}}`, Strategic, true},
		"a new one last":            {`{"status":{"conditions":[{"type":"Initialized","status":"True"},{"type":"X","status":"True"}]}}`, Strategic, true},
		"one twice":                 {`{"status":{"conditions":[{"type":"Ready","status":"True"},{"type":"Ready","status":"False"}]}}`, Strategic, false},
		"lists replace":             {`{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`, Merge, true},
		"nulls in lists":            {`{"status":{"conditions":[{"type":"Ready","status":"True","reason":null}]}}`, Merge, false},
		"a directive":               {`{"status":{"conditions":[{"type":"Ready","$patch":"delete"}]}}`, Strategic, false},
		"an order":                  {`{"status":{"$setElementOrder/conditions":[{"type":"Ready"}],"conditions":[{"type":"Ready","status":"True"}]}}`, Strategic, false},
		"a field nobody knows":      {`{"spec":{"unknown":1}}`, Merge, false},
		"a field in another case":   {`{"Spec":{"nodeName":"x"}}`, Merge, false},
		"another type":              {`{"spec":{"nodeName":1}}`, Merge, false},
		"a number":                  {`{"spec":{"priority":5,"activeDeadlineSeconds":7}}`, Merge, true},
		"a list of plain values":    {`{"metadata":{"finalizers":["f/b"]}}`, Strategic, false},
		"a list of plain values, 2": {`{"metadata":{"finalizers":["f/b"]}}`, Merge, true},
		"a quantity":                {`{"spec":{"overhead":{"cpu":"100m"}}}`, Merge, true},
		"a pointer that is nil":     {`{"spec":{"securityContext":{"runAsUser":5}}}`, Merge, true},
		"containers by name":        {`{"spec":{"containers":[{"name":"two","image":"z"}]}}`, Strategic, true},
		"nothing":                   {`{}`, Merge, true},
	} {
		t.Run(name, func(t *testing.T) {
			var want []byte
			var err error
			before := encoded(t, pod())
			if c.kind == Merge {
				want, err = jsonpatch.MergePatch(before, []byte(c.patch))
			} else {
				want, err = strategicpatch.StrategicMergePatch(before, []byte(c.patch), pod())
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := compare(t, pod(), []byte(c.patch), want, c.kind, 0); got != c.ordinary {
				t.Errorf("ordinary: %v, want %v", got, c.ordinary)
			}
		})
	}
}
