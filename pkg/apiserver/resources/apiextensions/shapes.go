package apiextensions

import (
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// openAPITypes are those of OpenAPI v3, as messages list them.
func openAPITypes() []string {
	return []string{"array", "boolean", "integer", "number", "object", "string"}
}

func isType(s string) bool { return slices.Contains(openAPITypes(), s) }

func hasExtensions(s *apiextensions.JSONSchemaProps) bool {
	return s.XEmbeddedResource || s.XPreserveUnknownFields != nil || s.XIntOrString || len(s.XListMapKeys) > 0 || s.XListType != nil || len(s.XValidations) > 0
}

// unsupported refuses what JSON schemas have and those of custom resources do not.
func (w *walk) unsupported(s *apiextensions.JSONSchemaProps, p place) (faults field.ErrorList) {
	if w.types && s.Type != "" && !isType(s.Type) {
		faults = append(faults, field.NotSupported(p.at.Child("type"), s.Type, openAPITypes()))
	}
	if s.Default != nil && p.noDefault != "" {
		faults = append(faults, field.Forbidden(p.at.Child("default"), "must not be set "+p.noDefault))
	}
	for _, keyword := range []struct {
		name string
		used bool
	}{
		{"id", s.ID != ""}, {"additionalItems", s.AdditionalItems != nil}, {"patternProperties", len(s.PatternProperties) > 0},
		{"definitions", len(s.Definitions) > 0}, {"dependencies", s.Dependencies != nil}, {"$ref", s.Ref != nil},
	} {
		if keyword.used {
			faults = append(faults, field.Forbidden(p.at.Child(keyword.name), keyword.name+" is not supported"))
		}
	}
	if s.Type == "null" {
		faults = append(faults, field.Forbidden(p.at.Child("type"), "type cannot be set to null, use nullable as an alternative"))
	}
	if s.Items != nil && len(s.Items.JSONSchemas) > 0 {
		faults = append(faults, field.Forbidden(p.at.Child("items"), "items must be a schema object and not an array"))
	}
	if p.inMeta && s.XEmbeddedResource {
		faults = append(faults, field.Forbidden(p.at.Child("x-kubernetes-embedded-resource"), "must not be used inside of resource meta"))
	}
	return faults
}

// shapes judges what is said of how maps and lists merge.
func (w *walk) shapes(s *apiextensions.JSONSchemaProps, at *field.Path) (faults field.ErrorList) {
	if s.XPreserveUnknownFields != nil && !*s.XPreserveUnknownFields {
		faults = append(faults, field.Invalid(at.Child("x-kubernetes-preserve-unknown-fields"), *s.XPreserveUnknownFields, "must be true or undefined"))
	}
	if s.XMapType != nil {
		faults = append(faults, mustBe(s, "object", "x-kubernetes-map-type", at)...)
		if *s.XMapType != "atomic" && *s.XMapType != "granular" {
			faults = append(faults, field.NotSupported(at.Child("x-kubernetes-map-type"), *s.XMapType, []string{"atomic", "granular"}))
		}
	}
	if s.XListType != nil {
		wrong := mustBe(s, "array", "x-kubernetes-list-type", at)
		faults = append(faults, wrong...)
		if len(wrong) == 0 && w.atomicSets {
			faults = append(faults, setItems(s, at)...)
		}
		if !slices.Contains([]string{"atomic", "set", "map"}, *s.XListType) {
			faults = append(faults, field.NotSupported(at.Child("x-kubernetes-list-type"), *s.XListType, []string{"atomic", "set", "map"}))
		}
	}
	if len(s.XListMapKeys) > 0 {
		const must = "must be map if x-kubernetes-list-map-keys is non-empty"
		switch {
		case s.XListType == nil:
			faults = append(faults, field.Required(at.Child("x-kubernetes-list-type"), must))
		case *s.XListType != "map":
			faults = append(faults, field.Invalid(at.Child("x-kubernetes-list-type"), *s.XListType, must))
		}
	}
	if s.XListType != nil && *s.XListType == "map" {
		faults = append(faults, listMap(s, at)...)
	}
	if w.mapKeys {
		faults = append(faults, mapKeys(s, at)...)
	}
	return faults
}

func mustBe(s *apiextensions.JSONSchemaProps, of, extension string, at *field.Path) field.ErrorList {
	must := "must be " + of + " if " + extension + " is specified"
	switch s.Type {
	case of:
		return nil
	case "":
		return field.ErrorList{field.Required(at.Child("type"), must)}
	}
	return field.ErrorList{field.Invalid(at.Child("type"), s.Type, must)}
}

// setItems refuses items of a set that could be changed in part.
func setItems(s *apiextensions.JSONSchemaProps, at *field.Path) field.ErrorList {
	if s.XListType == nil || *s.XListType != "set" || s.Items == nil || s.Items.Schema == nil {
		return nil
	}
	const must = "must be atomic as item of a list with x-kubernetes-list-type=set"
	item := s.Items.Schema
	switch {
	case item.Type == "array" && item.XListType != nil && *item.XListType != "atomic":
		return field.ErrorList{field.Invalid(at.Child("items", "x-kubernetes-list-type"), item.XListType, must)}
	case item.Type == "object" && (item.XMapType == nil || *item.XMapType != "atomic"):
		return field.ErrorList{field.Invalid(at.Child("items", "x-kubernetes-map-type"), item.XListType, must)}
	}
	return nil
}

// listMap judges a list that is a map by keys of its items.
func listMap(s *apiextensions.JSONSchemaProps, at *field.Path) (faults field.ErrorList) {
	if len(s.XListMapKeys) == 0 {
		faults = append(faults, field.Required(at.Child("x-kubernetes-list-map-keys"), "must not be empty if x-kubernetes-list-type is map"))
	}
	items := at.Child("items")
	switch {
	case s.Items == nil:
		return append(faults, field.Required(items, "must have a schema if x-kubernetes-list-type is map"))
	case s.Items.Schema == nil:
		return append(faults, field.Invalid(items, s.Items, "must only have a single schema if x-kubernetes-list-type is map"))
	case s.Items.Schema.Type != "object":
		return append(faults, field.Invalid(items.Child("type"), s.Items.Schema.Type, "must be object if parent array's x-kubernetes-list-type is map"))
	}
	keys := at.Child("x-kubernetes-list-map-keys")
	for i, k := range s.XListMapKeys {
		property, ok := s.Items.Schema.Properties[k]
		switch {
		case !ok:
			faults = append(faults, field.Invalid(keys, s.XListMapKeys, "entries must all be names of item properties"))
		case property.Type == "array" || property.Type == "object":
			faults = append(faults, field.Invalid(items.Child("properties").Key(k).Child("type"), s.Items.Schema.Type,
				"must be a scalar type if parent array's x-kubernetes-list-type is map"))
		}
		if slices.Contains(s.XListMapKeys[:i], k) {
			faults = append(faults, field.Invalid(keys, s.XListMapKeys, "must not contain duplicate entries"))
		}
	}
	return faults
}

// mapKeys refuses items of sets and maps that might have no identity.
func mapKeys(s *apiextensions.JSONSchemaProps, at *field.Path) (faults field.ErrorList) {
	if s.Items == nil || s.Items.Schema == nil || s.XListType == nil || *s.XListType != "set" && *s.XListType != "map" {
		return nil
	}
	items := at.Child("items")
	if s.Items.Schema.Nullable {
		faults = append(faults, field.Forbidden(items.Child("nullable"), "cannot be nullable when x-kubernetes-list-type is "+*s.XListType))
	}
	if *s.XListType == "set" {
		return faults
	}
	for _, k := range s.XListMapKeys {
		property, ok := s.Items.Schema.Properties[k]
		if !ok {
			continue
		}
		here := items.Child("properties").Key(k)
		if property.Default == nil && !slices.Contains(s.Items.Schema.Required, k) {
			faults = append(faults, field.Required(here.Child("default"),
				"this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"))
		}
		if property.Nullable {
			faults = append(faults, field.Forbidden(here.Child("nullable"), "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"))
		}
	}
	return faults
}

// ruleTexts judges what stands around the expressions of rules.
func (w *walk) ruleTexts(s *apiextensions.JSONSchemaProps, at *field.Path) (faults field.ErrorList) {
	reasons := []string{string(apiextensions.FieldValueDuplicate), string(apiextensions.FieldValueForbidden),
		string(apiextensions.FieldValueInvalid), string(apiextensions.FieldValueRequired)}
	broken := func(text string) bool { return strings.ContainsAny(text, "\n\r") }
	for i, v := range s.XValidations {
		here := at.Child("x-kubernetes-validations").Index(i)
		rule, message := strings.TrimSpace(v.Rule), strings.TrimSpace(v.Message)
		switch {
		case rule == "":
			faults = append(faults, field.Required(here.Child("rule"), "rule is not specified"))
		case v.Message != "" && message == "":
			faults = append(faults, field.Invalid(here.Child("message"), v.Message, "must be non-empty if specified"))
		case broken(message):
			faults = append(faults, field.Invalid(here.Child("message"), v.Message, "must not contain line breaks"))
		case broken(rule) && message == "":
			faults = append(faults, field.Required(here.Child("message"), "message must be specified if rule contains line breaks"))
		}
		if v.MessageExpression != "" && strings.TrimSpace(v.MessageExpression) == "" {
			faults = append(faults, field.Required(here.Child("messageExpression"), "messageExpression must be non-empty if specified"))
		}
		if v.Reason != nil && !slices.Contains(reasons, string(*v.Reason)) {
			faults = append(faults, field.NotSupported(here.Child("reason"), *v.Reason, reasons))
		}
		faults = append(faults, faultPath(s, v.FieldPath, here.Child("fieldPath"))...)
	}
	return faults
}

// faultPath judges the path under which a rule reports.
func faultPath(s *apiextensions.JSONSchemaProps, path string, at *field.Path) (faults field.ErrorList) {
	if path == "" {
		return nil
	}
	if strings.TrimSpace(path) == "" {
		faults = append(faults, field.Invalid(at, path, "must be non-empty if specified"))
	}
	if strings.ContainsAny(path, "\n\r") {
		faults = append(faults, field.Invalid(at, path, "must not contain line breaks"))
	}
	if ss, err := structural.NewStructural(s); err == nil {
		if _, _, err := cel.ValidFieldPath(path, ss); err != nil {
			faults = append(faults, field.Invalid(at, path, "must be a valid path"))
		}
	}
	return faults
}
