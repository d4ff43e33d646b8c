// Package validation judges the shapes that several kinds embed: pod specs and templates, containers,
// volumes, probes, selectors, resources. Faults come with the paths, words and order that clients of
// Kubernetes know. What only one kind has is validated beside its Definition.
package validation

import (
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/names"
)

// Immutable is the detail of every refusal to change a field.
const Immutable = apivalidation.FieldImmutableErrorMsg

const notNegative = apivalidation.IsNegativeErrorMsg

// Filled refuses an empty value.
func Filled[T ~string](path *field.Path, value T) field.ErrorList {
	if value != "" {
		return nil
	}
	return field.ErrorList{field.Required(path, "")}
}

// FilledWith refuses an empty value, and judges any other.
func FilledWith[T ~string](path *field.Path, value T, judge func(*field.Path, T) field.ErrorList) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return judge(path, value)
}

// WhereSet judges what value points at, where it points at something.
func WhereSet[T any](path *field.Path, value *T, judge func(*field.Path, T) field.ErrorList) field.ErrorList {
	if value == nil {
		return nil
	}
	return judge(path, *value)
}

// Invalid makes one fault of each text.
func Invalid[T any](path *field.Path, value T, texts []string) field.ErrorList {
	if len(texts) == 0 {
		return nil
	}
	var faults field.ErrorList
	for _, text := range texts {
		faults = append(faults, field.Invalid(path, value, text))
	}
	return faults
}

// OneOf refuses a value that is not among those supported; an empty one is missing.
func OneOf[T ~string](path *field.Path, value T, supported ...T) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return OneOfAny(path, value, supported...)
}

// OneOfAny refuses a value, the empty one too, that is not among those supported.
func OneOfAny[T ~string](path *field.Path, value T, supported ...T) field.ErrorList {
	if slices.Contains(supported, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, value, supported)}
}

// NotNegative refuses numbers below zero.
func NotNegative[T ~int32 | ~int64](path *field.Path, value T) field.ErrorList {
	return apivalidation.ValidateNonnegativeField(int64(value), path)
}

// DNSLabel judges a name that becomes one part of a DNS name.
func DNSLabel(path *field.Path, value string) field.ErrorList {
	if names.IsLabel(value) {
		return nil
	}
	return Invalid(path, value, utilvalidation.IsDNS1123Label(value))
}

// DNSSubdomain judges a name that may hold dots.
func DNSSubdomain(path *field.Path, value string) field.ErrorList {
	if names.IsSubdomain(value) {
		return nil
	}
	return Invalid(path, value, utilvalidation.IsDNS1123Subdomain(value))
}

// QualifiedName judges names like "example.com/thing".
func QualifiedName(path *field.Path, value string) field.ErrorList {
	if names.IsKey(value) {
		return nil
	}
	return metav1validation.ValidateLabelName(value, path)
}

// qualified is QualifiedName in the words for resources.
func qualified(path *field.Path, value string) field.ErrorList {
	if names.IsKey(value) {
		return nil
	}
	return Invalid(path, value, utilvalidation.IsQualifiedName(value))
}

// Unchanged refuses any difference to the old value, naming the new one.
func Unchanged(path *field.Path, value, old any) field.ErrorList {
	if equality.Semantic.DeepEqual(value, old) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, GoNames(value), Immutable)}
}

// LabelSelector judges a selector. tolerant lets values stand that could never match, where the object
// was stored with such before they were judged.
func LabelSelector(path *field.Path, selector *metav1.LabelSelector, tolerant bool) field.ErrorList {
	return metav1validation.ValidateLabelSelector(selector,
		metav1validation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: tolerant}, path)
}

// IntOrPercent refuses what is neither a number that is not negative nor a percentage.
func IntOrPercent(path *field.Path, value intstr.IntOrString) field.ErrorList {
	switch value.Type {
	case intstr.String:
		return Invalid(path, value, utilvalidation.IsValidPercent(value.StrVal))
	case intstr.Int:
		return NotNegative(path, value.IntVal)
	default:
		return field.ErrorList{field.Invalid(path, value, "must be an integer or percentage (e.g '5%%')")}
	}
}

// AtMostHundredPercent refuses percentages above 100.
func AtMostHundredPercent(path *field.Path, value intstr.IntOrString) field.ErrorList {
	percent, is := Percent(value)
	if !is || percent <= 100 {
		return nil
	}
	return field.ErrorList{field.Invalid(path, value, "must not be greater than 100%")}
}

// Percent answers the number before the percent sign, and whether value is a percentage.
func Percent(value intstr.IntOrString) (int, bool) {
	if value.Type != intstr.String || len(utilvalidation.IsValidPercent(value.StrVal)) != 0 {
		return 0, false
	}
	percent, _ := strconv.Atoi(strings.TrimSuffix(value.StrVal, "%")) // only digits: too many are the largest number
	return percent, true
}

// localDescendingPath refuses paths that are absolute or climb up.
func localDescendingPath(path *field.Path, value string) field.ErrorList {
	var faults field.ErrorList
	if strings.HasPrefix(value, "/") {
		faults = append(faults, field.Invalid(path, value, "must be a relative path"))
	}
	return append(faults, noBacksteps(path, value)...)
}

func noBacksteps(path *field.Path, value string) field.ErrorList {
	if slices.Contains(strings.Split(strings.ReplaceAll(value, "\\", "/"), "/"), "..") {
		return field.ErrorList{field.Invalid(path, value, "must not contain '..'")}
	}
	return nil
}

// localNonReservedPath is a descending path that does not begin with two dots, which atomically written
// volumes keep for themselves.
func localNonReservedPath(path *field.Path, value string) field.ErrorList {
	faults := localDescendingPath(path, value)
	// A path of ".." and below is already refused.
	if strings.HasPrefix(value, "..") && !strings.HasPrefix(value, "../") {
		faults = append(faults, field.Invalid(path, value, "must not start with '..'"))
	}
	return faults
}
