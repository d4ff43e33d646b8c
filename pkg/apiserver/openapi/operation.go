package openapi

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// operation is one method of one path, in a form that both versions of OpenAPI are made from.
type operation struct {
	method, id, description string
	tag                     string
	action                  string
	kind                    *schema.GroupVersionKind
	parameters              []parameter
	body                    string // definition of the body, "" for none
	optionalBody            bool
	consumes                []string          // content types of what is sent
	answers                 map[string]string // status code -> definition, "" for a string
	produces                []string
}

type parameter struct {
	name, in, description, kind string
}

// Content types that answers come in.
var (
	objectTypes = []string{"application/json", "application/yaml", "application/vnd.kubernetes.protobuf"}
	watchTypes  = []string{"application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"}
)

var reasons = map[string]string{"200": "OK", "201": "Created", "202": "Accepted", "401": "Unauthorized"}

const metaPrefix = "io.k8s.apimachinery.pkg.apis.meta.v1."

var (
	namespaceParameter = parameter{"namespace", "path", "object name and auth scope, such as for teams and projects", "string"}
	prettyParameter    = parameter{"pretty", "query", "If 'true', then the output is pretty printed. Defaults to 'false' unless the user-agent indicates a browser or command-line HTTP tool (curl and wget).", "string"}
)

func nameParameter(kind string) parameter {
	return parameter{"name", "path", "name of the " + kind, "string"}
}

// optionParameters gives the fields of an options type as query parameters, without those left out.
func (d *definitions) optionParameters(definition string, without ...string) ([]parameter, error) {
	s, err := d.schema(definition)
	if err != nil || s == nil {
		return nil, err
	}
	properties, _ := s["properties"].(object)
	without = append(without, "kind", "apiVersion")
	var out []parameter
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		p, _ := properties[name].(object)
		if slices.Contains(without, name) || p == nil {
			continue
		}
		kind, _ := p["type"].(string)
		if items, ok := p["items"].(object); ok {
			kind, _ = items["type"].(string)
		}
		kind = cmp.Or(kind, "string")
		description, _ := p["description"].(string)
		out = append(out, parameter{name, "query", description, kind})
	}
	return out, nil
}

// shared takes the parameters that all operations of a path have out of them.
func shared(ops []*operation) []parameter {
	common := slices.Clone(ops[0].parameters)
	for _, o := range ops[1:] {
		common = slices.DeleteFunc(common, func(p parameter) bool { return !slices.Contains(o.parameters, p) })
	}
	for _, o := range ops {
		o.parameters = slices.DeleteFunc(slices.Clone(o.parameters), func(p parameter) bool { return slices.Contains(common, p) })
		sortParameters(o.parameters)
	}
	sortParameters(common)
	return common
}

func sortParameters(list []parameter) {
	slices.SortFunc(list, func(a, b parameter) int { return strings.Compare(a.name+" "+a.in, b.name+" "+b.in) })
}

// v3 gives the operation in OpenAPI v3's form.
func (o *operation) v3() object {
	out := object{"tags": []any{o.tag}, "description": o.description, "operationId": o.id}
	if len(o.parameters) > 0 {
		out["parameters"] = parametersV3(o.parameters)
	}
	if o.body != "" {
		content := object{}
		for _, t := range o.consumes {
			content[t] = object{"schema": object{"$ref": reference + o.body}}
		}
		body := object{"content": content}
		if !o.optionalBody {
			body["required"] = true
		}
		out["requestBody"] = body
	}
	answers := object{"401": object{"description": reasons["401"]}}
	for code, name := range o.answers {
		content := object{}
		for _, t := range o.produces {
			content[t] = object{"schema": answerSchema(name)}
		}
		answers[code] = object{"description": reasons[code], "content": content}
	}
	out["responses"] = answers
	o.extend(out)
	return out
}

func answerSchema(name string) object {
	if name == "" {
		return object{"type": "string"}
	}
	return object{"$ref": reference + name}
}

func (o *operation) extend(out object) {
	if o.action != "" {
		out["x-kubernetes-action"] = o.action
	}
	if o.kind != nil {
		out["x-kubernetes-group-version-kind"] = kindObject(*o.kind)
	}
}

func parametersV3(list []parameter) []any {
	out := make([]any, 0, len(list))
	for _, p := range list {
		v := object{"name": p.name, "in": p.in, "description": p.description, "schema": object{"type": p.kind, "uniqueItems": true}}
		if p.in == "path" {
			v["required"] = true
		}
		out = append(out, v)
	}
	return out
}

// v2 gives the operation in OpenAPI v2's form.
func (o *operation) v2() object {
	out := object{"tags": []any{o.tag}, "description": o.description, "operationId": o.id, "schemes": []any{"https"}, "produces": o.produces}
	if len(o.consumes) > 0 {
		out["consumes"] = o.consumes
	}
	parameters := parametersV2(o.parameters)
	if o.body != "" {
		body := object{"name": "body", "in": "body", "schema": object{"$ref": reference + o.body}}
		if !o.optionalBody {
			body["required"] = true
		}
		parameters = append([]any{body}, parameters...)
	}
	if len(parameters) > 0 {
		out["parameters"] = parameters
	}
	answers := object{"401": object{"description": reasons["401"]}}
	for code, name := range o.answers {
		answers[code] = object{"description": reasons[code], "schema": answerSchema(name)}
	}
	out["responses"] = answers
	o.extend(out)
	return out
}

func parametersV2(list []parameter) []any {
	out := make([]any, 0, len(list))
	for _, p := range list {
		v := object{"name": p.name, "in": p.in, "description": p.description, "type": p.kind, "uniqueItems": true}
		if p.in == "path" {
			v["required"] = true
		}
		out = append(out, v)
	}
	return out
}

// modelOf is the definition of a Go value.
func modelOf(v any) string {
	t := reflect.TypeOf(v)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name, _ := nameOf(t)
	return name
}
