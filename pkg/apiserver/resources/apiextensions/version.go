package apiextensions

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// mostSelectable is how many fields of a version can be selected by.
const mostSelectable = 8

func (r *rules) version(ctx context.Context, v *apiextensions.CustomResourceDefinitionVersion, status bool, at *field.Path) (faults field.ErrorList) {
	for _, problem := range deprecation(v) {
		faults = append(faults, field.Invalid(at.Child("deprecationWarning"), v.DeprecationWarning, problem))
	}
	faults = append(faults, r.schema(ctx, v.Schema, status, v.Name, at.Child("schema"))...)
	faults = append(faults, subresources(v.Subresources, at.Child("subresources"))...)
	for i := range v.AdditionalPrinterColumns {
		faults = append(faults, printerColumn(&v.AdditionalPrinterColumns[i], at.Child("additionalPrinterColumns").Index(i))...)
	}
	if len(v.SelectableFields) == 0 {
		return faults
	}
	if v.Schema == nil || v.Schema.OpenAPIV3Schema == nil {
		return append(faults, field.Invalid(at.Child("selectableFields"), "", "may only be set when `version.schema.openAPIV3Schema` is not included"))
	}
	return append(faults, r.selectable(v.SelectableFields, v.Schema.OpenAPIV3Schema, v.Name, at)...)
}

func deprecation(v *apiextensions.CustomResourceDefinitionVersion) (problems []string) {
	if v.DeprecationWarning == nil {
		return nil
	}
	if !v.Deprecated {
		return []string{"can only be set for deprecated versions"}
	}
	text := *v.DeprecationWarning
	if len(text) > 256 {
		problems = append(problems, "must be <= 256 characters long")
	}
	if text == "" {
		problems = append(problems, "must not be an empty string")
	}
	const printable = "must only contain printable UTF-8 characters"
	for i, c := range text {
		if !unicode.IsPrint(c) {
			problems = append(problems, fmt.Sprintf("%s; non-printable character found at index %d", printable, i))
			break
		}
	}
	if !utf8.ValidString(text) {
		problems = append(problems, printable)
	}
	return problems
}

// selectable judges the fields that objects can be selected by.
func (r *rules) selectable(list []apiextensions.SelectableField, of *apiextensions.JSONSchemaProps, version string, at *field.Path) (faults field.ErrorList) {
	s, err := structural.NewStructural(of)
	if err != nil {
		faults = append(faults, field.Invalid(at.Child("schema.openAPIV3Schema"), "", err.Error()))
	}
	fields := at.Child("selectableFields")
	seen := map[string]bool{}
	for i, f := range list {
		where := fields.Index(i).Child("jsonPath")
		if f.JSONPath == "" {
			faults = append(faults, field.Required(where, ""))
			continue
		}
		path, found, err := cel.ValidFieldPath(f.JSONPath, s, cel.WithFieldPathAllowArrayNotation(false))
		if err != nil {
			faults = append(faults, field.Invalid(where, f.JSONPath, fmt.Sprintf("is an invalid path: %v", err)))
			continue
		}
		if path.Root().String() == "metadata" {
			faults = append(faults, field.Invalid(where, f.JSONPath, "must not point to fields in metadata"))
		}
		if found == nil || !slices.Contains([]string{"string", "boolean", "integer"}, found.Type) {
			faults = append(faults, field.Invalid(where, f.JSONPath,
				"must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."))
		}
		if seen[path.String()] {
			faults = append(faults, field.Duplicate(where, f.JSONPath))
		}
		seen[path.String()] = true
	}
	if len(seen) > mostSelectable && !r.manySelectable[version] {
		faults = append(faults, field.TooMany(fields, len(seen), mostSelectable))
	}
	return faults
}

func printerColumn(c *apiextensions.CustomResourceColumnDefinition, at *field.Path) (faults field.ErrorList) {
	types := []string{"boolean", "date", "integer", "number", "string"}
	formats := []string{"byte", "date", "date-time", "double", "float", "int32", "int64", "password"}
	if c.Name == "" {
		faults = append(faults, field.Required(at.Child("name"), ""))
	}
	switch must := "must be one of " + strings.Join(types, ","); {
	case c.Type == "":
		faults = append(faults, field.Required(at.Child("type"), must))
	case !slices.Contains(types, c.Type):
		faults = append(faults, field.Invalid(at.Child("type"), c.Type, must))
	}
	if c.Format != "" && !slices.Contains(formats, c.Format) {
		faults = append(faults, field.Invalid(at.Child("format"), c.Format, "must be one of "+strings.Join(formats, ",")))
	}
	if c.JSONPath == "" {
		return append(faults, field.Required(at.Child("JSONPath"), ""))
	}
	return append(faults, simplePath(c.JSONPath, at.Child("JSONPath"))...)
}

// simplePath refuses what is no path of names with dots.
func simplePath(path string, at *field.Path) field.ErrorList {
	if path[0] != '.' {
		return field.ErrorList{field.Invalid(at, path, "must be a simple json path starting with .")}
	}
	return nil
}

func subresources(s *apiextensions.CustomResourceSubresources, at *field.Path) (faults field.ErrorList) {
	if s == nil || s.Scale == nil {
		return nil
	}
	path := func(name, value, must string, under ...string) {
		where := at.Child("scale." + name)
		if problems := simplePath(value, where); len(problems) > 0 {
			faults = append(faults, problems...)
		} else if !slices.ContainsFunc(under, func(u string) bool { return strings.HasPrefix(value, u) }) {
			faults = append(faults, field.Invalid(where, value, must))
		}
	}
	if s.Scale.SpecReplicasPath == "" {
		faults = append(faults, field.Required(at.Child("scale.specReplicasPath"), ""))
	} else {
		path("specReplicasPath", s.Scale.SpecReplicasPath, "should be a json path under .spec", ".spec.")
	}
	if s.Scale.StatusReplicasPath == "" {
		faults = append(faults, field.Required(at.Child("scale.statusReplicasPath"), ""))
	} else {
		path("statusReplicasPath", s.Scale.StatusReplicasPath, "should be a json path under .status", ".status.")
	}
	if l := s.Scale.LabelSelectorPath; l != nil && *l != "" {
		path("labelSelectorPath", *l, "should be a json path under either .spec or .status", ".spec.", ".status.")
	}
	return faults
}
