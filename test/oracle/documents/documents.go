// Package documents compares OpenAPI documents in substance: the order of keys and of lists counts for nothing. It
// knows no server.
package documents

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ownWords is how the definitions begin whose descriptions are this project's own: their types are written anew.
const ownWords = "io.k8s.kube-aggregator."

// Document is an OpenAPI document of either version, in a form that can be compared.
type Document struct {
	whole any
}

// Read reads a document from JSON.
func Read(text []byte) (*Document, error) {
	var whole map[string]any
	if err := json.Unmarshal(text, &whole); err != nil {
		return nil, fmt.Errorf("reading an OpenAPI document: %w", err)
	}
	for name, d := range definitions(whole) {
		if strings.HasPrefix(name, ownWords) {
			withoutDescriptions(d)
		}
	}
	return &Document{ordered(whole)}, nil
}

func definitions(whole map[string]any) map[string]any {
	if d, ok := whole["definitions"].(map[string]any); ok {
		return d
	}
	components, _ := whole["components"].(map[string]any)
	d, _ := components["schemas"].(map[string]any)
	return d
}

func withoutDescriptions(v any) {
	o, ok := v.(map[string]any)
	if !ok {
		return
	}
	if _, text := o["description"].(string); text {
		delete(o, "description")
	}
	for _, inner := range o {
		withoutDescriptions(inner)
	}
}

// ordered sorts all lists by what stands in them.
func ordered(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = ordered(v[key])
		}
	case []any:
		for i := range v {
			v[i] = ordered(v[i])
		}
		slices.SortFunc(v, func(a, b any) int { return strings.Compare(text(a), text(b)) })
	}
	return v
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("documents: what was JSON is none: %v", err)) // it was decoded from JSON
	}
	return string(b)
}

// Digest is a line for each part of a document: how many members it has, and a hash of them.
func (d *Document) Digest() []string {
	whole, _ := d.whole.(map[string]any)
	parts := maps.Clone(whole)
	if components, ok := parts["components"].(map[string]any); ok {
		delete(parts, "components")
		for name, part := range components {
			parts["components/"+name] = part
		}
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		members := 1
		if o, ok := parts[name].(map[string]any); ok {
			members = len(o)
		}
		hash := sha256.Sum256([]byte(text(parts[name])))
		out = append(out, fmt.Sprintf("%s %d %s", name, members, hex.EncodeToString(hash[:8])))
	}
	return out
}

// Differences tells where d is not what want is, a line each.
func (d *Document) Differences(want *Document) []string { return differences("", d.whole, want.whole) }

func differences(at string, got, want any) []string {
	if g, ok := got.(map[string]any); ok {
		if w, ok := want.(map[string]any); ok {
			return memberDifferences(at, g, w)
		}
	}
	g, isList := got.([]any)
	w, bothLists := want.([]any)
	if isList && bothLists && len(g) == len(w) {
		var out []string
		for i := range g {
			out = append(out, differences(fmt.Sprintf("%s[%d]", at, i), g[i], w[i])...)
		}
		return out
	}
	if g, w := text(got), text(want); g != w {
		return []string{fmt.Sprintf("%s: got %s, want %s", at, g, w)}
	}
	return nil
}

func memberDifferences(at string, got, want map[string]any) (out []string) {
	all := maps.Clone(got)
	maps.Copy(all, want)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		at := at + "|" + key
		g, there := got[key]
		w, wanted := want[key]
		switch {
		case !there:
			out = append(out, at+": missing")
		case !wanted:
			out = append(out, at+": not wanted")
		default:
			out = append(out, differences(at, g, w)...)
		}
	}
	return out
}
