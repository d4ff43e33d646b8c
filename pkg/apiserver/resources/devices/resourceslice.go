package devices

import (
	"context"
	"fmt"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// ResourceSlice declares lists of devices that a driver has. c tells when a device was tainted.
func ResourceSlice(c clock.PassiveClock) *resource.Resource {
	kind := resourcev1.SchemeGroupVersion.WithKind("ResourceSlice")
	doc := resourcev1.ResourceSliceSpec{}.SwaggerDoc()
	return resource.Define(resource.Definition[*resourcev1.ResourceSlice]{
		Kind:          kind,
		Plural:        "resourceslices",
		Singular:      "resourceslice",
		ClusterScoped: true,
		ReturnDeleted: true,
		Spec:          func(s *resourcev1.ResourceSlice) any { return s.Spec },
		Prepare: func(_ context.Context, s, old *resourcev1.ResourceSlice) {
			timeTaints(s, c)
			if old != nil && !equality.Semantic.DeepEqual(s.Spec, old.Spec) {
				s.Generation = old.Generation + 1 // also where nothing of the change is left
			}
			dropSwitchedOff(s, old)
		},
		Validate: validateSlice,
		Warn: func(_ context.Context, s, _ *resourcev1.ResourceSlice) []string {
			if s.Spec.Driver == strings.ToLower(s.Spec.Driver) {
				return nil
			}
			return []string{fmt.Sprintf("spec.driver: driver names should be lowercase; %q contains uppercase characters", s.Spec.Driver)}
		},
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Node", doc["nodeName"]),
			column.Text("Driver", doc["driver"]),
			column.Text("Pool", resourcev1.ResourcePool{}.SwaggerDoc()["name"]),
			column.Age(),
		},
		Row: func(s *resourcev1.ResourceSlice) []any {
			return []any{s.Name, nodeName(s), s.Spec.Driver, s.Spec.Pool.Name, column.Since(s.CreationTimestamp)}
		},
		FieldNames:   []string{resourcev1.ResourceSliceSelectorDriver, resourcev1.ResourceSliceSelectorNodeName},
		UnknownField: func(label string) string { return "field label not supported for " + kind.String() + ": " + label },
		Indexed:      []string{resourcev1.ResourceSliceSelectorNodeName},
		Fields: func(s *resourcev1.ResourceSlice) map[string]string {
			return map[string]string{resourcev1.ResourceSliceSelectorDriver: s.Spec.Driver, resourcev1.ResourceSliceSelectorNodeName: nodeName(s)}
		},
	})
}

func nodeName(s *resourcev1.ResourceSlice) string {
	return ptr.Deref(s.Spec.NodeName, "")
}

// timeTaints says of new taints that they are new.
func timeTaints(s *resourcev1.ResourceSlice, c clock.PassiveClock) {
	for i := range s.Spec.Devices {
		taints := s.Spec.Devices[i].Taints
		for j := range taints {
			if taints[j].TimeAdded == nil {
				now := metav1.NewTime(c.Now().UTC()).Rfc3339Copy()
				taints[j].TimeAdded = &now
			}
		}
	}
}

// dropSwitchedOff forgets what is not switched on, but where it stands: attributes that are lists, and what
// devices take of their node.
func dropSwitchedOff(s, old *resourcev1.ResourceSlice) {
	lists, mappings := false, false
	if old != nil {
		for i := range old.Spec.Devices {
			lists = lists || hasLists(&old.Spec.Devices[i])
			mappings = mappings || len(old.Spec.Devices[i].NodeAllocatableResourceMappings) > 0
		}
	}
	for i := range s.Spec.Devices {
		d := &s.Spec.Devices[i]
		if !mappings {
			d.NodeAllocatableResourceMappings = nil
		}
		for name, a := range d.Attributes {
			if !lists {
				a.IntValues, a.BoolValues, a.StringValues, a.VersionValues = nil, nil, nil, nil
				d.Attributes[name] = a
			}
		}
	}
}

func hasLists(d *resourcev1.Device) bool {
	for _, a := range d.Attributes {
		if a.IntValues != nil || a.BoolValues != nil || a.StringValues != nil || a.VersionValues != nil {
			return true
		}
	}
	return false
}

func validateSlice(_ context.Context, s, old *resourcev1.ResourceSlice) field.ErrorList {
	at, spec := field.NewPath("spec"), &s.Spec
	pool := at.Child("pool")
	faults := validation.CSIDriverName(at.Child("driver"), spec.Driver)
	faults = append(faults, validatePoolName(pool.Child("name"), spec.Pool.Name)...)
	if spec.Pool.ResourceSliceCount <= 0 {
		faults = append(faults, field.Invalid(pool.Child("resourceSliceCount"), spec.Pool.ResourceSliceCount, "must be greater than zero"))
	}
	if spec.Pool.Generation < 0 {
		faults = append(faults, field.Invalid(pool.Child("generation"), spec.Pool.Generation, "must be greater than or equal to zero"))
	}
	if old != nil {
		faults = append(faults, validation.Unchanged(pool.Child("name"), spec.Pool.Name, old.Spec.Pool.Name)...)
		faults = append(faults, validation.Unchanged(at.Child("driver"), spec.Driver, old.Spec.Driver)...)
		faults = append(faults, validation.Unchanged(at.Child("nodeName"), spec.NodeName, old.Spec.NodeName)...)
	}
	faults = append(faults, validateWhere(at, spec)...)
	if spec.SharedCounters != nil && spec.Devices != nil {
		faults = append(faults, field.Invalid(at, "", "only one of `sharedCounters` or `devices` is allowed"))
	}
	faults = append(faults, validateDevices(at.Child("devices"), spec, old)...)
	return append(faults, setOf(at.Child("sharedCounters"), spec.SharedCounters, resourcev1.ResourceSliceMaxCounterSets,
		func(c resourcev1.CounterSet) string { return c.Name },
		func(at *field.Path, c resourcev1.CounterSet) field.ErrorList {
			return validateCounters(at, "name", c.Name, c.Counters, resourcev1.ResourceSliceMaxCountersPerCounterSet)
		})...)
}

// validateWhere: a slice says in one way which nodes reach its devices.
func validateWhere(at *field.Path, spec *resourcev1.ResourceSliceSpec) field.ErrorList {
	const oneWay = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
	var faults field.ErrorList
	var ways []string
	if spec.NodeName != nil {
		if *spec.NodeName == "" {
			faults = append(faults, field.Invalid(at.Child("nodeName"), "", "must be either unset or set to a non-empty string"))
		} else {
			ways = append(ways, "`nodeName`")
			faults = append(faults, validation.DNSSubdomain(at.Child("nodeName"), *spec.NodeName)...)
		}
	}
	if spec.NodeSelector != nil {
		ways = append(ways, "`nodeSelector`")
		faults = append(faults, validation.NodeSelector(at.Child("nodeSelector"), spec.NodeSelector, false)...)
		if terms := spec.NodeSelector.NodeSelectorTerms; len(terms) != 1 {
			faults = append(faults, field.Invalid(at.Child("nodeSelector", "nodeSelectorTerms"), validation.GoNames(terms), "must have exactly one node selector term"))
		}
	}
	for _, flag := range []struct {
		name  string
		value *bool
	}{{"allNodes", spec.AllNodes}, {"perDeviceNodeSelection", spec.PerDeviceNodeSelection}} {
		switch {
		case flag.value == nil:
		case *flag.value:
			ways = append(ways, "`"+flag.name+"`")
		default:
			faults = append(faults, field.Invalid(at.Child(flag.name), false, "must be either unset or set to true"))
		}
	}
	switch len(ways) {
	case 0:
		return append(faults, field.Required(at, oneWay))
	case 1:
		return faults
	}
	return append(faults, field.Invalid(at, fmt.Sprintf("{%s}", strings.Join(ways, ", ")), oneWay+", but multiple fields are set"))
}

// validateCounters judges a set of counters, or what a device takes of one.
func validateCounters(at *field.Path, nameField, name string, counters map[string]resourcev1.Counter, limit int) field.ErrorList {
	var faults field.ErrorList
	faults = append(faults, validation.FilledWith(at.Child(nameField), name, validation.DNSLabel)...)
	if len(counters) == 0 {
		return append(faults, field.Required(at.Child("counters"), ""))
	}
	const shown = 63
	return append(faults, mapOf(at.Child("counters"), counters, limit, shown, validation.DNSLabel,
		func(*field.Path, resourcev1.Counter) field.ErrorList { return nil })...)
}
