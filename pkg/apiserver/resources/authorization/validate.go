package authorization

import (
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// invalid is the refusal of a review. Upstream forgets the kind, and clients have learnt to read it so.
func invalid(errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return apierrors.NewInvalid(schema.GroupKind{Group: authorizationv1.GroupName}, "", errs)
}

// nonResource is shown in refusals with the field names of upstream's inner form.
type nonResource struct{ Path, Verb string }

// validateAttributes judges what is asked about; who says what is wrong with whom it is asked about.
func validateAttributes(res *authorizationv1.ResourceAttributes, non *authorizationv1.NonResourceAttributes, who field.ErrorList) field.ErrorList {
	var errs field.ErrorList
	spec := field.NewPath("spec")
	if res != nil && non != nil {
		errs = append(errs, field.Invalid(spec.Child("nonResourceAttributes"), nonResource{non.Path, non.Verb}, "cannot be specified in combination with resourceAttributes"))
	}
	if res == nil && non == nil {
		errs = append(errs, field.Invalid(spec.Child("resourceAttributes"), (*authorizationv1.ResourceAttributes)(nil), "exactly one of nonResourceAttributes or resourceAttributes must be specified"))
	}
	errs = append(errs, who...)
	if res != nil {
		errs = append(errs, validateSelectors(res, spec.Child("resourceAttributes"))...)
	}
	return errs
}

func validateSelectors(res *authorizationv1.ResourceAttributes, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s := res.FieldSelector; s != nil {
		errs = append(errs, validateFieldSelector(s, path.Child("fieldSelector"))...)
	}
	if s := res.LabelSelector; s != nil {
		path := path.Child("labelSelector")
		errs = append(errs, oneForm(s.RawSelector, len(s.Requirements), path)...)
		// What an operator of a newer client means is not known here: the question is asked without it.
		opts := metav1validation.LabelSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}
		for i, r := range s.Requirements {
			errs = append(errs, metav1validation.ValidateLabelSelectorRequirement(r, opts, path.Child("requirements").Index(i))...)
		}
	}
	return errs
}

func oneForm(raw string, requirements int, path *field.Path) field.ErrorList {
	switch {
	case raw != "" && requirements > 0:
		return field.ErrorList{field.Invalid(path.Child("rawSelector"), raw, "may not specified at the same time as requirements")}
	case raw == "" && requirements == 0:
		return field.ErrorList{field.Required(path.Child("requirements"), "when "+path.String()+" is specified, requirements or rawSelector is required")}
	}
	return nil
}

func validateFieldSelector(s *authorizationv1.FieldSelectorAttributes, path *field.Path) field.ErrorList {
	errs := oneForm(s.RawSelector, len(s.Requirements), path)
	opts := metav1validation.FieldSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}
	for i, r := range s.Requirements {
		errs = append(errs, metav1validation.ValidateFieldSelectorRequirement(r, opts, path.Child("requirements").Index(i))...)
	}
	return errs
}

// validateMeta refuses metadata beyond what is named; managed fields are the server's own.
func validateMeta(meta metav1.ObjectMeta, but metav1.ObjectMeta, text string) field.ErrorList {
	left := meta
	left.ManagedFields = nil
	if equality.Semantic.DeepEqual(left, but) {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata"), meta, text)}
}

func validateSubject(user string, groups []string) field.ErrorList {
	if user == "" && len(groups) == 0 {
		return field.ErrorList{field.Invalid(field.NewPath("spec", "user"), user, "at least one of user or group must be specified")}
	}
	return nil
}
