package core

import (
	"fmt"
	"regexp"

	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var featureName = regexp.MustCompile(`^[A-Z][a-zA-Z0-9]*(/[a-zA-Z][a-zA-Z0-9]*)*$`)

// validateDeclaredFeatures judges the features that a node says it has: a sorted set of names.
func validateDeclaredFeatures(path *field.Path, list []string) field.ErrorList {
	var faults field.ErrorList
	for i, name := range list {
		if text := badFeatureName(name); text != "" {
			faults = append(faults, field.Invalid(path.Index(i), name, text))
		}
		if i+1 == len(list) {
			break
		}
		switch next := list[i+1]; {
		case name == next:
			faults = append(faults, field.Duplicate(path.Index(i+1), next))
		case name > next:
			faults = append(faults, field.Invalid(path.Index(i+1), next, "list must be sorted alphabetically"))
		}
	}
	return faults
}

func badFeatureName(name string) string {
	switch {
	case len(name) > utilvalidation.DNS1123SubdomainMaxLength:
		return fmt.Sprintf("invalid feature name %q: must be no more than %d characters", name, utilvalidation.DNS1123SubdomainMaxLength)
	case !featureName.MatchString(name):
		return fmt.Sprintf("invalid feature name %q: must start with an UpperCamelCase segment, with subsequent segments separated by '/' "+
			"(e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes", name)
	}
	return ""
}
