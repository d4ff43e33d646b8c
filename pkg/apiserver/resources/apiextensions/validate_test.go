package apiextensions

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// widgets is a definition that nothing is wrong with; its schema is the YAML given.
func widgets(t *testing.T, schema string, change ...func(*apiextensionsv1.CustomResourceDefinition)) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	s := &apiextensionsv1.JSONSchemaProps{}
	if err := yaml.Unmarshal([]byte(schema), s); err != nil {
		t.Fatal(err)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{}
	crd.Name = "widgets.example.com"
	crd.Spec = apiextensionsv1.CustomResourceDefinitionSpec{
		Group: "example.com", Scope: apiextensionsv1.NamespaceScoped,
		Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "widgets", Kind: "Widget"},
		Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
			Name: "v1", Served: true, Storage: true, Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: s},
		}},
	}
	setDefaults(crd)
	for _, f := range change {
		f(crd)
	}
	return crd
}

// first is the first fault, without the places of schemas that all have in common.
func first(obj, old *apiextensionsv1.CustomResourceDefinition) string {
	faults := validate(context.Background(), obj, old)
	if len(faults) == 0 {
		return ""
	}
	return strings.Replace(faults[0].Error(), "spec.validation.openAPIV3Schema", "S", 1)
}

func TestDefinitionsAreJudged(t *testing.T) {
	type change = func(*apiextensionsv1.CustomResourceDefinition)
	spec := func(f func(*apiextensionsv1.CustomResourceDefinitionSpec)) change {
		return func(crd *apiextensionsv1.CustomResourceDefinition) { f(&crd.Spec) }
	}
	one := func(f func(*apiextensionsv1.CustomResourceDefinitionVersion)) change {
		return func(crd *apiextensionsv1.CustomResourceDefinition) { f(&crd.Spec.Versions[0]) }
	}
	paths := func(n int) change {
		return one(func(v *apiextensionsv1.CustomResourceDefinitionVersion) {
			for i := range n {
				v.SelectableFields = append(v.SelectableFields, apiextensionsv1.SelectableField{JSONPath: fmt.Sprintf(".f%d", i)})
			}
		})
	}
	for name, c := range map[string]struct {
		change change
		want   string
	}{
		"as it should be":        {func(*apiextensionsv1.CustomResourceDefinition) {}, ""},
		"no group":               {spec(func(s *apiextensionsv1.CustomResourceDefinitionSpec) { s.Group = "" }), `metadata.name: Invalid value: "widgets.example.com": must be spec.names.plural+"."+spec.group`},
		"no scope":               {spec(func(s *apiextensionsv1.CustomResourceDefinitionSpec) { s.Scope = "" }), "spec.scope: Required value"},
		"an unknown scope":       {spec(func(s *apiextensionsv1.CustomResourceDefinitionSpec) { s.Scope = "All" }), `spec.scope: Unsupported value: "All": supported values: "Cluster", "Namespaced"`},
		"kind and list the same": {spec(func(s *apiextensionsv1.CustomResourceDefinitionSpec) { s.Names.ListKind = "Widget" }), `spec.names.listKind: Invalid value: "Widget": kind and listKind may not be the same`},
		"nothing stored":         {one(func(v *apiextensionsv1.CustomResourceDefinitionVersion) { v.Storage = false }), "must have exactly one version marked as storage version"},
		"no schema":              {one(func(v *apiextensionsv1.CustomResourceDefinitionVersion) { v.Schema = nil }), "spec.versions[0].schema.openAPIV3Schema: Required value"},
		"fields are preserved": {spec(func(s *apiextensionsv1.CustomResourceDefinitionSpec) { s.PreserveUnknownFields = true }),
			"spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"},
		"a warning of what is in use": {one(func(v *apiextensionsv1.CustomResourceDefinitionVersion) { v.DeprecationWarning = new("x") }),
			`spec.versions[0].deprecationWarning: Invalid value: "x": can only be set for deprecated versions`},
		"a warning of 256 bytes": {one(func(v *apiextensionsv1.CustomResourceDefinitionVersion) {
			v.Deprecated, v.DeprecationWarning = true, new(strings.Repeat("x", 256))
		}), ""},
		"a warning of 257 bytes": {one(func(v *apiextensionsv1.CustomResourceDefinitionVersion) {
			v.Deprecated, v.DeprecationWarning = true, new(strings.Repeat("x", 257))
		}), "must be <= 256 characters long"},
		"a column of no type": {one(func(v *apiextensionsv1.CustomResourceDefinitionVersion) {
			v.AdditionalPrinterColumns = []apiextensionsv1.CustomResourceColumnDefinition{{Name: "A", Type: "text", JSONPath: ".spec"}}
		}), `spec.additionalPrinterColumns[0].type: Invalid value: "text": must be one of boolean,date,integer,number,string`},
		"a scale outside of the spec": {one(func(v *apiextensionsv1.CustomResourceDefinitionVersion) {
			v.Subresources = &apiextensionsv1.CustomResourceSubresources{Scale: &apiextensionsv1.CustomResourceSubresourceScale{
				SpecReplicasPath: ".replicas", StatusReplicasPath: ".status.replicas"}}
		}), `spec.subresources.scale.specReplicasPath: Invalid value: ".replicas": should be a json path under .spec`},
		"eight fields to select by": {paths(8), ""},
		"nine fields to select by":  {paths(9), "spec.selectableFields: Too many: 9: must have at most 8 items"},
		"a webhook without a client": {spec(func(s *apiextensionsv1.CustomResourceDefinitionSpec) {
			s.Conversion = &apiextensionsv1.CustomResourceConversion{Strategy: apiextensionsv1.WebhookConverter,
				Webhook: &apiextensionsv1.WebhookConversion{ConversionReviewVersions: []string{"v1"}}}
		}), "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook"},
		"a webhook that speaks of the future": {spec(func(s *apiextensionsv1.CustomResourceDefinitionSpec) {
			s.Conversion = &apiextensionsv1.CustomResourceConversion{Strategy: apiextensionsv1.WebhookConverter, Webhook: &apiextensionsv1.WebhookConversion{
				ConversionReviewVersions: []string{"v9"}, ClientConfig: &apiextensionsv1.WebhookClientConfig{URL: new("https://h/c")}}}
		}), `spec.conversion.conversionReviewVersions: Invalid value: ["v9"]: must include at least one of v1, v1beta1`},
	} {
		t.Run(name, func(t *testing.T) {
			var fields strings.Builder
			for i := range 9 {
				fmt.Fprintf(&fields, ", f%d: {type: string}", i)
			}
			got := first(widgets(t, "{type: object, properties: {spec: {type: object}"+fields.String()+"}}", c.change), nil)
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestSchemasAreJudged(t *testing.T) {
	for name, c := range map[string]struct{ schema, want string }{
		"an object":             {`{type: object}`, ""},
		"no type":               {`{}`, "S.type: Required value: must not be empty at the root"},
		"null at the root":      {`{type: object, nullable: true}`, "S.nullable: Forbidden: nullable cannot be true at the root"},
		"an unknown type":       {`{type: object, properties: {a: {type: text}}}`, `Unsupported value: "text": supported values: "array", "boolean", "integer", "number", "object", "string"`},
		"unique items":          {`{type: object, properties: {a: {type: array, uniqueItems: true, items: {type: string}}}}`, "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"},
		"a set of scalars":      {`{type: object, properties: {a: {type: array, x-kubernetes-list-type: set, items: {type: string}}}}`, ""},
		"a set of open objects": {`{type: object, properties: {a: {type: array, x-kubernetes-list-type: set, items: {type: object}}}}`, "must be atomic as item of a list with x-kubernetes-list-type=set"},
		"a map with its key":    {`{type: object, properties: {a: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [k], items: {type: object, required: [k], properties: {k: {type: string}}}}}}`, ""},
		"a map whose key may be absent": {`{type: object, properties: {a: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [k], items: {type: object, properties: {k: {type: string}}}}}}`,
			"this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"},
		"a default":                 {`{type: object, properties: {a: {type: string, default: x}}}`, ""},
		"a default of another type": {`{type: object, properties: {a: {type: string, default: 1}}}`, `S.properties[a].default: Invalid value: "integer"`},
		"a rule":                    {`{type: object, properties: {a: {type: integer, x-kubernetes-validations: [{rule: self > 0}]}}}`, ""},
		"a rule of no sense":        {`{type: object, properties: {a: {type: integer, x-kubernetes-validations: [{rule: self.b > 0}]}}}`, "compilation failed"},
		"an empty rule":             {`{type: object, properties: {a: {type: integer, x-kubernetes-validations: [{rule: " "}]}}}`, "rule is not specified"},
		"a rule of two lines":       {"{type: object, x-kubernetes-validations: [{rule: \"true ||\\n false\"}]}", "message must be specified if rule contains line breaks"},
		"old values in a list": {`{type: object, properties: {a: {type: array, maxItems: 9, items: {type: string, maxLength: 9, x-kubernetes-validations: [{rule: self == oldSelf}]}}}}`,
			"oldSelf cannot be used on the uncorrelatable portion of the schema within spec.validation.openAPIV3Schema.properties[a]"},
		"a rule too dear": {`{type: object, properties: {a: {type: array, items: {type: array, items: {type: string, x-kubernetes-validations: [{rule: 'self.matches("a")'}]}}}}}`,
			"estimated rule cost exceeds budget by factor of more than 100x"},
		"the same in bounds": {`{type: object, properties: {a: {type: array, maxItems: 5, items: {type: array, maxItems: 5, items: {type: string, maxLength: 10, x-kubernetes-validations: [{rule: 'self.matches("a")'}]}}}}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := first(widgets(t, c.schema), nil)
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestWhatWasWrongBeforeIsForgiven(t *testing.T) {
	const open = `{type: object, properties: {a: {type: array, x-kubernetes-list-type: set, items: {type: object}}}}`
	old, now := widgets(t, open), widgets(t, open, func(crd *apiextensionsv1.CustomResourceDefinition) { crd.Spec.Names.ShortNames = []string{"w"} })
	if got := first(now, old); got != "" {
		t.Errorf("a set that was open before: %s", got)
	}
	if got := first(now, widgets(t, `{type: object}`)); !strings.Contains(got, "must be atomic") {
		t.Errorf("a set that is open now: %q", got)
	}
}

func TestADearSchemaMayBeThatOfFurtherVersions(t *testing.T) {
	const dear = `{type: object, properties: {a: {type: array, items: {type: string}, x-kubernetes-validations: [{rule: "true", messageExpression: "self[0]+self[1]+self[2]+self[3]+self[4]+self[5]+self[6]+self[7]"}]}}}`
	second := func(crd *apiextensionsv1.CustomResourceDefinition) {
		v := crd.Spec.Versions[0].DeepCopy()
		v.Name, v.Storage = "v2", false
		crd.Spec.Versions = append(crd.Spec.Versions, *v)
	}
	if got := first(widgets(t, dear, second), widgets(t, dear)); got != "" {
		t.Errorf("a version with the schema of the one before: %s", got)
	}
	if got := first(widgets(t, dear, second), widgets(t, `{type: object}`)); !strings.Contains(got, "estimated messageExpression cost") {
		t.Errorf("a version with a schema of its own: %q", got)
	}
}

func TestEstablishedDefinitionsKeepTheirKindAndScope(t *testing.T) {
	changed := widgets(t, `{type: object}`, func(crd *apiextensionsv1.CustomResourceDefinition) {
		crd.Spec.Names.Kind, crd.Spec.Scope = "Other", apiextensionsv1.ClusterScoped
	})
	before := widgets(t, `{type: object}`)
	if got := first(changed, before); got != "" {
		t.Errorf("before it is established: %s", got)
	}
	before.Status.Conditions = []apiextensionsv1.CustomResourceDefinitionCondition{{Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionTrue}}
	if got := first(changed, before); got != `spec.scope: Invalid value: "Cluster": field is immutable` {
		t.Errorf("once it is established: %q", got)
	}
}

func TestOnlyNewFormatsAreWarnedOf(t *testing.T) {
	now := widgets(t, `{type: object, properties: {a: {type: string, format: nonsense}, b: {type: string, format: date}}}`)
	if got := warn(context.Background(), now, nil); len(got) != 1 || got[0] != `unrecognized format "nonsense"` {
		t.Errorf("of a new definition: %v", got)
	}
	if got := warn(context.Background(), now, now); len(got) != 0 {
		t.Errorf("of formats that were there: %v", got)
	}
}

func TestNothingIsKeptOfAConversionByNoWebhook(t *testing.T) {
	for _, c := range []struct {
		webhook, want *apiextensionsv1.WebhookConversion
	}{
		{&apiextensionsv1.WebhookConversion{}, nil},
		{&apiextensionsv1.WebhookConversion{ConversionReviewVersions: []string{}}, &apiextensionsv1.WebhookConversion{ConversionReviewVersions: []string{}}},
		{nil, nil},
	} {
		crd := &apiextensionsv1.CustomResourceDefinition{Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Conversion: &apiextensionsv1.CustomResourceConversion{Strategy: apiextensionsv1.NoneConverter, Webhook: c.webhook}}}
		setDefaults(crd)
		if got := crd.Spec.Conversion.Webhook; !reflect.DeepEqual(got, c.want) {
			t.Errorf("of %v is kept %v, want %v", c.webhook, got, c.want)
		}
	}
}
