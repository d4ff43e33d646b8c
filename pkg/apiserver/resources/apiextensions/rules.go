package apiextensions

import (
	"reflect"

	celgo "github.com/google/cel-go/cel"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/sampan-project/sampan/pkg/apiserver/crdschema"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// rules are those that a definition is judged by. Of a new one all hold; of one that is changed not those that the
// old one broke.
type rules struct {
	schemas        bool            // every version has a schema
	structural     bool            // schemas are structural
	types          bool            // of OpenAPI v3
	prunedDefaults bool            // defaults hold nothing that would be pruned
	atomicSets     bool            // items of sets are atomic
	mapKeys        bool            // keys of lists that are maps are always there
	spokenReview   bool            // a spoken version of ConversionReview is among those named
	badBundle      bool            // the CA bundle may be unreadable: the definition is not established
	manySelectable map[string]bool // versions that may have too many selectable fields
	unchanged      map[string]bool // versions whose schema is as it was: costs of single rules are not judged
	known          expressions     // are compiled with everything that a later server may have brought
	env            *environment.EnvSet
}

func newRules() *rules {
	return &rules{
		schemas: true, structural: true, types: true, prunedDefaults: true, atomicSets: true, mapKeys: true, spokenReview: true, badBundle: true,
		env: environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()),
	}
}

// forgive takes out the rules that the old definition broke.
func (r *rules) forgive(crd, old *apiextensions.CustomResourceDefinition) {
	spec := &old.Spec
	for _, v := range spec.Versions {
		r.schemas = r.schemas && (spec.Validation != nil && spec.Validation.OpenAPIV3Schema != nil || v.Schema != nil && v.Schema.OpenAPIV3Schema != nil)
	}
	for _, s := range schemas(spec) {
		r.structural = r.structural && isStructural(s)
		r.prunedDefaults = r.prunedDefaults && !hasUnprunedDefaults(s)
	}
	r.types = !anySchema(spec, func(s *apiextensions.JSONSchemaProps) bool { return s.Type != "" && !isType(s.Type) })
	r.atomicSets = !anySchema(spec, func(s *apiextensions.JSONSchemaProps) bool { return len(setItems(s, nil)) > 0 })
	r.mapKeys = !anySchema(spec, func(s *apiextensions.JSONSchemaProps) bool { return len(mapKeys(s, field.NewPath(""))) > 0 })
	r.spokenReview = speaksReview(spec.Conversion)
	r.badBundle = !apiextensions.IsCRDConditionTrue(old, apiextensions.Established) || hasBadBundle(spec.Conversion)
	r.known = expressionsOf(spec)
	r.unchanged, r.manySelectable = map[string]bool{}, map[string]bool{}
	for _, v := range crd.Spec.Versions {
		// The one schema of an old definition stands for versions too that it did not have.
		now, isErr := apiextensions.GetSchemaForVersion(crd, v.Name)
		before, wasErr := apiextensions.GetSchemaForVersion(old, v.Name)
		r.unchanged[v.Name] = isErr == nil && wasErr == nil && same(now, before)
		for _, o := range spec.Versions {
			r.manySelectable[v.Name] = r.manySelectable[v.Name] ||
				o.Name == v.Name && len(o.SelectableFields) > mostSelectable && same(o.SelectableFields, v.SelectableFields)
		}
	}
	r.manySelectable[""] = len(spec.SelectableFields) > mostSelectable && same(spec.SelectableFields, crd.Spec.SelectableFields)
}

func hasBadBundle(c *apiextensions.CustomResourceConversion) bool {
	return c != nil && c.WebhookClientConfig != nil && len(c.WebhookClientConfig.CABundle) > 0 &&
		len(validation.CABundle(field.NewPath("caBundle"), c.WebhookClientConfig.CABundle)) > 0
}

func isStructural(s *apiextensions.JSONSchemaProps) bool {
	ss, err := structural.NewStructural(s)
	return err == nil && len(structural.ValidateStructural(nil, ss)) == 0
}

func hasUnprunedDefaults(s *apiextensions.JSONSchemaProps) bool {
	if !crdschema.Walk(s, func(s *apiextensions.JSONSchemaProps) bool { return s.Default != nil }) || !isStructural(s) {
		return false
	}
	ss, err := structural.NewStructural(s)
	if err != nil {
		return false
	}
	pruned := ss.DeepCopy()
	return defaulting.PruneDefaults(pruned) == nil && !reflect.DeepEqual(ss, pruned)
}

// expressions are those of CEL that a definition had before.
type expressions struct{ rules, messages map[string]bool }

func expressionsOf(spec *apiextensions.CustomResourceDefinitionSpec) expressions {
	e := expressions{map[string]bool{}, map[string]bool{}}
	anySchema(spec, func(s *apiextensions.JSONSchemaProps) bool {
		for _, v := range s.XValidations {
			e.rules[v.Rule] = true
			e.messages[v.MessageExpression] = true
		}
		return false
	})
	return e
}

// RuleEnv implements cel.EnvLoader.
func (e expressions) RuleEnv(set *environment.EnvSet, expression string) *celgo.Env {
	return envOf(set, e.rules[expression])
}

// MessageExpressionEnv implements cel.EnvLoader.
func (e expressions) MessageExpressionEnv(set *environment.EnvSet, expression string) *celgo.Env {
	return envOf(set, e.messages[expression])
}

func envOf(set *environment.EnvSet, known bool) *celgo.Env {
	if known {
		return set.StoredExpressionsEnv()
	}
	return set.NewExpressionsEnv()
}
