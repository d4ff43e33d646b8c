package policystatus

import (
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

func TestExpressionsAreCheckedAgainstTypes(t *testing.T) {
	boat := spec.MapProperty(nil)
	*boat = spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{"object"}, Properties: map[string]spec.Schema{
		"spec": {SchemaProps: spec.SchemaProps{Type: []string{"object"}, Properties: map[string]spec.Schema{"sails": *spec.Int64Property()}}},
	}}}
	c := &Checker{
		Schema: func(k schema.GroupVersionKind) (*spec.Schema, error) {
			if k.Kind == "Boat" {
				return boat, nil
			}
			return nil, resolver.ErrSchemaNotFound
		},
		Kinds: func(r schema.GroupVersionResource) (schema.GroupVersionKind, error) {
			return map[string]schema.GroupVersionKind{"boats": r.GroupVersion().WithKind("Boat"), "rafts": r.GroupVersion().WithKind("Raft")}[r.Resource], nil
		},
	}
	for _, e := range []struct {
		resources []string
		text      string
		want      string // "": it fits
	}{
		{[]string{"boats"}, "object.spec.sails > 1", ""},
		{[]string{"boats"}, "object.spec.sails > '1'", "example.com/v1, Kind=Boat: ERROR: <input>:1:19: found no matching overload for '_>_' applied to '(int, string)'"},
		{[]string{"boats"}, "object.spec.oars > 1", "undefined field 'oars'"},
		{[]string{"rafts"}, "object.spec.oars > 1", ""},
		{[]string{"*"}, "object.spec.oars > 1", ""},
		{[]string{"boats/status"}, "object.spec.oars > 1", ""},
		{[]string{"boats"}, "variables.v == 1", "found no matching overload for '_==_' applied to '(bool, int)'"},
		{[]string{"boats"}, "request.nam == 'x'", "undefined field 'nam'"},
		{[]string{"boats", "rafts"}, "variables.v && request.name == 'x' && authorizer.path('/').check('get').allowed() && params.x == 1", ""},
	} {
		p := &admissionv1.ValidatingAdmissionPolicy{}
		p.Spec.ParamKind = &admissionv1.ParamKind{APIVersion: "v1", Kind: "Unknown"}
		p.Spec.Variables = []admissionv1.Variable{{Name: "v", Expression: "true"}}
		p.Spec.MatchConstraints = &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
			Rule: admissionv1.Rule{APIGroups: []string{"example.com"}, APIVersions: []string{"v1"}, Resources: e.resources}}}}}
		p.Spec.Validations = []admissionv1.Validation{{Expression: "true"}, {Expression: e.text}}
		got, err := c.Check(p)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case e.want == "" && len(got) == 0:
		case e.want != "" && len(got) == 1 && got[0].FieldRef == "spec.validations[1].expression" && strings.Contains(got[0].Warning, e.want):
		default:
			t.Errorf("%s of %v: %+v, want %q", e.text, e.resources, got, e.want)
		}
	}
}
