package main

import (
	"fmt"
	"go/ast"
	"maps"
	"strings"
)

// resolve finds the named type that an expression is, nil where it is none or was not read.
func (s *sources) resolve(p *pkg, t *typeDecl, e ast.Expr) (*pkg, string) {
	switch e := e.(type) {
	case *ast.Ident:
		if p.types[e.Name] != nil {
			return p, e.Name
		}
	case *ast.SelectorExpr:
		x, ok := e.X.(*ast.Ident)
		if !ok {
			return nil, ""
		}
		if from := s.packages[t.imports[x.Name]]; from != nil && from.types[e.Sel.Name] != nil {
			return from, e.Sel.Name
		}
	}
	return nil, ""
}

// basics are Go's own types as OpenAPI has them.
var basics = map[string]schema{
	"string": {"type": "string"}, "bool": {"type": "boolean"},
	"int": {"type": "integer", "format": "int32"}, "int32": {"type": "integer", "format": "int32"},
	"int64": {"type": "integer", "format": "int64"}, "uint": {"type": "integer", "format": "int64"}, "uint32": {"type": "integer", "format": "int64"},
	"uint8": {"type": "integer", "format": "byte"}, "int8": {"type": "integer", "format": "byte"},
	"float64": {"type": "number", "format": "double"}, "float32": {"type": "number", "format": "float"},
}

func copied(s schema) schema {
	out := schema{}
	maps.Copy(out, s)
	return out
}

// typeSchema gives what a value of a type looks like in JSON.
func (s *sources) typeSchema(p *pkg, t *typeDecl, e ast.Expr) (schema, error) {
	switch e := e.(type) {
	case *ast.StarExpr:
		return s.typeSchema(p, t, e.X)
	case *ast.ArrayType:
		if i, ok := e.Elt.(*ast.Ident); ok && i.Name == "byte" {
			return schema{"type": "string", "format": "byte"}, nil
		}
		items, err := s.element(p, t, e.Elt)
		if err != nil {
			return nil, err
		}
		return schema{"type": "array", "items": items}, nil
	case *ast.MapType:
		values, err := s.element(p, t, e.Value)
		if err != nil {
			return nil, err
		}
		return schema{"type": "object", "additionalProperties": values}, nil
	case *ast.InterfaceType:
		return schema{"type": "object"}, nil
	case *ast.Ident:
		if b, ok := basics[e.Name]; ok {
			return copied(b), nil
		}
	}
	from, name := s.resolve(p, t, e)
	if from == nil {
		return nil, fmt.Errorf("the type %s is in a package that was not read", show(e))
	}
	_, isStruct := from.types[name].spec.Type.(*ast.StructType)
	_, ownForm := from.kinds[name]
	if isStruct || ownForm || oneOf[from.models[name]] != nil {
		return schema{"$ref": reference + from.models[name]}, nil
	}
	return s.typeSchema(from, from.types[name], from.types[name].spec.Type)
}

// element is what lists and maps hold.
func (s *sources) element(p *pkg, t *typeDecl, e ast.Expr) (schema, error) {
	out, err := s.typeSchema(p, t, e)
	if err != nil {
		return nil, err
	}
	if enum := s.enum(p, t, e); enum != nil {
		out["enum"] = enum.values
	}
	return withoutLoneRef(out), nil
}

// zero is the JSON of a type's zero value, nil for what is absent then.
func (s *sources) zero(p *pkg, t *typeDecl, e ast.Expr) any {
	switch e := e.(type) {
	case *ast.Ident:
		switch b := basics[e.Name]; b["type"] {
		case "string":
			return ""
		case "boolean":
			return false
		case "integer", "number":
			return 0
		}
	case *ast.StarExpr, *ast.ArrayType, *ast.MapType, *ast.InterfaceType:
		return nil
	}
	from, name := s.resolve(p, t, e)
	if from == nil {
		return nil
	}
	if _, ownForm := from.kinds[name]; ownForm || oneOf[from.models[name]] != nil {
		return nil
	}
	if _, isStruct := from.types[name].spec.Type.(*ast.StructType); isStruct {
		return map[string]any{}
	}
	return s.zero(from, from.types[name], from.types[name].spec.Type)
}

func (b *structSchema) noteUnion(f *ast.Field, name string, m map[string][]string) {
	if has(m, "unionDiscriminator") {
		b.discriminator = name
	}
	if !has(m, "union") && !has(markers(b.t.doc), "union") {
		return
	}
	if has(m, "unionDiscriminator") || len(f.Names) == 0 {
		return
	}
	if b.unions == nil {
		b.unions = map[string]string{}
	}
	b.unions[name] = f.Names[0].Name
}

func (b *structSchema) union() []map[string]any {
	u := map[string]any{"fields-to-discriminateBy": b.unions}
	if b.discriminator != "" {
		u["discriminator"] = b.discriminator
	}
	return []map[string]any{u}
}

func show(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return show(e.X) + "." + e.Sel.Name
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", e), "*ast.")
}
