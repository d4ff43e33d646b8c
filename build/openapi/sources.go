package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// sources are the packages that were read, by import path.
type sources struct {
	fset     *token.FileSet
	packages map[string]*pkg
}

// pkg is one package: what its types look like, and what their comments say.
type pkg struct {
	path   string
	types  map[string]*typeDecl
	enums  map[string][]enumValue // by type
	models map[string]string      // type -> name of its definition, where the package states one
	kinds  map[string]jsonForm    // types with a JSON form of their own
	consts map[string]string
}

type typeDecl struct {
	spec    *ast.TypeSpec
	doc     []string
	imports map[string]string // alias -> path, of the file
}

type enumValue struct{ value, doc string }

// jsonForm is what a type's OpenAPISchemaType and OpenAPISchemaFormat answer.
type jsonForm struct{ kind, format string }

func newSources() *sources {
	return &sources{fset: token.NewFileSet(), packages: map[string]*pkg{}}
}

func (s *sources) read(importPath, dir string) error {
	keep := func(i fs.FileInfo) bool { return !strings.HasSuffix(i.Name(), "_test.go") }
	//lint:ignore SA1019 go/packages would need a build of everything only to read comments
	parsed, err := parser.ParseDir(s.fset, dir, keep, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("reading the sources of %s: %w", importPath, err)
	}
	p := &pkg{path: importPath, types: map[string]*typeDecl{}, enums: map[string][]enumValue{}, models: map[string]string{},
		kinds: map[string]jsonForm{}, consts: map[string]string{}}
	for _, found := range parsed {
		for _, f := range found.Files {
			p.file(f, s.packages)
		}
	}
	s.packages[importPath] = p
	return nil
}

func (p *pkg) file(f *ast.File, all map[string]*pkg) {
	imports := map[string]string{}
	for _, i := range f.Imports {
		to, _ := strconv.Unquote(i.Path.Value)
		name := path.Base(to)
		if i.Name != nil {
			name = i.Name.Name
		}
		imports[name] = to
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.GenDecl:
			p.general(d, imports, all)
		case *ast.FuncDecl:
			p.method(d)
		}
	}
}

func (p *pkg) general(d *ast.GenDecl, imports map[string]string, all map[string]*pkg) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			doc := spec.Doc
			if doc == nil {
				doc = d.Doc
			}
			p.types[spec.Name.Name] = &typeDecl{spec: spec, doc: lines(doc), imports: imports}
		case *ast.ValueSpec:
			p.constant(d, spec, imports, all)
		}
	}
}

// constant notes a string constant. all are the packages read before: a constant may be another's.
func (p *pkg) constant(d *ast.GenDecl, spec *ast.ValueSpec, imports map[string]string, all map[string]*pkg) {
	if d.Tok != token.CONST || len(spec.Values) != len(spec.Names) {
		return
	}
	for i, name := range spec.Names {
		given := spec.Values[i]
		kind, _ := spec.Type.(*ast.Ident)
		if c, ok := given.(*ast.CallExpr); ok && len(c.Args) == 1 { // a conversion: T("x"), T(other.X)
			kind, _ = c.Fun.(*ast.Ident)
			given = c.Args[0]
		}
		value, ok := literal(given)
		if sel, named := given.(*ast.SelectorExpr); named {
			if x, named := sel.X.(*ast.Ident); named && all[imports[x.Name]] != nil {
				value, ok = all[imports[x.Name]].consts[sel.Sel.Name]
			}
		}
		if !ok {
			continue
		}
		p.consts[name.Name] = value
		if kind == nil {
			continue
		}
		doc := spec.Doc
		if doc == nil && !d.Lparen.IsValid() {
			doc = d.Doc
		}
		said := strings.TrimSpace(strings.TrimPrefix(description(lines(doc)), name.Name))
		p.enums[kind.Name] = append(p.enums[kind.Name], enumValue{value, said})
	}
}

// method notes what three methods, each of one return of literals, say of a type.
func (p *pkg) method(d *ast.FuncDecl) {
	if d.Recv == nil || len(d.Recv.List) != 1 || d.Body == nil || len(d.Body.List) != 1 {
		return
	}
	recv := d.Recv.List[0].Type
	if star, ok := recv.(*ast.StarExpr); ok {
		recv = star.X
	}
	ident, ok := recv.(*ast.Ident)
	if !ok {
		return
	}
	ret, ok := d.Body.List[0].(*ast.ReturnStmt)
	if !ok || len(ret.Results) != 1 {
		return
	}
	form := p.kinds[ident.Name]
	switch d.Name.Name {
	case "OpenAPIModelName":
		p.models[ident.Name] = text(ret.Results[0])
		return
	case "OpenAPISchemaType":
		if l, ok := ret.Results[0].(*ast.CompositeLit); ok && len(l.Elts) == 1 {
			form.kind = text(l.Elts[0])
		}
	case "OpenAPISchemaFormat":
		form.format = text(ret.Results[0])
	default:
		return
	}
	p.kinds[ident.Name] = form
}

func literal(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}

func text(e ast.Expr) string {
	s, _ := literal(e)
	return s
}

// lines gives the text of a comment, a line each, without the space after the slashes. Of several blank lines one
// is left.
func lines(g *ast.CommentGroup) []string {
	text := strings.TrimRight(g.Text(), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
