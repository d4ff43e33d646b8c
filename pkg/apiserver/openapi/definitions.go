// Package openapi describes what the server serves, as OpenAPI v3 (a document for each group version) and v2
// (one document). The schemas of the built-in types come from an embedded document that build/openapi makes
// from the types' sources; the paths come from what is served. Documents are made when first asked for.
package openapi

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

//go:embed definitions.json.gz
var embedded []byte

// object is a JSON object.
type object = map[string]any

const reference = "#/components/schemas/"

// definitions are the schemas of the types of a scheme, in OpenAPI v3's form.
type definitions struct {
	raw   map[string]json.RawMessage
	kinds map[string][]schema.GroupVersionKind // by definition
	of    *schema.GroupVersion                 // whose document is made; nil: the document of all
	own   map[string]object                    // of custom kinds
}

// read unpacks the embedded document. It is kept by the caller only while documents are made: unpacked it
// is over a megabyte.
func read(types *runtime.Scheme) (*definitions, error) {
	z, err := gzip.NewReader(bytes.NewReader(embedded))
	if err != nil {
		return nil, fmt.Errorf("unpacking the embedded schemas: %w", err)
	}
	d := &definitions{kinds: map[string][]schema.GroupVersionKind{}, own: map[string]object{}}
	if err := json.NewDecoder(z).Decode(&d.raw); err != nil {
		return nil, fmt.Errorf("unpacking the embedded schemas: %w", err)
	}
	for gvk, t := range types.AllKnownTypes() {
		if gvk.Version == runtime.APIVersionInternal {
			continue
		}
		if name, ok := nameOf(t); ok {
			d.kinds[name] = append(d.kinds[name], gvk)
		}
	}
	for _, list := range d.kinds {
		sort.Slice(list, func(i, j int) bool {
			a, b := list[i], list[j]
			if a.Group != b.Group {
				return a.Group < b.Group
			}
			return a.Version < b.Version
		})
	}
	return d, nil
}

// readOnce reads for several documents that are made one after another: what is unpacked for the first serves all.
func readOnce() func(*runtime.Scheme) (*definitions, error) {
	made := map[*runtime.Scheme]*definitions{}
	return func(types *runtime.Scheme) (*definitions, error) {
		d := made[types]
		if d == nil {
			var err error
			if d, err = read(types); err != nil {
				return nil, err
			}
			made[types] = d
		}
		return &definitions{raw: d.raw, kinds: d.kinds, own: map[string]object{}}, nil
	}
}

// nameOf is the name of a Go type's definition.
func nameOf(t reflect.Type) (string, bool) {
	m, ok := reflect.New(t).Interface().(interface{ OpenAPIModelName() string })
	if !ok {
		return "", false
	}
	return m.OpenAPIModelName(), true
}

// schema gives a definition with the kinds that it is the schema of; nil where there is none.
func (d *definitions) schema(name string) (object, error) {
	if own := d.own[name]; own != nil {
		return own, nil
	}
	raw, ok := d.raw[name]
	if !ok {
		return nil, nil
	}
	var out object
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("reading the schema %s: %w", name, err)
	}
	if list := d.kindsOf(name); len(list) > 0 && isKind(out) {
		out["x-kubernetes-group-version-kind"] = list
	}
	return out, nil
}

// kindsOf lists the kinds that a definition is the schema of. Types of the machinery are of every group;
// the document of one names only its own, and those of the core.
func (d *definitions) kindsOf(name string) []object {
	var list []object
	for _, k := range d.kinds[name] {
		gv := k.GroupVersion()
		if d.of != nil && strings.HasPrefix(name, metaPrefix) && gv != *d.of && gv.String() != "v1" {
			continue
		}
		list = append(list, kindObject(k))
	}
	return list
}

// isKind says whether objects of a schema name their kind: what only answers to options does not.
func isKind(s object) bool {
	properties, _ := s["properties"].(object)
	if _, ok := properties["kind"]; ok {
		return true
	}
	_, watch := properties["object"]
	return watch && len(properties) == 2
}

func kindObject(k schema.GroupVersionKind) object {
	return object{"group": k.Group, "version": k.Version, "kind": k.Kind}
}

// closure gives the definitions that a value refers to, and those that they refer to.
func (d *definitions) closure(of any) (object, error) {
	out := object{}
	wanted := references(of, nil)
	for len(wanted) > 0 {
		name := wanted[len(wanted)-1]
		wanted = wanted[:len(wanted)-1]
		if _, ok := out[name]; ok {
			continue
		}
		s, err := d.schema(name)
		if err != nil {
			return nil, err
		}
		if s == nil {
			return nil, fmt.Errorf("a schema refers to %s, which is not among the embedded ones; run build/openapi", name)
		}
		out[name] = s
		wanted = references(s, wanted)
	}
	return out, nil
}

func references(of any, found []string) []string {
	switch v := of.(type) {
	case object:
		for key, inner := range v {
			if name, ok := inner.(string); ok && key == "$ref" {
				found = append(found, strings.TrimPrefix(name, reference))
				continue
			}
			found = references(inner, found)
		}
	case []any:
		for _, inner := range v {
			found = references(inner, found)
		}
	case []object:
		for _, inner := range v {
			found = references(inner, found)
		}
	}
	return found
}
