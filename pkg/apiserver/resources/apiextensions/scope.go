package apiextensions

import (
	"errors"
	"fmt"
	"math"
	"sort"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apicel "k8s.io/apiserver/pkg/cel"

	"github.com/sampan-project/sampan/pkg/apiserver/crdschema"
)

// scope is what rules at one place of a schema need to know: the types there, and how often the place can occur
// in an object. A nil scope has no rules and no scopes inside.
type scope struct {
	of     *apiextensions.JSONSchemaProps
	parent *scope
	take   func(*typeInfo) *typeInfo // from the parent's types, where they are known
	times  *uint64                   // nil: without bound
	known  *typeInfo
	ruled  bool // here or above are rules: only then types are worth to be made
}

// typeInfo is a schema as CEL sees it.
type typeInfo struct {
	schema   *structural.Structural
	declared *apicel.DeclType
}

func rootScope(s *apiextensions.JSONSchemaProps) *scope {
	return &scope{of: s, times: new(uint64(1)), ruled: len(s.XValidations) > 0}
}

// info gives the types, from those of the parent where it has some: to make them from the schema is dear.
func (c *scope) info() (*typeInfo, error) {
	if c.known != nil {
		return c.known, nil
	}
	if c.parent != nil && c.parent.ruled {
		above, err := c.parent.info()
		if err != nil {
			return nil, err
		}
		if c.known = c.take(above); c.known != nil {
			return c.known, nil
		}
	}
	s, err := structural.NewStructural(c.of)
	if err != nil {
		return nil, err
	}
	declared := model.SchemaDeclType(s, c.parent == nil || c.of.XEmbeddedResource)
	if declared == nil {
		return nil, errors.New("unable to convert structural schema to CEL declarations")
	}
	c.known = &typeInfo{s, declared}
	return c.known, nil
}

func (c *scope) child(s *apiextensions.JSONSchemaProps, take func(*typeInfo) *typeInfo) *scope {
	if c == nil || s == nil {
		return nil
	}
	inner := &scope{of: s, parent: c, take: take, ruled: c.ruled || len(s.XValidations) > 0}
	if most := elements(c.of); c.times != nil && most != nil {
		inner.times = new(times(*c.times, *most))
	}
	return inner
}

func (c *scope) property(s *apiextensions.JSONSchemaProps, name string) *scope {
	return c.child(s, func(above *typeInfo) *typeInfo {
		property, is := above.schema.Properties[name]
		escaped, ok := apicel.Escape(name)
		if !is || !ok {
			return nil
		}
		f, ok := above.declared.Fields[escaped]
		if !ok {
			return nil
		}
		return &typeInfo{&property, f.Type}
	})
}

func (c *scope) items(s *apiextensions.JSONSchemaProps) *scope {
	return c.child(s, func(above *typeInfo) *typeInfo {
		if above.schema.Items == nil {
			return nil
		}
		return &typeInfo{above.schema.Items, above.declared.ElemType}
	})
}

func (c *scope) values(s *apiextensions.JSONSchemaProps) *scope {
	return c.child(s, func(above *typeInfo) *typeInfo {
		if above.schema.AdditionalProperties == nil {
			return nil
		}
		return &typeInfo{above.schema.AdditionalProperties.Structural, above.declared.ElemType}
	})
}

// price is what a rule may cost in one object.
func (c *scope) price(r *cel.CompilationResult) uint64 {
	if c.times != nil {
		return times(r.MaxCost, *c.times)
	}
	return times(r.MaxCost, r.MaxCardinality)
}

// elements is how many values a schema may hold at each place inside it; nil: without bound.
func elements(s *apiextensions.JSONSchemaProps) *uint64 {
	bound := new(int64(1))
	switch {
	case s.Type == "object" && s.AdditionalProperties != nil:
		bound = s.MaxProperties
	case s.Type == "array":
		bound = s.MaxItems
	}
	if bound == nil {
		return nil
	}
	return new(uint64(max(*bound, 0)))
}

// times multiplies, up to the largest figure there is.
func times(a, b uint64) uint64 {
	if a != 0 && math.MaxUint64/a < b {
		return math.MaxUint64
	}
	return a * b
}

// cost adds up what all rules of a schema may cost in one object.
type cost struct {
	sum    uint64
	dearer []expense
}

type expense struct {
	at    *field.Path
	price uint64
}

func (c *cost) add(at *field.Path, price uint64) {
	if c.sum > math.MaxUint64-price {
		c.sum = math.MaxUint64
	} else {
		c.sum += price
	}
	if price < crdschema.ForeseenTotal/100 {
		return
	}
	const named = 4
	c.dearer = append(c.dearer, expense{at, price})
	sort.SliceStable(c.dearer, func(i, j int) bool { return c.dearer[i].price > c.dearer[j].price })
	c.dearer = c.dearer[:min(len(c.dearer), named)]
}

// faults refuses a schema whose rules together are too dear, and names the dearest.
func (c *cost) faults(at *field.Path) (faults field.ErrorList) {
	if c.sum <= crdschema.ForeseenTotal {
		return nil
	}
	for _, e := range c.dearer {
		faults = append(faults, field.Forbidden(e.at, "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"))
	}
	return append(faults, field.Forbidden(at, tooDear("x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema", c.sum, crdschema.ForeseenTotal)))
}

func tooDear(what string, price, limit uint64) string {
	by := float64(price) / float64(limit)
	factor := fmt.Sprintf("%.1fx", by)
	switch {
	case by > 100:
		factor = "more than 100x" // the estimate says no more then
	case by < 1.5:
		factor = fmt.Sprintf("%fx", by)
	}
	return what + " exceeds budget by factor of " + factor +
		" (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
}
