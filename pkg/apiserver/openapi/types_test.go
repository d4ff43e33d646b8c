package openapi

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	k8sschema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	"sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resources"
)

// What clients apply by stands in client-go's sources; ours comes from the same types' sources by another way.
func TestTypesAreThoseThatClientsApplyBy(t *testing.T) {
	clients := applyconfigurations.NewTypeConverter(scheme.Scheme)
	registry := resource.NewRegistry(nil, nil, clock.RealClock{})
	source, compared := NewBuiltInTypes(scheme.Scheme), 0
	for _, r := range resources.All(resources.Deps{Access: registry, Clock: clock.RealClock{}}) {
		types := source.Of(r)
		kinds := map[k8sschema.GroupVersionKind]runtime.Object{r.Kind: r.New()}
		for _, v := range r.Views {
			kinds[v.Kind] = v.New()
		}
		for kind, o := range kinds {
			theirs, err := typedOf(clients, kind, o)
			if err != nil {
				continue // client-go applies no objects of this kind
			}
			ours, err := typedOf(types, kind, o)
			if err != nil {
				t.Errorf("%s: %v", kind, err)
				continue
			}
			c := comparison{ours.Schema(), theirs.Schema(), map[string]bool{}, nil}
			c.refs(kind.String(), ours.TypeRef(), theirs.TypeRef())
			for _, d := range c.found {
				t.Error(d)
			}
			compared++
		}
	}
	if compared < 50 {
		t.Errorf("only %d kinds were compared", compared)
	}
}

func typedOf(types managedfields.TypeConverter, kind k8sschema.GroupVersionKind, o runtime.Object) (*typed.TypedValue, error) {
	o.GetObjectKind().SetGroupVersionKind(kind)
	return types.ObjectToTyped(o)
}

// comparison finds what two schemas say otherwise.
type comparison struct {
	ours, theirs *schema.Schema
	seen         map[string]bool
	found        []string
}

func (c *comparison) refs(at string, ours, theirs schema.TypeRef) {
	if ours.NamedType != nil && theirs.NamedType != nil {
		pair := *ours.NamedType + " " + *theirs.NamedType
		if c.seen[pair] {
			return
		}
		c.seen[pair] = true
	}
	a, okA := c.ours.Resolve(ours)
	b, okB := c.theirs.Resolve(theirs)
	if !okA || !okB {
		c.differ(at, okA, okB)
		return
	}
	if (a.Scalar == nil) != (b.Scalar == nil) || (a.List == nil) != (b.List == nil) || (a.Map == nil) != (b.Map == nil) {
		c.differ(at, a, b)
		return
	}
	if a.Scalar != nil && *a.Scalar != *b.Scalar {
		c.differ(at, *a.Scalar, *b.Scalar)
	}
	if a.List != nil {
		if a.List.ElementRelationship != b.List.ElementRelationship || !slices.Equal(a.List.Keys, b.List.Keys) {
			c.differ(at, a.List, b.List)
		}
		c.refs(at+"[]", a.List.ElementType, b.List.ElementType)
	}
	if a.Map != nil {
		c.maps(at, a.Map, b.Map)
	}
}

func (c *comparison) maps(at string, ours, theirs *schema.Map) {
	if ours.ElementRelationship != theirs.ElementRelationship {
		c.differ(at, ours.ElementRelationship, theirs.ElementRelationship)
	}
	if len(ours.Fields) == 0 && len(theirs.Fields) == 0 {
		c.refs(at+"{}", ours.ElementType, theirs.ElementType)
	}
	for _, f := range ours.Fields {
		other, ok := theirs.FindField(f.Name)
		if !ok {
			c.differ(at+"."+f.Name, "is there", "is not")
			continue
		}
		if fmt.Sprint(f.Default) != fmt.Sprint(other.Default) {
			c.differ(at+"."+f.Name+" default", f.Default, other.Default)
		}
		c.refs(at+"."+f.Name, f.Type, other.Type)
	}
	for _, f := range theirs.Fields {
		if _, ok := ours.FindField(f.Name); !ok {
			c.differ(at+"."+f.Name, "is not", "is there")
		}
	}
}

func (c *comparison) differ(at string, ours, theirs any) {
	c.found = append(c.found, fmt.Sprintf("%s: ours %+v, theirs %+v", at, ours, theirs))
}
