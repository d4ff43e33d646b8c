package resource

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestAnObjectIsTheSameButForTimes also where nobody owns its fields: a write that changes nothing is no write.
func TestAnObjectIsTheSameButForTimes(t *testing.T) {
	owned := func(manager string, seconds int64) []metav1.ManagedFieldsEntry {
		at := metav1.NewTime(time.Unix(seconds, 0))
		return []metav1.ManagedFieldsEntry{{Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, Time: &at}}
	}
	for name, c := range map[string]struct {
		one, two []metav1.ManagedFieldsEntry
		same     bool
	}{
		"owned by nobody":      {nil, nil, true},
		"owned at other times": {owned("m", 1), owned("m", 2), true},
		"owned by others":      {owned("m", 1), owned("n", 1), false},
		"owned by one":         {owned("m", 1), nil, false},
	} {
		for _, make := range []func() Object{
			func() Object { return &corev1.ConfigMap{Data: map[string]string{"k": "v"}} },
			func() Object {
				return &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "x"}, "spec": map[string]any{"k": "v"}}}
			},
		} {
			a, b := make(), make()
			a.SetManagedFields(c.one)
			b.SetManagedFields(c.two)
			b.SetResourceVersion("7")
			before := a.DeepCopyObject()
			if got := sameButTimes(a, b); got != c.same {
				t.Errorf("%T, %s: the same: %v", a, name, got)
			}
			if !equality.Semantic.DeepEqual(a, before) {
				t.Errorf("%T, %s: it was changed to %v", a, name, a)
			}
		}
	}
}
