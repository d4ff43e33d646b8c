package openapi

import (
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
)

// version is that of the API, in the documents' heads.
const version = "1.36"

// operations gives the paths of one group version.
func (d *definitions) operations(gv schema.GroupVersion, served []*endpoint.Served, v2 bool) (map[string][]*operation, error) {
	e := &describer{definitions: d, gv: gv, v2: v2, paths: map[string][]*operation{}}
	if !isCustom(gv, served) {
		e.resources()
	}
	for _, s := range served {
		if s.Kind.GroupVersion() != gv {
			continue
		}
		if err := e.resource(s); err != nil {
			return nil, err
		}
	}
	return e.paths, nil
}

func (d *definitions) documentV3(gv schema.GroupVersion, served []*endpoint.Served) (object, error) {
	custom := isCustom(gv, served)
	if !custom {
		d.of = &gv
	}
	described, err := d.operations(gv, served, false)
	if err != nil {
		return nil, err
	}
	doc, err := d.wholeV3(described)
	if err == nil && custom {
		doc["info"] = object{"title": "Kubernetes CRD Swagger", "version": "v0.1.0"}
		delete(doc["components"].(object), "securitySchemes")
	}
	return doc, err
}

// rootV3 is the document of a path that belongs to no group version.
func (d *definitions) rootV3(path string, o *operation) (object, error) {
	d.of = &schema.GroupVersion{Version: "v1"}
	return d.wholeV3(map[string][]*operation{path: {o}})
}

func (d *definitions) wholeV3(described map[string][]*operation) (object, error) {
	paths := object{}
	for path, ops := range described {
		item := object{}
		if common := shared(ops); len(common) > 0 {
			item["parameters"] = parametersV3(common)
		}
		for _, o := range ops {
			item[o.method] = o.v3()
		}
		paths[path] = item
	}
	schemas, err := d.closure(paths)
	if err != nil {
		return nil, err
	}
	return object{
		"openapi": "3.0.0",
		"info":    object{"title": "Kubernetes", "version": version},
		"paths":   paths,
		"components": object{"schemas": schemas, "securitySchemes": object{
			"BearerToken": object{"type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header"}}},
	}, nil
}

func (d *definitions) documentV2(versions []schema.GroupVersion, served []*endpoint.Served) (object, error) {
	paths := object{}
	add := func(path string, ops []*operation) {
		item := object{}
		if common := shared(ops); len(common) > 0 {
			item["parameters"] = parametersV2(common)
		}
		for _, o := range ops {
			item[o.method] = o.v2()
		}
		paths[path] = item
	}
	for path, o := range roots(served) {
		add(path, []*operation{o})
	}
	for _, gv := range versions {
		described, err := d.operations(gv, served, true)
		if err != nil {
			return nil, err
		}
		for path, ops := range described {
			add(path, ops)
		}
	}
	schemas, err := d.closure(paths)
	if err != nil {
		return nil, err
	}
	older, _ := olderForm(object{"paths": paths, "definitions": schemas}).(object)
	paths, _ = older["paths"].(object)
	if older["parameters"], err = shareParameters(paths); err != nil {
		return nil, err
	}
	older["swagger"] = "2.0"
	older["info"] = object{"title": "Kubernetes", "version": version}
	older["securityDefinitions"] = object{"BearerToken": object{"description": "Bearer Token authentication", "type": "apiKey", "name": "authorization", "in": "header"}}
	older["security"] = []any{object{"BearerToken": []any{}}}
	return older, nil
}

// olderForm turns schemas of v3 into those of v2: no defaults, a reference instead of a list of one, and
// the two types that are either of two are strings.
func olderForm(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = olderForm(v[i])
		}
		return out
	case object:
		out := object{}
		for key, inner := range v {
			switch key {
			case "$ref":
				if s, is := inner.(string); is { // else a property that has this name
					out[key] = strings.Replace(s, reference, "#/definitions/", 1)
					continue
				}
			case "default":
				if _, property := inner.(object); !property || len(inner.(object)) == 0 {
					continue
				}
			case "allOf":
				if list, ok := inner.([]any); ok && len(list) == 1 {
					one, _ := olderForm(list[0]).(object)
					maps.Copy(out, one)
					continue
				}
			case "oneOf":
				if _, list := inner.([]any); list { // else a property of that name
					out["type"] = "string"
					continue
				}
			}
			out[key] = olderForm(inner)
		}
		return out
	}
	return v
}
