package crd

import (
	"encoding/json"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/resources/apiextensions"
)

// FuzzDefinition has anything be the first version of a definition and anything an object of it. A definition that is
// let in serves objects: they are pruned, given defaults, judged, shown, stored, and read again as what they were.
func FuzzDefinition(f *testing.F) {
	judge := apiextensions.CustomResourceDefinition(clock.RealClock{})
	f.Add([]byte(`{"schema":{"openAPIV3Schema":{"type":"object","properties":{"spec":{"type":"object","properties":{"a":{"type":"string","default":"x"},"n":{"type":"string","nullable":true},"m":{"type":"object","additionalProperties":{"type":"integer","maximum":9}},
		"l":{"type":"array","maxItems":9,"x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],"items":{"type":"object","required":["k"],"properties":{"k":{"type":"string","maxLength":9}}}},
		"e":{"type":"object","x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true},"i":{"x-kubernetes-int-or-string":true}},"x-kubernetes-validations":[{"rule":"self.a != 'bad'","message":"not bad"}]}}}},
		"subresources":{"status":{},"scale":{"specReplicasPath":".spec.replicas","statusReplicasPath":".status.replicas"}},"additionalPrinterColumns":[{"name":"A","type":"string","jsonPath":".spec.l[?(@.k==\"x\")].k"}],"selectableFields":[{"jsonPath":".spec.a"}]}`),
		[]byte(`{"metadata":{"name":"a","namespace":"ns"},"spec":{"b":1,"n":null,"m":{"x":3},"l":[{"k":"x"}],"e":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"}},"i":"5%"},"status":{"replicas":-1}}`))
	f.Add([]byte(`{"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}`), []byte(`{"metadata":{"labels":{"bad":1}},"any":[1.5,null,{}]}`))
	f.Add([]byte(`{"schema":{"openAPIV3Schema":{"type":"object"}}}`), []byte(`{}`)) // stored without metadata
	f.Fuzz(func(t *testing.T, version, object []byte) {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		crd.Name, crd.Spec.Group, crd.Spec.Scope = "widgets.example.com", "example.com", apiextensionsv1.NamespaceScoped
		crd.Spec.Names = apiextensionsv1.CustomResourceDefinitionNames{Plural: "widgets", Singular: "widget", Kind: "Widget", ListKind: "WidgetList"}
		crd.Spec.Versions = make([]apiextensionsv1.CustomResourceDefinitionVersion, 1)
		v := &crd.Spec.Versions[0]
		if json.Unmarshal(version, v) != nil {
			return
		}
		v.Name, v.Served, v.Storage = "v1", true, true
		judge.Default(crd)
		judge.Warn(t.Context(), crd, nil)
		u := &unstructured.Unstructured{}
		if len(judge.Validate(t.Context(), crd, nil)) > 0 || json.Unmarshal(object, &u.Object) != nil || u.Object == nil {
			return
		}
		crd.Status.AcceptedNames = crd.Spec.Names
		served(t, crd, u)
	})
}

// served does with an object what the server does that serves the definition.
func served(t *testing.T, crd *apiextensionsv1.CustomResourceDefinition, u *unstructured.Unstructured) {
	t.Helper()
	k := newKind(lean(crd), func() (*apiextensionsv1.CustomResourceDefinition, error) { return crd, nil }, nil)
	v := k.versions["v1"]
	u.SetGroupVersionKind(v.gvk)
	body, err := u.MarshalJSON()
	if err != nil || u.UnmarshalJSON(body) != nil { // whole numbers are int64
		return
	}
	for _, v2 := range []bool{true, false} {
		if _, err := v.described(v2); err != nil {
			t.Errorf("the schema of a definition that was let in cannot be told: %v", err)
		}
	}
	if _, err := k.fit(u, fitting{paths: true}); err != nil {
		return
	}
	k.setDefaults(u)
	faults := k.validate(v)(t.Context(), u, nil)
	if len(v.columns()) < len(v.row(u)) {
		t.Error("more cells than columns")
	}
	v.selected(u)
	if len(faults) > 0 {
		return
	}
	k.validate(v)(t.Context(), u, u)
	value, err := k.encode(u)
	if err != nil {
		t.Fatalf("what was let in cannot be stored: %v", err)
	}
	again, err := k.decode(value)
	if err != nil {
		t.Fatalf("what was stored cannot be read: %v", err)
	}
	if again.SetGeneration(u.GetGeneration()); !equality.Semantic.DeepEqual(u.Object, again.Object) {
		t.Errorf("stored %v, read %v", u.Object, again.Object)
	}
}
