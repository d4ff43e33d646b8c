package apiextensions

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/crdschema"
)

// atRoot are the fields that a schema may have at its root when status is a subresource: its part of the schema is
// judged alone, and nothing else may say something about it. They are listed in messages.
func atRoot() []string {
	return []string{"Description", "Type", "Format", "Title", "Maximum", "ExclusiveMaximum", "Minimum", "ExclusiveMinimum", "MaxLength", "MinLength",
		"Pattern", "MaxItems", "MinItems", "UniqueItems", "MultipleOf", "Required", "Items", "Properties", "ExternalDocs", "Example",
		"XPreserveUnknownFields", "XValidations"}
}

// schema judges the schema of a version, or of all.
func (r *rules) schema(ctx context.Context, v *apiextensions.CustomResourceValidation, status bool, version string, at *field.Path) (faults field.ErrorList) {
	if v == nil {
		return nil
	}
	if s := v.OpenAPIV3Schema; s != nil {
		faults = r.root(ctx, s, status, version, at)
	}
	if len(faults) == 0 {
		if _, err := crdschema.NewValidator(v.OpenAPIV3Schema); err != nil {
			faults = append(faults, field.Invalid(at, "", fmt.Sprintf("error building validator: %v", err)))
		}
	}
	return faults
}

func (r *rules) root(ctx context.Context, s *apiextensions.JSONSchemaProps, status bool, version string, at *field.Path) (faults field.ErrorList) {
	here := at.Child("openAPIV3Schema")
	if status {
		faults = aboveStatus(s, at)
	}
	if s.Nullable {
		faults = append(faults, field.Forbidden(at.Child("openAPIV3Schema.nullable"), "nullable cannot be true at the root"))
	}
	w := &walk{rules: r, unpriced: r.unchanged[version]}
	var unreadable error
	var types *scope
	if r.structural {
		ss, err := structural.NewStructural(s)
		switch {
		case err != nil:
			unreadable = err
		default:
			problems := structural.ValidateStructural(here, ss)
			if len(problems) == 0 {
				if problems, err = defaulting.ValidateDefaults(ctx, here, ss, true, r.prunedDefaults); err != nil {
					problems = append(problems, field.Invalid(here, "", err.Error()))
				}
			}
			faults = append(faults, problems...)
			if len(problems) == 0 {
				types = rootScope(s)
			}
		}
	}
	found := w.node(s, place{at: here, root: true, types: types})
	faults = append(faults, append(found.schema, found.cel...)...)
	if len(faults) == 0 && unreadable != nil {
		faults = append(faults, field.Invalid(here, "", unreadable.Error()))
	}
	return append(faults, w.total.faults(here)...)
}

// aboveStatus refuses what the root says beside its properties.
func aboveStatus(s *apiextensions.JSONSchemaProps, at *field.Path) field.ErrorList {
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		switch {
		case v.Field(i).IsZero():
		case name == "Type" && s.Type != "object":
			return field.ErrorList{field.Invalid(at.Child("openAPIV3Schema.type"), s.Type,
				`only "object" is allowed as the type at the root of the schema if the status subresource is enabled`)}
		case !slices.Contains(atRoot(), name):
			return field.ErrorList{field.Invalid(at.Child("openAPIV3Schema"), *s,
				fmt.Sprintf("only %v fields are allowed at the root of the schema if the status subresource is enabled", atRoot()))}
		}
	}
	return nil
}

// walk goes through a schema.
type walk struct {
	*rules
	unpriced bool // what single rules cost is not judged
	total    cost
}

// place is where a schema stands, and what holds there.
type place struct {
	at           *field.Path
	root         bool
	inMeta       bool        // in the schema of metadata, kind or apiVersion
	noDefault    string      // why defaults are forbidden, "" where they are not
	uncorrelated *field.Path // the list or map above whose values cannot be told apart over time
	types        *scope      // nil: rules are not looked at
}

func (p place) child(at *field.Path, types *scope) place {
	p.at, p.types, p.root = at, types, false
	return p
}

func (p place) uncorrelatedAbove() place {
	if p.uncorrelated == nil {
		p.uncorrelated = p.at
	}
	return p
}

// found are the faults of a schema and of those inside it: rules are compiled only where the schema is sound.
type found struct{ schema, cel field.ErrorList }

func (f *found) add(other found) {
	f.schema = append(f.schema, other.schema...)
	f.cel = append(f.cel, other.cel...)
}

// node judges a schema and those inside it.
func (w *walk) node(s *apiextensions.JSONSchemaProps, p place) (out found) {
	if s == nil {
		return out
	}
	out.schema = w.unsupported(s, p)
	if s.UniqueItems {
		out.schema = append(out.schema, field.Forbidden(p.at.Child("uniqueItems"), "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"))
	}
	out.add(w.properties(s, p))
	out.add(w.junctors(s, p))
	out.add(w.items(s, p))
	out.schema = append(out.schema, w.shapes(s, p.at)...)
	out.schema = append(out.schema, w.ruleTexts(s, p.at)...)
	if len(s.XValidations) > 0 && len(out.schema) == 0 && p.types != nil {
		out.cel = append(out.cel, w.compile(s, p)...)
	}
	return out
}

func (w *walk) properties(s *apiextensions.JSONSchemaProps, p place) (out found) {
	if a := s.AdditionalProperties; a != nil {
		at := p.at.Child("additionalProperties")
		if len(s.Properties) > 0 && (!a.Allows || a.Schema != nil) {
			out.schema = append(out.schema, field.Forbidden(at, "additionalProperties and properties are mutual exclusive"))
		}
		inner := p.child(at, p.types.values(a.Schema))
		if p.inMeta {
			inner.noDefault = "inside additionalProperties applying to object metadata"
		}
		out.add(w.node(a.Schema, inner))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		property := s.Properties[name]
		inner := p
		if !cel.MapIsCorrelatable(s.XMapType) {
			inner = inner.uncorrelatedAbove()
		}
		if (p.root || s.XEmbeddedResource) && slices.Contains([]string{"metadata", "kind", "apiVersion"}, name) {
			inner.inMeta = true
			if p.root {
				inner.noDefault = "in top-level " + name
			}
		}
		out.add(w.node(&property, inner.child(p.at.Child("properties").Key(name), p.types.property(&property, name))))
	}
	return out
}

// junctors judges what is said about values by way of logic; there are no rules in there.
func (w *walk) junctors(s *apiextensions.JSONSchemaProps, p place) (out found) {
	out.add(w.node(s.Not, p.child(p.at.Child("not"), nil)))
	for _, list := range []struct {
		name string
		of   []apiextensions.JSONSchemaProps
	}{{"allOf", s.AllOf}, {"oneOf", s.OneOf}, {"anyOf", s.AnyOf}} {
		for i := range list.of {
			out.add(w.node(&list.of[i], p.child(p.at.Child(list.name).Index(i), nil)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Definitions)) {
		d := s.Definitions[name]
		out.add(w.node(&d, p.child(p.at.Child("definitions").Key(name), nil)))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Dependencies)) {
		out.add(w.node(s.Dependencies[name].Schema, p.child(p.at.Child("dependencies").Key(name), nil)))
	}
	return out
}

func (w *walk) items(s *apiextensions.JSONSchemaProps, p place) (out found) {
	if s.Items == nil {
		return out
	}
	inner := p
	if s.XListType == nil || *s.XListType != "map" {
		inner = inner.uncorrelatedAbove()
	}
	at := p.at.Child("items")
	out.add(w.node(s.Items.Schema, inner.child(at, p.types.items(s.Items.Schema))))
	for i := range s.Items.JSONSchemas {
		out.add(w.node(&s.Items.JSONSchemas[i], inner.child(at.Index(i), p.types.items(&s.Items.JSONSchemas[i]))))
	}
	return out
}
