package devices

import (
	"fmt"
	"regexp"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// semver is the form of versions by semver.org.
var semver = func() *regexp.Regexp {
	const number, word, build = `(0|[1-9]\d*)`, `(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)`, `[0-9a-zA-Z-]+`
	return regexp.MustCompile(`^` + number + `\.` + number + `\.` + number + `(-` + word + `(\.` + word + `)*)?(\+` + build + `(\.` + build + `)*)?$`)
}()

// validateDevices judges a slice's devices, of which there may be fewer where any of them says much.
func validateDevices(at *field.Path, spec *resourcev1.ResourceSliceSpec, old *resourcev1.ResourceSlice) field.ErrorList {
	limit := resourcev1.ResourceSliceMaxDevices
	for i := range spec.Devices {
		if d := &spec.Devices[i]; len(d.Taints) > 0 || len(d.ConsumesCounters) > 0 || hasLists(d) {
			limit = resourcev1.ResourceSliceMaxDevicesWithAdvancedFeatures
		}
	}
	before := map[string]*resourcev1.Device{}
	if old != nil {
		for i := range old.Spec.Devices {
			before[old.Spec.Devices[i].Name] = &old.Spec.Devices[i]
		}
	}
	each := spec.PerDeviceNodeSelection != nil && *spec.PerDeviceNodeSelection
	return setOf(at, spec.Devices, limit, func(d resourcev1.Device) string { return d.Name },
		func(at *field.Path, d resourcev1.Device) field.ErrorList {
			return validateDevice(at, &d, before[d.Name], each)
		})
}

func validateDevice(at *field.Path, d, old *resourcev1.Device, each bool) field.ErrorList {
	faults := validation.DNSLabel(at.Child("name"), d.Name)
	if n, limit := len(d.Attributes)+len(d.Capacity), resourcev1.ResourceSliceMaxAttributesAndCapacitiesPerDevice; n > limit {
		faults = append(faults, field.Invalid(at, n, fmt.Sprintf("the total number of attributes and capacities must not exceed %d", limit)))
	}
	if n, limit := countValues(d), resourcev1.ResourceSliceMaxAttributeValuesPerDevice; n > limit {
		faults = append(faults, field.Invalid(at, n, fmt.Sprintf("the total number of attribute values must not exceed %d", limit)))
	}
	faults = append(faults, mapOf(at.Child("attributes"), d.Attributes, unlimited, maxQualifiedName, validateQualifiedName, validateAttribute)...)
	if old == nil || !equality.Semantic.DeepEqual(old.Capacity, d.Capacity) {
		shared := d.AllowMultipleAllocations != nil && *d.AllowMultipleAllocations
		faults = append(faults, mapOf(at.Child("capacity"), d.Capacity, unlimited, maxQualifiedName, validateQualifiedName,
			func(at *field.Path, c resourcev1.DeviceCapacity) field.ErrorList {
				return validateCapacity(at, c, shared)
			})...)
	}
	if old == nil || !equality.Semantic.DeepEqual(old.Taints, d.Taints) {
		faults = append(faults, eachOf(at.Child("taints"), d.Taints, resourcev1.DeviceTaintsMaxLength, validateTaint)...)
	}
	faults = append(faults, setOf(at.Child("consumesCounters"), d.ConsumesCounters, resourcev1.ResourceSliceMaxDeviceCounterConsumptionsPerDevice,
		func(c resourcev1.DeviceCounterConsumption) string { return c.CounterSet },
		func(at *field.Path, c resourcev1.DeviceCounterConsumption) field.ErrorList {
			return validateCounters(at, "counterSet", c.CounterSet, c.Counters, resourcev1.ResourceSliceMaxCountersPerDeviceCounterConsumption)
		})...)
	faults = append(faults, validateDeviceWhere(at, d, each)...)
	return append(faults, validateBinding(at, d.BindingConditions, d.BindingFailureConditions)...)
}

// countValues counts each item of attributes that are lists.
func countValues(d *resourcev1.Device) int {
	n := 0
	for _, a := range d.Attributes {
		n += max(1, len(a.IntValues)+len(a.BoolValues)+len(a.StringValues)+len(a.VersionValues))
	}
	return n
}

func validateTaint(at *field.Path, t resourcev1.DeviceTaint) field.ErrorList {
	faults := metav1validation.ValidateLabelName(t.Key, at.Child("key"))
	if t.Value != "" {
		faults = append(faults, validateLabelValue(at.Child("value"), t.Value)...)
	}
	return append(faults, validation.OneOf(at.Child("effect"), t.Effect, taintEffects()...)...)
}

// validateDeviceWhere: a device says which nodes reach it only where its slice leaves that to its devices.
func validateDeviceWhere(at *field.Path, d *resourcev1.Device, each bool) field.ErrorList {
	const oneWay = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec"
	if !each {
		if d.NodeName != nil || d.NodeSelector != nil || d.AllNodes != nil {
			return field.ErrorList{field.Invalid(at, nil, "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec")}
		}
		return nil
	}
	var faults field.ErrorList
	var ways []string
	if d.NodeName != nil {
		if *d.NodeName == "" {
			faults = append(faults, field.Invalid(at.Child("nodeName"), "", "must not be empty"))
		} else {
			ways = append(ways, "`nodeName`")
			faults = append(faults, validation.DNSSubdomain(at.Child("nodeName"), *d.NodeName)...)
		}
	}
	if d.NodeSelector != nil {
		ways = append(ways, "`nodeSelector`")
		faults = append(faults, validation.NodeSelector(at.Child("nodeSelector"), d.NodeSelector, false)...)
	}
	switch {
	case d.AllNodes == nil:
	case *d.AllNodes:
		ways = append(ways, "`allNodes`")
	default:
		faults = append(faults, field.Invalid(at.Child("allNodes"), false, "must be either unset or set to true"))
	}
	switch len(ways) {
	case 0:
		return append(faults, field.Required(at, oneWay))
	case 1:
		return faults
	}
	return append(faults, field.Invalid(at, fmt.Sprintf("{%s}", strings.Join(ways, ", ")), oneWay))
}

func validateAttribute(at *field.Path, a resourcev1.DeviceAttribute) field.ErrorList {
	const one = "exactly one value must be specified"
	var faults field.ErrorList
	n := 0
	for _, set := range []bool{a.BoolValue != nil, a.IntValue != nil, a.StringValue != nil, a.VersionValue != nil,
		a.BoolValues != nil, a.IntValues != nil, a.StringValues != nil, a.VersionValues != nil} {
		if set {
			n++
		}
	}
	faults = append(faults, validation.WhereSet(at.Child("string"), a.StringValue, validateText)...)
	faults = append(faults, validation.WhereSet(at.Child("version"), a.VersionValue, validateVersion)...)
	faults = append(faults, validateItems(at.Child("bools"), a.BoolValues, nil)...)
	faults = append(faults, validateItems(at.Child("ints"), a.IntValues, nil)...)
	faults = append(faults, validateItems(at.Child("strings"), a.StringValues, validateText)...)
	faults = append(faults, validateItems(at.Child("versions"), a.VersionValues, validateVersion)...)
	switch n {
	case 0:
		faults = append(faults, field.Invalid(at, "", one))
	case 1:
	default:
		faults = append(faults, field.Invalid(at, validation.GoNames(a), one))
	}
	return faults
}

func validateItems[T any](at *field.Path, list []T, judge func(*field.Path, T) field.ErrorList) field.ErrorList {
	if list != nil && len(list) == 0 {
		return field.ErrorList{field.Invalid(at, list, "must not be empty if specified")}
	}
	if judge == nil {
		return nil
	}
	return eachOf(at, list, unlimited, judge)
}

func validateText(at *field.Path, text string) field.ErrorList {
	if len(text) > resourcev1.DeviceAttributeMaxValueLength {
		return field.ErrorList{field.TooLong(at, "", resourcev1.DeviceAttributeMaxValueLength)}
	}
	return nil
}

func validateVersion(at *field.Path, text string) field.ErrorList {
	var faults field.ErrorList
	if !semver.MatchString(text) {
		faults = append(faults, field.Invalid(at, text, "must be a string compatible with semver.org spec 2.0.0"))
	}
	return append(faults, validateText(at, text)...)
}
