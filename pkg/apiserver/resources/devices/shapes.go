package devices

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

const (
	unlimited = -1
	// minShownKey is how much of a key a path shows at least.
	minShownKey = 16
	// maxQualifiedName is the longest domain, a slash and the longest name.
	maxQualifiedName = resourcev1.DeviceMaxDomainLength + 1 + resourcev1.DeviceMaxIDLength
)

// eachOf judges every item of a list. One that is too long is not looked at.
func eachOf[T any](at *field.Path, list []T, limit int, judge func(*field.Path, T) field.ErrorList) field.ErrorList {
	if limit >= 0 && len(list) > limit {
		return field.ErrorList{field.TooMany(at, len(list), limit)}
	}
	var faults field.ErrorList
	for i, item := range list {
		faults = append(faults, judge(at.Index(i), item)...)
	}
	return faults
}

// setOf is eachOf for a list without two items of the same key.
func setOf[T any, K comparable](at *field.Path, list []T, limit int, key func(T) K, judge func(*field.Path, T) field.ErrorList) field.ErrorList {
	faults := eachOf(at, list, limit, judge)
	if limit >= 0 && len(list) > limit {
		return faults
	}
	seen := map[K]bool{}
	for i, item := range list {
		if k := key(item); seen[k] {
			faults = append(faults, field.Duplicate(at.Index(i), k))
		} else {
			seen[k] = true
		}
	}
	return faults
}

// mapOf judges every key at the map itself and every value at its key, of which long ones are shown in part.
func mapOf[K ~string, T any](at *field.Path, m map[K]T, limit, shown int, judgeKey func(*field.Path, K) field.ErrorList, judge func(*field.Path, T) field.ErrorList) field.ErrorList {
	if limit >= 0 && len(m) > limit {
		return field.ErrorList{field.TooMany(at, len(m), limit)}
	}
	var faults field.ErrorList
	for _, key := range slices.Sorted(maps.Keys(m)) {
		faults = append(faults, judgeKey(at, key)...)
		faults = append(faults, judge(at.Key(shorten(string(key), max(shown, minShownKey))), m[key])...)
	}
	return faults
}

// shorten leaves out the middle of a long text.
func shorten(text string, limit int) string {
	const gap = "..."
	if len(text) <= limit {
		return text
	}
	rest := limit - len(gap)
	return text[:(rest+1)/2] + gap + text[len(text)-rest/2:]
}

func itself(text string) string { return text }

func validatePoolName(at *field.Path, name string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	var faults field.ErrorList
	if len(name) > resourcev1.PoolNameMaxLength {
		faults = append(faults, field.TooLong(at, "", resourcev1.PoolNameMaxLength))
	}
	for part := range strings.SplitSeq(name, "/") {
		faults = append(faults, validation.DNSSubdomain(at, part)...)
	}
	return faults
}

// validateQualifiedName judges the name of an attribute or a capacity, with or without its domain.
func validateQualifiedName[T ~string](at *field.Path, name T) field.ErrorList {
	domain, id, qualified := strings.Cut(string(name), "/")
	switch {
	case !qualified:
		return validateID(at, domain)
	case strings.Contains(id, "/"):
		return nil // as upstream, which does not look at names of three parts
	}
	var faults field.ErrorList
	if domain == "" {
		faults = append(faults, field.Invalid(at, "", "the domain must not be empty"))
	} else {
		faults = append(faults, validation.CSIDriverName(at, domain)...)
	}
	if id == "" {
		return append(faults, field.Invalid(at, "", "the name must not be empty"))
	}
	return append(faults, validateID(at, id)...)
}

func validateFullName(at *field.Path, name resourcev1.FullyQualifiedName) field.ErrorList {
	faults := validateQualifiedName(at, name)
	if !strings.Contains(string(name), "/") {
		faults = append(faults, field.Invalid(at, name, "a fully qualified name must be a domain and a name separated by a slash"))
	}
	return faults
}

func validateID(at *field.Path, id string) field.ErrorList {
	var faults field.ErrorList
	if len(id) > resourcev1.DeviceMaxIDLength {
		faults = append(faults, field.TooLong(at, "", resourcev1.DeviceMaxIDLength))
	}
	faults = append(faults, validation.Invalid(at, id, content.IsCIdentifier(id))...)
	return faults
}

func validateLabelValue(at *field.Path, value string) field.ErrorList {
	var faults field.ErrorList
	faults = append(faults, validation.Invalid(at, value, utilvalidation.IsValidLabelValue(value))...)
	return faults
}

func validateConfiguration(at *field.Path, c resourcev1.DeviceConfiguration, stored bool) field.ErrorList {
	if c.Opaque == nil {
		return field.ErrorList{field.Required(at.Child("opaque"), "")}
	}
	faults := validation.CSIDriverName(at.Child("opaque", "driver"), c.Opaque.Driver)
	return append(faults, validateRaw(at.Child("opaque", "parameters"), c.Opaque.Parameters, stored, resourcev1.OpaqueParametersMaxLength)...)
}

// validateRaw judges data that only a driver understands: a JSON object, of a size that counts for new ones.
func validateRaw(at *field.Path, data runtime.RawExtension, stored bool, limit int) field.ErrorList {
	if len(data.Raw) == 0 {
		return field.ErrorList{field.Required(at, "")}
	}
	if !stored && len(data.Raw) > limit {
		return field.ErrorList{field.TooLong(at, "", limit)}
	}
	var v any
	if err := json.Unmarshal(data.Raw, &v); err != nil {
		return field.ErrorList{field.Invalid(at, "<value omitted>", fmt.Sprintf("error parsing data as JSON: %v", err))}
	}
	switch v.(type) {
	case nil:
		return field.ErrorList{field.Required(at, "")}
	case map[string]any:
		return nil
	}
	return field.ErrorList{field.Invalid(at, "<value omitted>", "must be a valid JSON object")}
}

func taintEffects() []resourcev1.DeviceTaintEffect {
	return []resourcev1.DeviceTaintEffect{resourcev1.DeviceTaintEffectNoExecute, resourcev1.DeviceTaintEffectNoSchedule, resourcev1.DeviceTaintEffectNone}
}

func validateToleration(at *field.Path, t resourcev1.DeviceToleration) field.ErrorList {
	var faults field.ErrorList
	if t.Key != "" {
		faults = append(faults, metav1validation.ValidateLabelName(t.Key, at.Child("key"))...)
	}
	switch t.Operator {
	case resourcev1.DeviceTolerationOpExists:
		if t.Value != "" {
			faults = append(faults, field.Invalid(at.Child("value"), t.Value, "must be empty for operator `Exists`"))
		}
	case resourcev1.DeviceTolerationOpEqual:
		faults = append(faults, validateLabelValue(at.Child("value"), t.Value)...)
	default:
		faults = append(faults, validation.OneOf(at.Child("operator"), t.Operator, resourcev1.DeviceTolerationOpEqual, resourcev1.DeviceTolerationOpExists)...)
	}
	if t.Effect != "" {
		faults = append(faults, validation.OneOf(at.Child("effect"), t.Effect, taintEffects()...)...)
	}
	return faults
}

// validateBinding judges the conditions that bind a device to a node, or say that it cannot be.
func validateBinding(at *field.Path, conditions, failures []string) field.ErrorList {
	good, bad := at.Child("bindingConditions"), at.Child("bindingFailureConditions")
	name := func(at *field.Path, text string) field.ErrorList { return metav1validation.ValidateLabelName(text, at) }
	faults := eachOf(good, conditions, resourcev1.BindingConditionsMaxSize, name)
	faults = append(faults, eachOf(bad, failures, resourcev1.BindingFailureConditionsMaxSize, name)...)
	for i, c := range conditions {
		if slices.Contains(conditions[:i], c) {
			faults = append(faults, field.Duplicate(good.Index(i), c))
		}
	}
	for i, c := range failures {
		if slices.Contains(failures[:i], c) {
			faults = append(faults, field.Duplicate(bad.Index(i), c))
		}
		if slices.Contains(conditions, c) {
			faults = append(faults, field.Invalid(bad.Index(i), c, "bindingFailureConditions must not overlap with bindingConditions"))
		}
	}
	if len(conditions) == 0 && len(failures) > 0 {
		faults = append(faults, field.Invalid(good, conditions, "bindingConditions are required to use bindingFailureConditions"))
	}
	if len(failures) == 0 && len(conditions) > 0 {
		faults = append(faults, field.Invalid(bad, failures, "bindingFailureConditions are required to use bindingConditions"))
	}
	return faults
}
