package openapi

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// modelName is how the schema of a custom kind is called: com.example.v1.Widget.
func modelName(k schema.GroupVersionKind) string {
	parts := strings.Split(k.Group, ".")
	slices.Reverse(parts)
	return strings.Join(append(parts, k.Version, k.Kind), ".")
}

// isCustom says whether a group version is made of custom resources.
func isCustom(gv schema.GroupVersion, served []*endpoint.Served) bool {
	return slices.ContainsFunc(served, func(s *endpoint.Served) bool { return s.Kind.GroupVersion() == gv && s.Described != nil })
}

// custom describes a kind that brings a schema of its own.
func (d *describer) custom(a *about) error {
	listKind := a.s.NewList().GetObjectKind().GroupVersionKind()
	a.model, a.list = modelName(a.kind), modelName(listKind)
	a.produces, a.patches = objectTypes[:2], []string{patchTypes[0], patchTypes[1], patchTypes[3]}
	s, err := d.customSchema(a.s.Resource, a.kind, d.v2)
	if err != nil {
		return err
	}
	d.own[a.model] = s
	d.own[a.list] = d.customList(a, listKind)
	if names := a.s.FieldNames; len(names) > 0 {
		var fields []any
		for _, name := range names {
			fields = append(fields, object{"fieldPath": name})
		}
		s["x-kubernetes-selectable-fields"], d.own[a.list]["x-kubernetes-selectable-fields"] = fields, fields
	}
	return nil
}

// customSchema is a custom kind's schema with what all objects have.
func (d *definitions) customSchema(r *resource.Resource, kind schema.GroupVersionKind, v2 bool) (object, error) {
	s, err := r.Described(v2)
	if err != nil {
		return nil, err
	}
	if s == nil { // with properties clients would refuse all others
		s = object{"type": "object"}
	} else {
		if err := d.addHead(s, "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata", "ObjectMeta"); err != nil {
			return nil, err
		}
		d.embedded(s, v2)
	}
	s["x-kubernetes-group-version-kind"] = []object{kindObject(kind)}
	return s, nil
}

func (d *definitions) customList(a *about, kind schema.GroupVersionKind) object {
	list := object{"type": "object", "description": kind.Kind + " is a list of " + a.kind.Kind, "required": []any{"items"},
		"x-kubernetes-group-version-kind": []object{kindObject(kind)}}
	// The schemas of machinery are embedded: to read them again cannot fail.
	_ = d.addHead(list, "Standard list metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds", "ListMeta")
	properties(list)["items"] = object{"type": "array", "items": object{"$ref": reference + a.model},
		"description": "List of " + a.s.Plural + ". More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"}
	return list
}

func properties(s object) object {
	p, ok := s["properties"].(object)
	if !ok {
		p = object{}
		s["properties"] = p
	}
	return p
}

// addHead adds what every kind has: apiVersion, kind and metadata.
func (d *definitions) addHead(s object, description, metadata string) error {
	any_, err := d.schema(metaPrefix + "Status") // all kinds say the same of the first two
	if err != nil {
		return err
	}
	p := properties(s)
	for _, name := range []string{"apiVersion", "kind"} {
		p[name] = properties(any_)[name]
	}
	p["metadata"] = object{"description": description, "allOf": []any{object{"$ref": reference + metaPrefix + metadata}}}
	return nil
}

// embedded adds what every kind has to the schemas of whole objects inside.
func (d *definitions) embedded(s object, v2 bool) {
	if p, ok := s["properties"].(object); ok {
		for _, inner := range p {
			if o, ok := inner.(object); ok {
				d.embedded(o, v2)
			}
		}
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if o, ok := s[key].(object); ok {
			d.embedded(o, v2)
		}
	}
	open, _ := s["x-kubernetes-preserve-unknown-fields"].(bool)
	if whole, _ := s["x-kubernetes-embedded-resource"].(bool); !whole || open && v2 {
		return
	}
	const conventions = " More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#"
	p := properties(s)
	p["apiVersion"] = object{"type": "string", "description": "apiVersion defines the versioned schema of this representation of an object." + conventions + "resources"}
	p["kind"] = object{"type": "string", "description": "kind is a string value representing the type of this object. In CamelCase." + conventions + "types-kinds"}
	p["metadata"] = object{"description": "Standard object's metadata." + conventions + "metadata", "allOf": []any{object{"$ref": reference + metaPrefix + "ObjectMeta"}}}
	required, _ := s["required"].([]any)
	for _, name := range []string{"kind", "apiVersion"} {
		if !slices.Contains(required, any(name)) {
			required = append(required, name)
		}
	}
	s["required"] = required
}

// owned gives the schemas of custom kinds, and those that they refer to.
func (d *definitions) owned() (object, error) {
	all := object{}
	for name, s := range d.own {
		all[name] = s
	}
	inner, err := d.closure(all)
	if err != nil {
		return nil, err
	}
	maps.Copy(inner, all)
	return inner, nil
}
