package resource

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
)

// ofKind finds the store of a kind that is served, in any of its versions.
func (g *Registry) ofKind(kind schema.GroupVersionKind) *Store {
	g.mu.RLock()
	defer g.mu.RUnlock()
	for _, s := range g.stores {
		if s.Internal || s.Kind.Kind != kind.Kind {
			continue
		}
		custom := s.Kind.Group == kind.Group && s.Stored != nil && slices.Contains(s.Stored.KnownVersions, kind.Version)
		if s.Kind == kind || custom || s.view(kind) != nil {
			return s
		}
	}
	return nil
}

// ResourceOf finds the resource of a kind, which may be written in lower case, and whether it is in namespaces.
func (g *Registry) ResourceOf(kind schema.GroupVersionKind) (r schema.GroupResource, namespaced, found bool) {
	s := g.ofKind(kind)
	if s == nil {
		kind.Kind = g.inFull(kind)
		s = g.ofKind(kind)
	}
	if s == nil {
		return schema.GroupResource{}, false, false
	}
	return s.GroupResource(), !s.ClusterScoped, true
}

// inFull is the name of a kind of the group that is this one in lower case, "" where there is none.
func (g *Registry) inFull(kind schema.GroupVersionKind) string {
	g.mu.RLock()
	defer g.mu.RUnlock()
	for _, s := range g.stores {
		if s.Kind.Group == kind.Group && strings.ToLower(s.Kind.Kind) == kind.Kind {
			return s.Kind.Kind
		}
	}
	return ""
}

// In gives an object of a resource in the version of one of the resource's kinds.
func (g *Registry) In(kind schema.GroupVersionKind, o Object) (runtime.Object, error) {
	if s := g.ofKind(kind); s != nil && kind != s.Kind {
		for _, f := range s.forms {
			if f.Kind == kind {
				return f.To(o)
			}
		}
	}
	return o, nil
}

// TypesOf gives the schemas by which objects of a kind are merged; nil where the kind is not served. Bodies of
// subresources are merged as the built-in kinds are.
func (g *Registry) TypesOf(kind schema.GroupVersionKind) managedfields.TypeConverter {
	if s := g.ofKind(kind); s != nil {
		return s.managers.types
	}
	return nil
}
