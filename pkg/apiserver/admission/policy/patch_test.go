package policy

import (
	"context"
	"strings"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/sampan-project/sampan/pkg/apiserver/admission/expression"
)

func pod() *corev1.Pod {
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: "p", Labels: map[string]string{"old": "label"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a:1"}, {Name: "b", Image: "b:1"}}},
	}
}

// changed evaluates one mutation of a pod.
func changed(t *testing.T, text string, json bool) (*corev1.Pod, error) {
	t.Helper()
	c, result := expression.NewCompiler(), expression.ObjectPatch
	if json {
		result = expression.JSONPatch
	}
	p := c.Compile(text, expression.Vars{Patches: true}, expression.Stored, result)
	if p.Err != nil {
		t.Fatalf("%s: %v", text, p.Err)
	}
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod())
	if err != nil {
		t.Fatal(err)
	}
	out, err, over := c.Evaluate(context.Background(), expression.Values{Object: object}, expression.Budget).Run(p)
	if err != nil || over != nil {
		t.Fatalf("%s: %v, %v", text, err, over)
	}
	var after runtime.Object
	if json {
		after, err = jsonPatched(pod(), out)
	} else {
		after, err = merged(applyconfigurations.NewTypeConverter(scheme.Scheme), corev1.SchemeGroupVersion.WithKind("Pod"), pod(), out)
	}
	if err != nil {
		return nil, err
	}
	return after.(*corev1.Pod), nil
}

func TestPartsAreMergedByTheirKeys(t *testing.T) {
	got, err := changed(t, "Object{metadata: Object.metadata{labels: {'new': 'label'}}, spec: Object.spec{containers: [Object.spec.containers{name: 'b', image: 'b:2'}]}}", false)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Labels) != 2 || len(got.Spec.Containers) != 2 || got.Spec.Containers[0].Image != "a:1" || got.Spec.Containers[1].Image != "b:2" {
		t.Errorf("merged: %v %+v", got.Labels, got.Spec.Containers)
	}
}

func TestPartsDoNotReplaceWhatIsWhole(t *testing.T) {
	_, err := changed(t, "Object{spec: Object.spec{nodeSelector: {'a': 'b'}}}", false)
	if err == nil || !strings.Contains(err.Error(), "may not mutate atomic arrays, maps or structs: .spec.nodeSelector") {
		t.Errorf("an atomic map is replaced: %v", err)
	}
	_, err = changed(t, "Object{spec: Object.wrong{}}", false)
	if err == nil || !strings.Contains(err.Error(), "type mismatch") {
		t.Errorf("a part of another type is taken: %v", err)
	}
}

func TestJSONPatchesStandOrFallAsAWhole(t *testing.T) {
	got, err := changed(t, "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b'), value: 'c'}, JSONPatch{op: 'replace', path: '/spec', value: Object.spec{hostNetwork: true, containers: [Object.spec.containers{name: 'z'}]}}]", true)
	if err != nil {
		t.Fatal(err)
	}
	if got.Labels["a/b"] != "c" || !got.Spec.HostNetwork || len(got.Spec.Containers) != 1 {
		t.Errorf("patched: %v %+v", got.Labels, got.Spec)
	}
	same, err := changed(t, "[JSONPatch{op: 'remove', path: '/metadata/labels'}, JSONPatch{op: 'test', path: '/metadata/name', value: 'other'}]", true)
	if err != nil || same.Labels["old"] != "label" {
		t.Errorf("a patch whose test fails is applied: %v, %v", same, err)
	}
	if _, err = changed(t, "[JSONPatch{op: 'add', path: '/spec/noSuchField', value: 1}]", true); err == nil {
		t.Error("a field that is not there is taken")
	}
}

// What stands under a key that is no field's is no field of a kind: it may be whole.
func TestPartsReplaceWhatStandsUnderKeys(t *testing.T) {
	kind := certificatesv1.SchemeGroupVersion.WithKind("CertificateSigningRequest")
	part := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"extra": map[string]any{"key": []any{"value"}}}}}
	part.SetGroupVersionKind(kind)
	o := &certificatesv1.CertificateSigningRequest{}
	o.SetGroupVersionKind(kind)
	out, err := merge(applyconfigurations.NewTypeConverter(scheme.Scheme), o, part)
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := unstructured.NestedStringSlice(out.(*unstructured.Unstructured).Object, "spec", "extra", "key"); err != nil || len(got) != 1 {
		t.Errorf("merged: %v, %v", out, err)
	}
}
