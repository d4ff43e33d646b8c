package devices

import (
	"cmp"
	"fmt"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

const (
	oneWayToAsk   = "exactly one of `exactly` or `firstAvailable` is required"
	notARequest   = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
	oneConstraint = `exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set`
)

// defaultClaimSpec asks for one device where nothing else is said.
func defaultClaimSpec(s *resourcev1.ResourceClaimSpec) {
	for i := range s.Devices.Requests {
		r := &s.Devices.Requests[i]
		if r.Exactly != nil {
			defaultAmount(&r.Exactly.AllocationMode, &r.Exactly.Count)
			defaultTolerations(r.Exactly.Tolerations)
		}
		for j := range r.FirstAvailable {
			defaultAmount(&r.FirstAvailable[j].AllocationMode, &r.FirstAvailable[j].Count)
			defaultTolerations(r.FirstAvailable[j].Tolerations)
		}
	}
}

func defaultAmount(mode *resourcev1.DeviceAllocationMode, count *int64) {
	if *mode == "" {
		*mode = resourcev1.DeviceAllocationModeExactCount
	}
	if *mode == resourcev1.DeviceAllocationModeExactCount && *count == 0 {
		*count = 1
	}
}

func defaultTolerations(list []resourcev1.DeviceToleration) {
	for i := range list {
		list[i].Operator = cmp.Or(list[i].Operator, resourcev1.DeviceTolerationOpEqual)
	}
}

// requests are the names that a claim's parts refer to: its requests, and of each the alternatives.
type requests map[string]sets.Set[string]

func requestsOf(c *resourcev1.DeviceClaim) requests {
	out := requests{}
	for _, r := range c.Requests {
		alternatives := sets.New[string]()
		for _, a := range r.FirstAvailable {
			alternatives.Insert(a.Name)
		}
		out[r.Name] = alternatives
	}
	return out
}

// validateReference judges the name of a request, or of one of its alternatives.
func (r requests) validateReference(at *field.Path, name string) field.ErrorList {
	parts := strings.Split(name, "/")
	if len(parts) > 2 {
		return field.ErrorList{field.Invalid(at, name, notARequest)}
	}
	var faults field.ErrorList
	for _, part := range parts {
		faults = append(faults, validation.DNSLabel(at, part)...)
	}
	alternatives, known := r[parts[0]]
	if !known || len(parts) == 2 && !alternatives.Has(parts[1]) {
		faults = append(faults, field.Invalid(at, name, notARequest))
	}
	return faults
}

func (r requests) validateReferences(at *field.Path, names []string) field.ErrorList {
	return setOf(at, names, resourcev1.DeviceRequestsMaxSize, itself, r.validateReference)
}

func validateClaimSpec(at *field.Path, s *resourcev1.ResourceClaimSpec) field.ErrorList {
	at = at.Child("devices")
	known := requestsOf(&s.Devices)
	faults := setOf(at.Child("requests"), s.Devices.Requests, resourcev1.DeviceRequestsMaxSize,
		func(r resourcev1.DeviceRequest) string { return r.Name }, validateRequest)
	faults = append(faults, eachOf(at.Child("constraints"), s.Devices.Constraints, resourcev1.DeviceConstraintsMaxSize,
		func(at *field.Path, c resourcev1.DeviceConstraint) field.ErrorList {
			return append(known.validateReferences(at.Child("requests"), c.Requests), validateConstraint(at, c)...)
		})...)
	return append(faults, eachOf(at.Child("config"), s.Devices.Config, resourcev1.DeviceConfigMaxSize,
		func(at *field.Path, c resourcev1.DeviceClaimConfiguration) field.ErrorList {
			return append(known.validateReferences(at.Child("requests"), c.Requests), validateConfiguration(at, c.DeviceConfiguration, false)...)
		})...)
}

func validateConstraint(at *field.Path, c resourcev1.DeviceConstraint) field.ErrorList {
	switch {
	case c.MatchAttribute != nil:
		return validateFullName(at.Child("matchAttribute"), *c.MatchAttribute)
	case c.DistinctAttribute != nil:
		return validateFullName(at.Child("distinctAttribute"), *c.DistinctAttribute)
	}
	return field.ErrorList{field.Required(at, oneConstraint)}
}

func validateRequest(at *field.Path, r resourcev1.DeviceRequest) field.ErrorList {
	faults := validation.DNSLabel(at.Child("name"), r.Name)
	switch exact, alternatives := r.Exactly != nil, len(r.FirstAvailable) > 0; {
	case exact && alternatives:
		faults = append(faults, field.Invalid(at, nil, oneWayToAsk+", but multiple fields are set"))
	case exact:
		e := r.Exactly
		at := at.Child("exactly")
		faults = append(faults, validateAsked(at, e.DeviceClassName, e.Selectors, e.AllocationMode, e.Count, e.Tolerations)...)
	case alternatives:
		faults = append(faults, setOf(at.Child("firstAvailable"), r.FirstAvailable, resourcev1.FirstAvailableDeviceRequestMaxSize,
			func(a resourcev1.DeviceSubRequest) string { return a.Name },
			func(at *field.Path, a resourcev1.DeviceSubRequest) field.ErrorList {
				faults := validation.DNSLabel(at.Child("name"), a.Name)
				return append(faults, validateAsked(at, a.DeviceClassName, a.Selectors, a.AllocationMode, a.Count, a.Tolerations)...)
			})...)
	default:
		faults = append(faults, field.Required(at, oneWayToAsk))
	}
	return faults
}

// validateAsked judges what requests and their alternatives have in common.
func validateAsked(at *field.Path, class string, selectors []resourcev1.DeviceSelector, mode resourcev1.DeviceAllocationMode, count int64, tolerations []resourcev1.DeviceToleration) field.ErrorList {
	var faults field.ErrorList
	faults = append(faults, validation.FilledWith(at.Child("deviceClassName"), class, validation.DNSSubdomain)...)
	faults = append(faults, validateSelectors(at.Child("selectors"), selectors, false)...)
	switch mode {
	case resourcev1.DeviceAllocationModeAll:
		if count != 0 {
			faults = append(faults, field.Invalid(at.Child("count"), count, fmt.Sprintf("must not be specified when allocationMode is '%s'", mode)))
		}
	case resourcev1.DeviceAllocationModeExactCount:
		if count <= 0 {
			faults = append(faults, field.Invalid(at.Child("count"), count, "must be greater than zero"))
		}
	default:
		faults = append(faults, field.NotSupported(at.Child("allocationMode"), mode,
			[]resourcev1.DeviceAllocationMode{resourcev1.DeviceAllocationModeAll, resourcev1.DeviceAllocationModeExactCount}))
	}
	for i, t := range tolerations {
		faults = append(faults, validateToleration(at.Child("tolerations").Index(i), t)...)
	}
	return faults
}
