package crd

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/yaml"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/apiextensions"
)

// defined is the kind widgets.example.com with a schema for each version, the first of which is stored.
func defined(t *testing.T, schemas ...string) *kind {
	t.Helper()
	crd := &apiextensionsv1.CustomResourceDefinition{}
	crd.Name = "widgets.example.com"
	crd.Spec.Group, crd.Spec.Scope = "example.com", apiextensionsv1.NamespaceScoped
	crd.Spec.Names = apiextensionsv1.CustomResourceDefinitionNames{Plural: "widgets", Singular: "widget", Kind: "Widget", ListKind: "WidgetList"}
	crd.Status.AcceptedNames = crd.Spec.Names
	for i, text := range schemas {
		s := &apiextensionsv1.JSONSchemaProps{}
		if err := yaml.Unmarshal([]byte(text), s); err != nil {
			t.Fatal(err)
		}
		crd.Spec.Versions = append(crd.Spec.Versions, apiextensionsv1.CustomResourceDefinitionVersion{
			Name: []string{"v1", "v2"}[i], Served: true, Storage: i == 0, Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: s},
		})
	}
	return newKind(lean(crd), func() (*apiextensionsv1.CustomResourceDefinition, error) { return crd, nil }, nil)
}

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	json, err := u.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := u.UnmarshalJSON(json); err != nil { // whole numbers are int64
		t.Fatal(err)
	}
	return u
}

const head = "{apiVersion: example.com/v1, kind: Widget, metadata: {name: a, namespace: ns}, "

func TestObjectsAreMadeToFitTheirSchema(t *testing.T) {
	k := defined(t, `{type: object, properties: {spec: {type: object, properties: {a: {type: string, default: x}, n: {type: string}, nullable: {type: string, nullable: true},
		open: {type: object, x-kubernetes-preserve-unknown-fields: true}}}}}`)
	u := object(t, head+"spec: {b: 1, n: null, nullable: null, open: {any: 1}}, other: 2}")
	unknown, err := k.fit(u, fitting{paths: true})
	if err != nil {
		t.Fatal(err)
	}
	k.setDefaults(u)
	if diff := cmp.Diff([]string{"other", "spec.b"}, unknown); diff != "" {
		t.Errorf("unknown fields (-want +got):\n%s", diff)
	}
	want := map[string]any{"a": "x", "nullable": nil, "open": map[string]any{"any": int64(1)}}
	if diff := cmp.Diff(want, u.Object["spec"]); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
}

func TestStoredObjectsAreRepairedAndConverted(t *testing.T) {
	k := defined(t, `{type: object, properties: {a: {type: string}}}`, `{type: object, properties: {a: {type: string}, b: {type: string}}}`)
	u, err := k.decode([]byte(`{"apiVersion":"example.com/v2","kind":"Widget","metadata":{"name":"a","labels":{"bad":1}},"a":"x","b":"y"}`))
	if err != nil {
		t.Fatal(err)
	}
	if u.GetGeneration() != 1 || u.GetAPIVersion() != "example.com/v2" || u.GetName() != "a" {
		t.Errorf("read as %v", u.Object)
	}
	other, err := k.as(u, "v1")
	if err != nil {
		t.Fatal(err)
	}
	if _, has := other.Object["b"]; has || other.GetAPIVersion() != "example.com/v1" || u.Object["b"] != "y" {
		t.Errorf("in v1: %v, and before: %v", other.Object, u.Object)
	}
	value, err := k.encode(u)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(value), `{"a":"x","apiVersion":"example.com/v1"`) || !strings.HasSuffix(string(value), "}\n") {
		t.Errorf("stored as %q", value)
	}
	if _, err := k.as(u, "v3"); err == nil {
		t.Error("a version that the definition does not have was given")
	}
	if _, err := k.decode([]byte(`{"apiVersion":"example.com/v9","kind":"Widget"}`)); err == nil {
		t.Error("an object of a version that the definition does not have was read")
	}
}

func TestObjectsAreJudged(t *testing.T) {
	k := defined(t, `{type: object, properties: {m: {type: integer, maximum: 9}, list: {type: array, x-kubernetes-list-type: set, items: {type: string}},
		r: {type: string, maxLength: 9, x-kubernetes-validations: [{rule: "self != 'bad'", message: not bad}]}}}`)
	judge := k.validate(k.versions["v1"])
	for name, c := range map[string]struct{ obj, old, want string }{
		"as it should be":       {"m: 9}", "", ""},
		"too much":              {"m: 10}", "", "m: Invalid value: 10: m in body should be less than or equal to 9"},
		"another type":          {"m: x}", "", `m: Invalid value: "string": m in body must be of type integer: "string"`},
		"twice in a set":        {"list: [a, a]}", "", `list[1]: Duplicate value: "a"`},
		"against a rule":        {"r: bad}", "", `r: Invalid value: "bad": not bad`},
		"too much as before":    {"m: 10, r: x}", "m: 10}", ""},
		"more than before":      {"m: 11}", "m: 10}", "m: Invalid value: 11: m in body should be less than or equal to 9"},
		"twice as before":       {"list: [a, a], m: 1}", "list: [a, a]}", ""},
		"against it as before":  {"r: bad, m: 1}", "r: bad}", ""},
		"against it only later": {"r: bad}", "r: good}", `r: Invalid value: "bad": not bad`},
	} {
		t.Run(name, func(t *testing.T) {
			var old *unstructured.Unstructured
			if c.old != "" {
				old = object(t, head+c.old)
			}
			got := ""
			if faults := judge(context.Background(), object(t, head+c.obj), old); len(faults) > 0 {
				got = faults[0].Error()
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestForgivenRulesAreWarnedOf(t *testing.T) {
	k := defined(t, `{type: object, properties: {m: {type: integer}, r: {type: string, maxLength: 9, x-kubernetes-validations: [{rule: "self != 'bad'", message: not bad}]}}}`)
	ctx, _ := request.WithWarnings(context.Background())
	if faults := k.validate(k.versions["v1"])(ctx, object(t, head+"r: bad, m: 1}"), object(t, head+"r: bad}")); len(faults) > 0 {
		t.Fatal(faults)
	}
	if got := request.WarningsOf(ctx); len(got) != 1 || got[0] != `r: Invalid value: "bad": not bad` {
		t.Errorf("warnings: %q", got)
	}
}

func TestCellsHaveTheTypesOfTheirColumns(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		of   string
		path string
		want any
	}{
		"text":                {"string", ".s", "x"},
		"a number as text":    {"string", ".m", "3"},
		"a number":            {"integer", ".m", int64(3)},
		"a fraction as whole": {"integer", ".f", int64(1)},
		"a fraction":          {"number", ".f", 1.5},
		"text as a number":    {"integer", ".s", nil},
		"yes":                 {"boolean", ".b", true},
		"a time":              {"date", ".t", "5m"},
		"no time":             {"date", ".s", "<invalid>"},
		"nothing":             {"string", ".none", nil},
	} {
		t.Run(name, func(t *testing.T) {
			v := &version{CustomResourceDefinitionVersion: &apiextensionsv1.CustomResourceDefinitionVersion{
				AdditionalPrinterColumns: []apiextensionsv1.CustomResourceColumnDefinition{{Name: "C", Type: c.of, JSONPath: c.path}}}}
			row := column.At(v.row(object(t, head+`s: x, m: 3, f: 1.5, b: true, t: "2026-01-02T02:59:05Z"}`)), now)
			if diff := cmp.Diff([]any{"a", c.want}, row); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNamesAreAcceptedOnce(t *testing.T) {
	m := &Manager{cfg: Config{Clock: clocktesting.NewFakeClock(time.Unix(1e9, 0))}, known: map[string]*apiextensionsv1.CustomResourceDefinition{}}
	has := lean(defined(t, `{type: object}`).crd)
	has.Status.AcceptedNames.ShortNames = []string{"w"}
	m.known[has.Name] = has
	crd := &apiextensionsv1.CustomResourceDefinition{}
	crd.Name, crd.Spec.Group = "gadgets.example.com", "example.com"
	crd.Spec.Names = apiextensionsv1.CustomResourceDefinitionNames{Plural: "gadgets", Singular: "gadget", Kind: "Widget", ListKind: "GadgetList", ShortNames: []string{"w"}}
	m.settle(crd)
	c := apiextensions.Condition(crd, apiextensionsv1.NamesAccepted)
	if c.Status != apiextensionsv1.ConditionFalse || c.Reason != "KindConflict" || c.Message != `"Widget" is already in use` {
		t.Errorf("while another has its kind: %+v", c)
	}
	if apiextensions.IsTrue(crd, apiextensionsv1.Established) || crd.Status.AcceptedNames.Plural != "gadgets" || crd.Status.AcceptedNames.Kind != "" {
		t.Errorf("while another has its kind: %+v", crd.Status)
	}
	delete(m.known, has.Name)
	m.settle(crd)
	if !apiextensions.IsTrue(crd, apiextensionsv1.NamesAccepted) || !apiextensions.IsTrue(crd, apiextensionsv1.Established) {
		t.Errorf("once the names are free: %+v", crd.Status)
	}
	other := crd.DeepCopy()
	m.settle(other)
	if diff := cmp.Diff(crd.Status, other.Status); diff != "" {
		t.Errorf("settled again (-before +after):\n%s", diff)
	}
}

func TestFinalizersWithoutADomainAreWarnedOf(t *testing.T) {
	u := object(t, head+"x: 1}")
	u.SetFinalizers([]string{"foregroundDeletion", "plain", "example.com/good", "example.com"})
	got := warn(context.Background(), u, nil)
	if len(got) != 2 || !strings.HasPrefix(got[0], `metadata.finalizers: "example.com": prefer a domain-qualified finalizer name including a path (/)`) ||
		!strings.HasPrefix(got[1], `metadata.finalizers: "plain": prefer a domain-qualified finalizer name to avoid`) {
		t.Errorf("warnings: %q", got)
	}
	if got := warn(context.Background(), u, u); len(got) != 0 {
		t.Errorf("of those that were there: %q", got)
	}
}

func TestNothingIsConvertedWithoutTheWebhook(t *testing.T) {
	in := object(t, `{apiVersion: example.com/v1, kind: Widget, metadata: {name: a}}`)
	for strategy, fails := range map[apiextensionsv1.ConversionStrategyType]bool{"": false, apiextensionsv1.NoneConverter: false, apiextensionsv1.WebhookConverter: true} {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if strategy != "" {
			crd.Spec.Conversion = &apiextensionsv1.CustomResourceConversion{Strategy: strategy}
		}
		out, err := newConverter(crd, nil).to(in, "example.com/v2")
		if (err != nil) != fails || err == nil && out.GetAPIVersion() != "example.com/v2" {
			t.Errorf("strategy %q: %v, %v", strategy, out, err)
		}
	}
}

func TestASchemaThatCannotBeReadIsReadLater(t *testing.T) {
	there := defined(t, "{type: object, properties: {spec: {type: object}}}")
	var failing error = apierrors.NewNotFound(apiextensions.Definitions, "widgets.example.com")
	k := newKind(there.crd, func() (*apiextensionsv1.CustomResourceDefinition, error) {
		if failing != nil {
			return nil, failing
		}
		crd := there.crd.DeepCopy()
		crd.Spec.Versions[0].Schema = &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object"}}
		return crd, nil
	}, nil)
	v := k.versions["v1"]
	// A document of all kinds does not fail because one of them goes.
	if s, err := v.described(true); s != nil || err != nil {
		t.Errorf("a definition that has gone is described as %v, %v", s, err)
	}
	failing = errors.New("etcd is away")
	if _, err := v.described(true); !errors.Is(err, failing) {
		t.Errorf("without etcd: %v", err)
	}
	if _, err := v.structural(); !errors.Is(err, failing) {
		t.Errorf("without etcd: %v", err)
	}
	failing = nil
	if s, err := v.described(true); s == nil || err != nil {
		t.Errorf("a definition is described as %v, %v", s, err)
	}
	if s, err := v.structural(); s == nil || err != nil {
		t.Errorf("a schema is %v, %v", s, err)
	}
}
