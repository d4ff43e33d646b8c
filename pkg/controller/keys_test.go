package controller

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func owned(owner string, set labels.Set) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p", Labels: set}}
	if owner != "" {
		p.OwnerReferences = []metav1.OwnerReference{{Kind: "Set", Name: owner, Controller: new(true)}}
	}
	return p
}

func TestDependentsBringOwnersAndWhoMightAdopt(t *testing.T) {
	keys := Dependents("Set", func(*corev1.Pod) []Key { return []Key{{Namespace: "n", Name: "adopter"}} })
	a, b := labels.Set{"x": "a"}, labels.Set{"x": "b"}
	for name, c := range map[string]struct {
		old, now *corev1.Pod
		want     []string
	}{
		"made by its owner":       {nil, owned("one", a), []string{"one"}},
		"deleted":                 {owned("one", a), nil, []string{"one"}},
		"handed over":             {owned("one", a), owned("two", a), []string{"one", "two"}},
		"made without owner":      {nil, owned("", a), []string{"adopter"}},
		"let go":                  {owned("one", a), owned("", a), []string{"one", "adopter"}},
		"orphan with new labels":  {owned("", a), owned("", b), []string{"adopter"}},
		"orphan with same labels": {owned("", a), owned("", a), nil},
	} {
		var got []string
		for _, k := range keys(c.old, c.now) {
			got = append(got, k.Name)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestSelectingPassesOverEmptySelectors(t *testing.T) {
	list := func(labels.Selector) ([]*corev1.Pod, error) {
		return []*corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "all"}}, {ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: labels.Set{"x": "a"}}},
			{ObjectMeta: metav1.ObjectMeta{Name: "b", Labels: labels.Set{"x": "b"}}}}, nil
	}
	selector := func(p *corev1.Pod) *metav1.LabelSelector { return &metav1.LabelSelector{MatchLabels: p.Labels} }
	if got := Selecting(list, selector, owned("", labels.Set{"x": "a"})); len(got) != 1 || got[0].Name != "a" {
		t.Errorf("got %v", got)
	}
}

func TestOfLeavesWhatIsGone(t *testing.T) {
	broken, ran := errors.New("broken"), 0
	for _, c := range []struct{ get, want error }{{nil, nil}, {apierrors.NewNotFound(schema.GroupResource{}, "p"), nil}, {broken, broken}} {
		reconcile := Of(func(string) (*corev1.Pod, error) { return owned("", nil), c.get }, func(context.Context, string, *corev1.Pod) (Result, error) {
			ran++
			return Result{}, nil
		})
		if _, err := reconcile(t.Context(), "p"); !errors.Is(err, c.want) {
			t.Errorf("reading gave %v: got %v", c.get, err)
		}
	}
	if ran != 1 {
		t.Errorf("reconciled %d times, want once", ran)
	}
}
