package crdschema

import (
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// openAPI gives a schema the form that values are judged by. Formats that nobody checks are left out.
func openAPI(in *apiextensions.JSONSchemaProps) (*spec.Schema, error) {
	if in == nil {
		return nil, nil
	}
	out := &spec.Schema{}
	out.ID, out.Schema, out.Description, out.Title, out.Nullable = in.ID, spec.SchemaURL(in.Schema), in.Description, in.Title, in.Nullable
	out.Maximum, out.ExclusiveMaximum, out.Minimum, out.ExclusiveMinimum = in.Maximum, in.ExclusiveMaximum, in.Minimum, in.ExclusiveMinimum
	out.MaxLength, out.MinLength, out.Pattern, out.MultipleOf = in.MaxLength, in.MinLength, in.Pattern, in.MultipleOf
	out.MaxItems, out.MinItems, out.UniqueItems = in.MaxItems, in.MinItems, in.UniqueItems
	out.MaxProperties, out.MinProperties, out.Required = in.MaxProperties, in.MinProperties, in.Required
	if in.Type != "" {
		out.Type = spec.StringOrArray{in.Type}
	}
	if in.XIntOrString {
		out.Type = spec.StringOrArray{"integer", "string"}
	}
	if len(out.Type) < 2 && knownFormat(in.Type, in.Format) || len(out.Type) == 2 && knownFormat("", in.Format) {
		out.Format = in.Format
	}
	if in.Default != nil {
		out.Default = *in.Default
	}
	if in.Example != nil {
		out.Example = *in.Example
	}
	for _, v := range in.Enum {
		out.Enum = append(out.Enum, v)
	}
	if in.ExternalDocs != nil {
		out.ExternalDocs = &spec.ExternalDocumentation{Description: in.ExternalDocs.Description, URL: in.ExternalDocs.URL}
	}
	if in.Ref != nil {
		ref, err := spec.NewRef(*in.Ref)
		if err != nil {
			return nil, fmt.Errorf("the reference %q: %w", *in.Ref, err)
		}
		out.Ref = ref
	}
	if err := inner(in, out); err != nil {
		return nil, err
	}
	return out, extensions(in, out)
}

// inner carries over the schemas inside of one.
func inner(in *apiextensions.JSONSchemaProps, out *spec.Schema) (err error) {
	for _, l := range []struct {
		from []apiextensions.JSONSchemaProps
		to   *[]spec.Schema
	}{{in.AllOf, &out.AllOf}, {in.OneOf, &out.OneOf}, {in.AnyOf, &out.AnyOf}} {
		if *l.to, err = list(l.from); err != nil {
			return err
		}
	}
	if out.Properties, err = mapped(in.Properties); err != nil {
		return err
	}
	if out.PatternProperties, err = mapped(in.PatternProperties); err != nil {
		return err
	}
	if out.Definitions, err = mapped(in.Definitions); err != nil {
		return err
	}
	if out.Not, err = openAPI(in.Not); err != nil {
		return err
	}
	if out.AdditionalProperties, err = orBool(in.AdditionalProperties); err != nil {
		return err
	}
	if out.AdditionalItems, err = orBool(in.AdditionalItems); err != nil {
		return err
	}
	if in.Items != nil {
		out.Items = &spec.SchemaOrArray{}
		if out.Items.Schema, err = openAPI(in.Items.Schema); err != nil {
			return err
		}
		if out.Items.Schemas, err = list(in.Items.JSONSchemas); err != nil {
			return err
		}
	}
	for name, d := range in.Dependencies {
		if out.Dependencies == nil {
			out.Dependencies = spec.Dependencies{}
		}
		s, err := openAPI(d.Schema)
		if err != nil {
			return err
		}
		out.Dependencies[name] = spec.SchemaOrStringArray{Schema: s, Property: d.Property}
	}
	return nil
}

func list(in []apiextensions.JSONSchemaProps) (out []spec.Schema, err error) {
	for i := range in {
		s, err := openAPI(&in[i])
		if err != nil {
			return nil, err
		}
		out = append(out, *s)
	}
	return out, nil
}

func mapped(in map[string]apiextensions.JSONSchemaProps) (map[string]spec.Schema, error) {
	if in == nil {
		return nil, nil
	}
	out := make(map[string]spec.Schema, len(in))
	for name, p := range in {
		s, err := openAPI(&p)
		if err != nil {
			return nil, err
		}
		out[name] = *s
	}
	return out, nil
}

func orBool(in *apiextensions.JSONSchemaPropsOrBool) (*spec.SchemaOrBool, error) {
	if in == nil {
		return nil, nil
	}
	s, err := openAPI(in.Schema)
	return &spec.SchemaOrBool{Allows: in.Allows, Schema: s}, err
}

// extensions carries over what is Kubernetes' own.
func extensions(in *apiextensions.JSONSchemaProps, out *spec.Schema) error {
	if in.XIntOrString {
		out.AddExtension("x-kubernetes-int-or-string", true)
	}
	if in.XPreserveUnknownFields != nil {
		out.AddExtension("x-kubernetes-preserve-unknown-fields", *in.XPreserveUnknownFields)
	}
	if in.XEmbeddedResource {
		out.AddExtension("x-kubernetes-embedded-resource", true)
	}
	if len(in.XListMapKeys) > 0 {
		out.AddExtension("x-kubernetes-list-map-keys", anyOf(in.XListMapKeys))
	}
	if in.XListType != nil {
		out.AddExtension("x-kubernetes-list-type", *in.XListType)
	}
	if in.XMapType != nil {
		out.AddExtension("x-kubernetes-map-type", *in.XMapType)
	}
	if len(in.XValidations) == 0 {
		return nil
	}
	var rules apiextensionsv1.ValidationRules
	if err := apiextensionsv1.Convert_apiextensions_ValidationRules_To_v1_ValidationRules(&in.XValidations, &rules, nil); err != nil {
		return err
	}
	out.AddExtension("x-kubernetes-validations", anyOf(rules))
	return nil
}

func anyOf[T any](in []T) []any {
	out := make([]any, len(in))
	for i := range in {
		out[i] = in[i]
	}
	return out
}
