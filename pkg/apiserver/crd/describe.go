package crd

import (
	"encoding/json"

	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// described gives the version's schema as clients read it, nil where there is nothing to tell. OpenAPI v2 can say
// less: what it cannot say is left open.
func (v *version) described(v2 bool) (map[string]any, error) {
	p, err := v.read()
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil // the definition has just gone, and its kind goes next
	case err != nil || p == nil:
		return nil, err
	}
	s, err := structural.NewStructural(p)
	if err != nil || len(structural.ValidateStructural(nil, s)) > 0 {
		return nil, nil // old definitions may have schemas that nothing can be said of
	}
	s = s.Unfold()
	if v2 {
		if s.XPreserveUnknownFields {
			return nil, nil
		}
		s = sayable(s)
	}
	text, err := json.Marshal(s.ToKubeOpenAPI())
	if err != nil {
		return nil, err
	}
	var out map[string]any
	return out, json.Unmarshal(text, &out)
}

// sayable leaves open what OpenAPI v2, and clients that read it, cannot say: alternatives, nulls, and objects with
// fields that nobody knows.
func sayable(s *structural.Structural) *structural.Structural {
	s = s.DeepCopy()
	visitor := structural.Visitor{Structural: func(s *structural.Structural) bool {
		if v := s.ValueValidation; v != nil {
			v.AllOf, v.OneOf, v.AnyOf, v.Not = nil, nil, nil, nil
		}
		if s.Nullable {
			s.Type, s.Nullable, s.Items, s.Properties = "", false, nil, nil
		}
		if s.XPreserveUnknownFields {
			s.Items, s.Properties = nil, nil
		}
		if s.Items == nil && s.Type == "array" || s.XPreserveUnknownFields && s.Type == "object" {
			s.Type = ""
		}
		relax(s)
		return true
	}}
	visitor.Visit(s)
	return s
}

// relax no longer requires what may be null.
func relax(s *structural.Structural) {
	if s.ValueValidation == nil {
		return
	}
	if a := s.AdditionalProperties; a != nil && a.Structural != nil && a.Structural.Nullable {
		s.ValueValidation.Required = nil
		return
	}
	var required []string
	for _, name := range s.ValueValidation.Required {
		if !s.Properties[name].Nullable {
			required = append(required, name)
		}
	}
	s.ValueValidation.Required = required
}
