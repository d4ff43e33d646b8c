package endpoint

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-logr/logr"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"

	"github.com/sampan-project/sampan/pkg/apiserver/crd"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/apiextensions"
)

// widgets are a custom resource whose schema has one of everything.
func widgets(f *testing.F) *Served {
	definition := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict([]byte(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              text: {type: string, default: x}
              number: {type: integer}
              either: {x-kubernetes-int-or-string: true}
              open: {type: object, x-kubernetes-preserve-unknown-fields: true}
              map: {type: object, additionalProperties: {type: string}}
              set: {type: array, items: {type: string}, x-kubernetes-list-type: set}
              list:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [k]
                items: {type: object, required: [k], properties: {k: {type: string}, v: {type: number, nullable: true}}}
status: # settled: nothing is written to what follows it
  acceptedNames: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}
  conditions:
  - {type: NamesAccepted, status: "True", reason: NoConflicts, message: no conflicts found}
  - {type: Established, status: "True", reason: InitialNamesAccepted, message: the initial names have been accepted}
`), definition); err != nil {
		f.Fatal(err)
	}
	access := resourcetest.New()
	if _, err := access.Create(f.Context(), apiextensions.Definitions, definition); err != nil {
		f.Fatal(err)
	}
	var r *resource.Resource
	if err := crd.Start(f.Context(), crd.Config{
		Access: access, Serve: func(custom *resource.Resource) { r = custom }, Changed: func() {}, Clock: clock.RealClock{}, Log: logr.Discard(),
	}); err != nil || r == nil {
		f.Fatalf("the definition is not served: %v", err)
	}
	return serve(f, r, typesOf(f, r))
}

// typesOf is what field ownership asks of a custom kind. What lies in metadata has no types here.
func typesOf(f *testing.F, r *resource.Resource) managedfields.TypeConverter {
	schema, err := r.Described(false)
	if err != nil {
		f.Fatal(err)
	}
	schema["x-kubernetes-group-version-kind"] = []any{map[string]any{"group": r.Kind.Group, "version": r.Kind.Version, "kind": r.Kind.Kind}}
	text, err := json.Marshal(schema)
	if err != nil {
		f.Fatal(err)
	}
	model := &spec.Schema{}
	if err := json.Unmarshal(text, model); err != nil {
		f.Fatal(err)
	}
	converter, err := managedfields.NewTypeConverter(map[string]*spec.Schema{r.Kind.Kind: model}, true)
	if err != nil {
		f.Fatal(err)
	}
	return converter
}

// FuzzCustomPatch is FuzzPatch for what has no Go type.
func FuzzCustomPatch(f *testing.F) {
	s := widgets(f)
	forms := []types.PatchType{types.JSONPatchType, types.MergePatchType, types.ApplyYAMLPatchType}
	f.Add(uint8(0), []byte(`[{"op":"add","path":"/spec/list/-","value":{"k":"y"}},{"op":"move","from":"/spec/open","path":"/spec/map"},{"op":"test","path":"/spec/number","value":1.0}]`))
	f.Add(uint8(0), []byte(`[{"op":"add","path":"/spec/open/a","value":[null]},{"op":"test","path":"/spec/open/a","value":[null]}]`))
	f.Add(uint8(1), []byte(`{"metadata":{"labels":{"a":null}},"spec":{"number":1e3,"list":[{"k":"y","v":null,"z":1}],"open":{"a":[[]]},"either":"5%"}}`))
	f.Add(uint8(2), []byte("apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: p}\nspec: {set: [b], list: [{k: x, v: 1}], open: {b: &a [1], c: *a}}\n"))
	f.Fuzz(func(t *testing.T, form uint8, body []byte) {
		old := &unstructured.Unstructured{}
		if err := old.UnmarshalJSON([]byte(`{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"p","namespace":"n","uid":"u","resourceVersion":"1","labels":{"a":"b"}},
			"spec":{"text":"t","number":1,"either":1,"open":{"a":1},"map":{"a":"b"},"set":["a"],"list":[{"k":"x","v":1.5}]}}`)); err != nil {
			t.Fatal(err)
		}
		p := &patcher{
			s: s, r: httptest.NewRequest(http.MethodPatch, "/", nil), kind: forms[int(form)%len(forms)], body: body,
			strict: validationWarn, info: &request.Info{Name: "p", Namespace: "n"},
		}
		out, err := patched(t, p, old)
		if client(t, err); err != nil {
			return
		}
		text, err := out.(*unstructured.Unstructured).MarshalJSON()
		if err != nil {
			t.Fatalf("what was patched cannot be written: %v", err)
		}
		again := &unstructured.Unstructured{}
		if err := again.UnmarshalJSON(text); err != nil {
			t.Fatalf("what was written cannot be read: %v: %s", err, text)
		}
		if twice, err := again.MarshalJSON(); err != nil || !bytes.Equal(text, twice) {
			t.Errorf("written %s, and again %s, %v", text, twice, err)
		}
	})
}

// patched is what a patch of any form makes of an object.
func patched(t *testing.T, p *patcher, old resource.Object) (out resource.Object, err error) {
	t.Helper()
	if p.kind != types.ApplyYAMLPatchType {
		return p.change(t.Context(), old)
	}
	if p.wanted, err = p.parseApply(); err != nil {
		return nil, err
	}
	return p.apply(t.Context(), old, &metav1.PatchOptions{FieldManager: "m"})
}
