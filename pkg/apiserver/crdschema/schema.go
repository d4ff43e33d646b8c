// Package crdschema reads the schemas of custom resources: structural ones for pruning and defaulting, and those
// that values are judged by. It knows no resources.
package crdschema

import (
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
)

// What CEL rules may cost, as in kube-apiserver: each rule at one value, all rules of one object, and what is
// foreseen for one rule and for all of a schema.
const (
	CallCost      = 1_000_000
	ObjectCost    = 10_000_000
	ForeseenRule  = 10_000_000
	ForeseenTotal = 100_000_000
)

// Properties gives a schema the form that the libraries take; nil where there is none.
func Properties(s *apiextensionsv1.CustomResourceValidation) (*apiextensions.JSONSchemaProps, error) {
	if s == nil || s.OpenAPIV3Schema == nil {
		return nil, nil
	}
	out := &apiextensions.JSONSchemaProps{}
	// The conversion shares memory with what it converts.
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(s.OpenAPIV3Schema.DeepCopy(), out, nil); err != nil {
		return nil, fmt.Errorf("reading the schema: %w", err)
	}
	return out, nil
}

// Structural is the schema that prunes and defaults. Its defaults hold nothing that they would be pruned of.
func Structural(p *apiextensions.JSONSchemaProps) (*structural.Structural, error) {
	s, err := structural.NewStructural(p)
	if err != nil {
		return nil, fmt.Errorf("the schema is not structural: %w", err)
	}
	s = s.DeepCopy() // defaults are shared with p
	if err := defaulting.PruneDefaults(s); err != nil {
		return nil, fmt.Errorf("pruning the defaults of the schema: %w", err)
	}
	return s, nil
}

// Walk calls f for a schema and every one inside it, until f answers true; it answers whether f did.
func Walk(s *apiextensions.JSONSchemaProps, f func(*apiextensions.JSONSchemaProps) bool) bool {
	if s == nil {
		return false
	}
	if f(s) {
		return true
	}
	for _, list := range [][]apiextensions.JSONSchemaProps{s.AllOf, s.AnyOf, s.OneOf} {
		for i := range list {
			if Walk(&list[i], f) {
				return true
			}
		}
	}
	for _, m := range []map[string]apiextensions.JSONSchemaProps{s.Properties, s.PatternProperties, s.Definitions} {
		for _, inner := range m {
			if Walk(&inner, f) {
				return true
			}
		}
	}
	if s.Items != nil {
		if Walk(s.Items.Schema, f) {
			return true
		}
		for i := range s.Items.JSONSchemas {
			if Walk(&s.Items.JSONSchemas[i], f) {
				return true
			}
		}
	}
	for _, d := range s.Dependencies {
		if Walk(d.Schema, f) {
			return true
		}
	}
	return Walk(s.Not, f) || s.AdditionalProperties != nil && Walk(s.AdditionalProperties.Schema, f) ||
		s.AdditionalItems != nil && Walk(s.AdditionalItems.Schema, f)
}
