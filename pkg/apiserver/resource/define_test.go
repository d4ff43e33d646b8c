package resource

import (
	"context"
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestDefineCarriesEveryNameOver(t *testing.T) {
	d := Definition[*corev1.Pod]{Plural: "pods", Singular: "pod", Prefix: "pods", Deprecated: "x", StrictUpdate: true,
		Verbs: []string{"get"}, Categories: []string{"all"}, ShortNames: []string{"po"}, Indexed: []string{"spec.nodeName"}}
	r := Define(d)
	from, to := reflect.ValueOf(d), reflect.ValueOf(*r)
	for i := range from.NumField() {
		name := from.Type().Field(i).Name
		if kind := from.Field(i).Kind(); kind == reflect.Func || slices.Contains([]string{"Stored", "Versions", "Views", "Subresources"}, name) {
			continue
		}
		if !reflect.DeepEqual(from.Field(i).Interface(), to.FieldByName(name).Interface()) {
			t.Errorf("%s is lost", name)
		}
	}
}

func TestDefineLeavesHooksOutThatAKindDoesNotHave(t *testing.T) {
	r := reflect.ValueOf(*Define(Definition[*corev1.Pod]{}))
	for i := range r.NumField() {
		if f := r.Field(i); f.Kind() == reflect.Func && !f.IsNil() && r.Type().Field(i).Name != "New" {
			t.Errorf("%s is set", r.Type().Field(i).Name)
		}
	}
}

func TestDefineDerivesTheNamesThatAreLeftOut(t *testing.T) {
	r := Define(Definition[*corev1.Node]{Kind: corev1.SchemeGroupVersion.WithKind("Node"), Plural: "nodes"})
	_, isNode := r.New().(*corev1.Node)
	_, isList := r.NewList().(*corev1.NodeList)
	if r.Singular != "node" || r.Prefix != "nodes" || !isNode || !isList {
		t.Errorf("%q under %q, of %T and %T", r.Singular, r.Prefix, r.New(), r.NewList())
	}
}

func TestDefineGivesHooksNoOldObjectOnCreate(t *testing.T) {
	r := Define(Definition[*corev1.Pod]{Validate: func(_ context.Context, obj, old *corev1.Pod) field.ErrorList {
		if obj.Name != "a" || old != nil {
			t.Errorf("got %v and %v", obj, old)
		}
		return field.ErrorList{field.Required(field.NewPath("x"), "")}
	}})
	pod := &corev1.Pod{}
	pod.Name = "a"
	if faults := r.Validate(context.Background(), pod, nil); len(faults) != 1 {
		t.Errorf("faults: %v", faults)
	}
}
