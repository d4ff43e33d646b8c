package resource

import (
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Invalid is the refusal of an object with faults. It is apierrors.NewInvalid's, which copies all texts that it has for
// each one more: a request holds faults enough for that to take minutes.
func Invalid(kind schema.GroupKind, name string, faults field.ErrorList) *apierrors.StatusError {
	refusal := apierrors.NewInvalid(kind, name, nil)
	if len(faults) == 0 {
		return refusal
	}
	causes := make([]metav1.StatusCause, len(faults))
	seen, texts := make(map[string]bool, len(faults)), make([]string, 0, len(faults))
	for i, f := range faults {
		causes[i] = metav1.StatusCause{Type: metav1.CauseType(f.Type), Message: f.ErrorBody(), Field: f.Field}
		if text := f.Error(); !seen[text] {
			seen[text] = true
			texts = append(texts, text)
		}
	}
	text := strings.Join(texts, ", ")
	if len(texts) > 1 {
		text = "[" + text + "]"
	}
	refusal.ErrStatus.Details.Causes = causes
	refusal.ErrStatus.Message = fmt.Sprintf("%s: %s", refusal.ErrStatus.Message, text)
	return refusal
}
