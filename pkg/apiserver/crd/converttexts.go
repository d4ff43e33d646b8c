package crd

import (
	"fmt"
	"reflect"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// judgeTexts judges labels or annotations that a conversion gave, where they are not those there were.
func judgeTexts(name string, given map[string]any, was any) error {
	texts := make(map[string]string, len(given))
	for key, v := range given {
		s, ok := v.(string)
		if !ok {
			return fmt.Errorf("metadata.%s[%s] must be a string, but is %T in converted object", name, key, v)
		}
		texts[key] = s
	}
	if reflect.DeepEqual(was, any(given)) {
		return nil
	}
	if name == "labels" {
		return aggregate(metav1validation.ValidateLabels(texts, field.NewPath("metadata", "labels")))
	}
	return aggregate(apivalidation.ValidateAnnotations(texts, field.NewPath("metadata", "annotation")))
}

func aggregate(faults field.ErrorList) error {
	if len(faults) == 0 {
		return nil
	}
	return faults.ToAggregate()
}
