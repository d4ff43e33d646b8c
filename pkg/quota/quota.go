// Package quota says what objects use of what a ResourceQuota limits. It is pure: the apiserver's admission
// charges writes by it, and the controller counts anew by it. It knows neither of them.
package quota

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
)

// Write is what a Counter is told of a write.
type Write struct {
	Create      bool // else an update
	Subresource string
	Object, Old runtime.Object // Old is nil for a creation
}

// Counter says how the objects of one resource are counted. It takes only objects of its resource.
type Counter struct {
	Resource schema.GroupResource
	// Charged says whether a write may change what its object uses.
	Charged func(w Write) bool
	// Counts says whether a name in a quota is one of those that Use answers.
	Counts func(name corev1.ResourceName) bool
	// Use is what one object uses.
	Use func(obj runtime.Object, now time.Time) corev1.ResourceList
	// InScope says whether a scope holds the object; nil: none does.
	InScope func(s corev1.ScopedResourceSelectorRequirement, obj runtime.Object) (bool, error)
	// Requires refuses an object that leaves open what a quota of these names must know; may be nil.
	Requires func(names []corev1.ResourceName, obj runtime.Object) error
}

// special are the resources of which more is counted than objects.
func special() []Counter { return []Counter{pods(), services(), claims(), deviceClaims()} }

// For gives a resource's counter.
func For(r schema.GroupResource) Counter {
	for _, c := range special() {
		if c.Resource == r {
			return c
		}
	}
	return objects(r)
}

// Counting gives the counters of what a list of limits names. known says whether the resource of a name
// "count/..." is served; the limits of one that is not are passed over.
func Counting(hard corev1.ResourceList, known func(schema.GroupResource) bool) []Counter {
	var out []Counter
	for _, c := range special() {
		if anyOf(hard, c.Counts) && known(c.Resource) {
			out = append(out, c)
		}
	}
	seen := map[schema.GroupResource]bool{}
	for name := range hard {
		r, is := counted(name)
		if !is || seen[r] || isSpecial(r) || !known(r) {
			continue
		}
		seen[r] = true
		out = append(out, objects(r))
	}
	return out
}

func isSpecial(r schema.GroupResource) bool {
	for _, c := range special() {
		if c.Resource == r {
			return true
		}
	}
	return false
}

func anyOf(list corev1.ResourceList, f func(corev1.ResourceName) bool) bool {
	for name := range list {
		if f(name) {
			return true
		}
	}
	return false
}

// Scopes are all scopes of a quota, in one form.
func Scopes(spec *corev1.ResourceQuotaSpec) []corev1.ScopedResourceSelectorRequirement {
	var out []corev1.ScopedResourceSelectorRequirement
	for _, name := range spec.Scopes {
		out = append(out, corev1.ScopedResourceSelectorRequirement{ScopeName: name, Operator: corev1.ScopeSelectorOpExists})
	}
	if spec.ScopeSelector != nil {
		out = append(out, spec.ScopeSelector.MatchExpressions...)
	}
	return out
}

// Holding are those of the scopes that hold an object.
func (c Counter) Holding(scopes []corev1.ScopedResourceSelectorRequirement, obj runtime.Object) (
	[]corev1.ScopedResourceSelectorRequirement, error) {
	if c.InScope == nil {
		return nil, nil
	}
	var out []corev1.ScopedResourceSelectorRequirement
	for _, s := range scopes {
		in, err := c.InScope(s, obj)
		if err != nil {
			return nil, fmt.Errorf("error on matching scope %v: %w", s, err)
		}
		if in {
			out = append(out, s)
		}
	}
	return out, nil
}

// Covers says whether every scope of a quota holds an object.
func (c Counter) Covers(spec *corev1.ResourceQuotaSpec, obj runtime.Object) (bool, error) {
	scopes := Scopes(spec)
	holding, err := c.Holding(scopes, obj)
	return len(holding) == len(scopes), err
}

// Names are those of a list that the counter counts.
func (c Counter) Names(list corev1.ResourceList) []corev1.ResourceName {
	var out []corev1.ResourceName
	for _, name := range Names(list) {
		if c.Counts(name) {
			out = append(out, name)
		}
	}
	return out
}

// Sum is what objects use together of what a quota limits and the counter counts. Names that no object uses
// are in it, as zero.
func (c Counter) Sum(spec *corev1.ResourceQuotaSpec, all []runtime.Object, now time.Time) (corev1.ResourceList, error) {
	names := c.Names(spec.Hard)
	sum := corev1.ResourceList{}
	for _, name := range names {
		sum[name] = decimal(0)
	}
	for _, obj := range all {
		in, err := c.Covers(spec, obj)
		if err != nil {
			return nil, err
		}
		if in {
			sum = Add(sum, Only(c.Use(obj, now), names))
		}
	}
	return sum, nil
}

const countPrefix = "count/"

// CountName is the name under which a quota limits the number of objects of a resource.
func CountName(r schema.GroupResource) corev1.ResourceName {
	return corev1.ResourceName(countPrefix + r.String())
}

// shortNames are older names of the number of objects of a few resources.
var shortNames = map[corev1.ResourceName]schema.GroupResource{
	corev1.ResourceConfigMaps:             {Resource: "configmaps"},
	corev1.ResourceQuotas:                 {Resource: "resourcequotas"},
	corev1.ResourceReplicationControllers: {Resource: "replicationcontrollers"},
	corev1.ResourceSecrets:                {Resource: "secrets"},
}

// counted is the resource whose objects a name counts.
func counted(name corev1.ResourceName) (schema.GroupResource, bool) {
	if r, short := shortNames[name]; short {
		return r, true
	}
	what, is := strings.CutPrefix(string(name), countPrefix)
	return schema.ParseGroupResource(what), is && what != ""
}

// objects counts objects and nothing else.
func objects(r schema.GroupResource) Counter {
	return Counter{
		Resource: r,
		Charged:  func(w Write) bool { return w.Create && w.Subresource == "" },
		Counts: func(name corev1.ResourceName) bool {
			of, is := counted(name)
			return is && of == r
		},
		Use: func(runtime.Object, time.Time) corev1.ResourceList {
			use := corev1.ResourceList{CountName(r): decimal(1)}
			for short, of := range shortNames {
				if of == r {
					use[short] = decimal(1)
				}
			}
			return use
		},
	}
}

// selects says whether a scope's operator and values hold the value that an object has for it; "" is none.
func selects(s corev1.ScopedResourceSelectorRequirement, value string) (bool, error) {
	operators := map[corev1.ScopeSelectorOperator]selection.Operator{
		corev1.ScopeSelectorOpIn: selection.In, corev1.ScopeSelectorOpNotIn: selection.NotIn,
		corev1.ScopeSelectorOpExists: selection.Exists, corev1.ScopeSelectorOpDoesNotExist: selection.DoesNotExist,
	}
	operator, known := operators[s.Operator]
	if !known {
		return false, fmt.Errorf("%q is not a valid scope selector operator", s.Operator)
	}
	requirement, err := labels.NewRequirement(string(s.ScopeName), operator, s.Values)
	if err != nil {
		return false, fmt.Errorf("failed to parse and convert selector: %w", err)
	}
	set := labels.Set{}
	if value != "" {
		set[string(s.ScopeName)] = value
	}
	return requirement.Matches(set), nil
}

var resourceClaims = schema.GroupResource{Group: resourcev1.GroupName, Resource: "resourceclaims"}
