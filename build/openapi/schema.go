package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// schema is an OpenAPI v3 schema.
type schema map[string]any

const reference = "#/components/schemas/"

// definitions describes every type that is a struct or has a JSON form of its own.
func (s *sources) definitions() (map[string]schema, error) {
	out := map[string]schema{}
	for _, p := range s.packages {
		for name, t := range p.types {
			model := p.models[name]
			if model == "" || !ast.IsExported(name) {
				continue
			}
			d, err := s.definition(p, name, t)
			if err != nil {
				return nil, fmt.Errorf("%s.%s: %w", p.path, name, err)
			}
			if d != nil {
				out[model] = d
			}
		}
	}
	return out, nil
}

func (s *sources) definition(p *pkg, name string, t *typeDecl) (schema, error) {
	d := schema{}
	if text := description(t.doc); text != "" {
		d["description"] = text
	}
	if either := oneOf[p.models[name]]; either != nil {
		d["oneOf"] = either
		if form := p.kinds[name]; form.format != "" {
			d["format"] = form.format
		}
		return d, nil
	}
	if form, ok := p.kinds[name]; ok {
		if form.kind != "" { // else JSON of any shape
			d["type"] = form.kind
		}
		if form.format != "" {
			d["format"] = form.format
		}
		return d, nil
	}
	fields, ok := t.spec.Type.(*ast.StructType)
	if !ok {
		return nil, nil
	}
	d["type"] = "object"
	m := markers(t.doc)
	if v := first(m, "structType"); v != "" {
		d["x-kubernetes-map-type"] = v
	}
	b := &structSchema{s: s, p: p, t: t, properties: map[string]schema{}}
	if err := b.fields(fields); err != nil {
		return nil, err
	}
	if len(b.properties) > 0 {
		d["properties"] = b.properties
	}
	if len(b.required) > 0 {
		d["required"] = b.required
	}
	if has(m, "union") || len(b.unions) > 0 {
		d["x-kubernetes-unions"] = b.union()
	}
	return d, nil
}

// oneOf are the types whose JSON is one of several; the source says so in code.
var oneOf = map[string][]schema{
	"io.k8s.apimachinery.pkg.api.resource.Quantity":   {{"type": "string"}, {"type": "number"}},
	"io.k8s.apimachinery.pkg.util.intstr.IntOrString": {{"type": "integer"}, {"type": "string"}},
}

// structSchema gathers the properties of a struct and of those that are inlined in it.
type structSchema struct {
	s             *sources
	p             *pkg
	t             *typeDecl
	properties    map[string]schema
	required      []string
	unions        map[string]string
	discriminator string
}

func (b *structSchema) fields(st *ast.StructType) error {
	for _, f := range st.Fields.List {
		if err := b.field(f); err != nil {
			return err
		}
	}
	return nil
}

func (b *structSchema) field(f *ast.Field) error {
	tag := reflect.StructTag("")
	if f.Tag != nil {
		raw, _ := strconv.Unquote(f.Tag.Value)
		tag = reflect.StructTag(raw)
	}
	name, options, _ := strings.Cut(tag.Get("json"), ",")
	inline := strings.Contains(options, "inline") || len(f.Names) == 0 && name == ""
	switch {
	case name == "-":
		return nil
	case inline:
		return b.inline(f)
	case name == "" || len(f.Names) > 0 && !ast.IsExported(f.Names[0].Name):
		return nil
	}
	doc := lines(f.Doc)
	m := markers(doc)
	property, err := b.s.typeSchema(b.p, b.t, f.Type)
	if err != nil {
		return fmt.Errorf("field %s: %w", name, err)
	}
	omitted := strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
	optional := (has(m, "optional") || omitted) && !has(m, "required")
	if err := b.setDefault(property, f.Type, m, omitted); err != nil {
		return fmt.Errorf("field %s: %w", name, err)
	}
	if enum := b.enumOf(f.Type); enum != nil {
		property["enum"] = enum.values
		doc = slices.Concat(doc, []string{""}, enum.rows)
	}
	if text := description(doc); text != "" {
		property["description"] = text
	}
	extensions(property, m, tag)
	b.properties[name] = withoutLoneRef(property)
	if !optional {
		b.required = append(b.required, name)
	}
	b.noteUnion(f, name, m)
	return nil
}

func (b *structSchema) inline(f *ast.Field) error {
	p, name := b.s.resolve(b.p, b.t, f.Type)
	if p == nil {
		return fmt.Errorf("an inlined type that was not read")
	}
	t := p.types[name]
	st, ok := t.spec.Type.(*ast.StructType)
	if !ok {
		return nil
	}
	inner := &structSchema{s: b.s, p: p, t: t, properties: b.properties}
	if err := inner.fields(st); err != nil {
		return err
	}
	b.required = append(b.required, inner.required...)
	return nil
}

// extensions carries over how lists, maps and structs merge.
func extensions(property schema, m map[string][]string, tag reflect.StructTag) {
	set := func(key, value string) {
		if value != "" {
			property[key] = value
		}
	}
	set("x-kubernetes-list-type", first(m, "listType"))
	set("x-kubernetes-map-type", first(m, "mapType"))
	set("x-kubernetes-map-type", first(m, "structType"))
	set("x-kubernetes-patch-merge-key", either(tag.Get("patchMergeKey"), first(m, "patchMergeKey")))
	set("x-kubernetes-patch-strategy", either(tag.Get("patchStrategy"), first(m, "patchStrategy")))
	if keys := m["listMapKey"]; len(keys) > 0 {
		property["x-kubernetes-list-map-keys"] = keys
	}
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// withoutLoneRef keeps a reference that stands alone as it is, and wraps one that has siblings: beside a
// $ref nothing else counts.
func withoutLoneRef(p schema) schema {
	ref, ok := p["$ref"]
	if !ok || len(p) == 1 {
		return p
	}
	delete(p, "$ref")
	p["allOf"] = []schema{{"$ref": ref}}
	return p
}

// raw holds JSON that is nothing when it is left out.
const raw = "io.k8s.apimachinery.pkg.runtime.RawExtension"

// setDefault states what a field is when it is left out: what its marker says, or the zero of a value
// that is not omitted.
func (b *structSchema) setDefault(property schema, t ast.Expr, m map[string][]string, omitted bool) error {
	if v := first(m, "default"); has(m, "default") {
		value, err := b.s.constant(b.p, b.t, v)
		if err != nil {
			return err
		}
		property["default"] = value
		return nil
	}
	if property["$ref"] == reference+raw {
		return nil
	}
	if zero := b.s.zero(b.p, b.t, t); zero != nil && (!omitted || isStructZero(zero)) {
		property["default"] = zero
	}
	return nil
}

func isStructZero(v any) bool { _, ok := v.(map[string]any); return ok }

// constant reads a default: JSON, or ref(path.Name) of a constant.
func (s *sources) constant(p *pkg, t *typeDecl, v string) (any, error) {
	if inner, ok := strings.CutPrefix(v, "ref("); ok {
		name := strings.TrimSuffix(inner, ")")
		from := p
		if i := strings.LastIndex(name, "."); i >= 0 {
			from, name = s.packages[name[:i]], name[i+1:]
		}
		if from == nil {
			return nil, fmt.Errorf("the default %s is in a package that was not read", v)
		}
		return from.consts[name], nil
	}
	var out any
	if err := json.Unmarshal([]byte(v), &out); err != nil {
		return nil, fmt.Errorf("the default %s is no JSON: %w", v, err)
	}
	return out, nil
}

type enumeration struct {
	values []string
	rows   []string // of the description: what each value means
}

// enumOf gives the values of a field whose type, or the type that it points to, is marked +enum.
func (b *structSchema) enumOf(t ast.Expr) *enumeration {
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	return b.s.enum(b.p, b.t, t)
}

func (s *sources) enum(p *pkg, t *typeDecl, e ast.Expr) *enumeration {
	from, name := s.resolve(p, t, e)
	if from == nil || from.types[name] == nil || !has(markers(from.types[name].doc), "enum") {
		return nil
	}
	values := slices.Clone(from.enums[name])
	sort.Slice(values, func(i, j int) bool { return values[i].value < values[j].value })
	out := &enumeration{rows: []string{"Possible enum values:"}}
	for _, v := range values {
		if slices.Contains(out.values, v.value) {
			continue
		}
		out.values = append(out.values, v.value)
		out.rows = append(out.rows, strings.TrimRight(fmt.Sprintf(" - `%q` %s", v.value, strings.Join(strings.Fields(v.doc), " ")), " "))
	}
	return out
}
