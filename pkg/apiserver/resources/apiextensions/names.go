package apiextensions

import (
	"fmt"
	"net/url"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func requiredNames(n *apiextensions.CustomResourceDefinitionNames, at *field.Path) (faults field.ErrorList) {
	for _, required := range []struct{ name, value string }{{"plural", n.Plural}, {"singular", n.Singular}, {"kind", n.Kind}, {"listKind", n.ListKind}} {
		if required.value == "" {
			faults = append(faults, field.Required(at.Child(required.name), ""))
		}
	}
	return faults
}

// names judges those that are given.
func names(n *apiextensions.CustomResourceDefinitionNames, at *field.Path) (faults field.ErrorList) {
	label := func(at *field.Path, value string) {
		if problems := validation.IsDNS1035Label(value); len(problems) > 0 {
			faults = append(faults, field.Invalid(at, value, strings.Join(problems, ",")))
		}
	}
	kind := func(at *field.Path, value string) {
		if problems := validation.IsDNS1035Label(strings.ToLower(value)); value != "" && len(problems) > 0 {
			faults = append(faults, field.Invalid(at, value, "may have mixed case, but should otherwise match: "+strings.Join(problems, ",")))
		}
	}
	if n.Plural != "" {
		label(at.Child("plural"), n.Plural)
	}
	if n.Singular != "" {
		label(at.Child("singular"), n.Singular)
	}
	kind(at.Child("kind"), n.Kind)
	kind(at.Child("listKind"), n.ListKind)
	for i, short := range n.ShortNames {
		label(at.Child("shortNames").Index(i), short)
	}
	if n.Kind != "" && n.Kind == n.ListKind {
		faults = append(faults, field.Invalid(at.Child("listKind"), n.ListKind, "kind and listKind may not be the same"))
	}
	for i, category := range n.Categories {
		label(at.Child("categories").Index(i), category)
	}
	return faults
}

// Approval says how a definition in a group of Kubernetes' own stands to the community's review.
type Approval string

// The states of approval, as reasons of the condition.
const (
	Unprotected        Approval = "" // not a group of Kubernetes' own
	InvalidApproval    Approval = "InvalidAnnotation"
	MissingApproval    Approval = "MissingAnnotation"
	Approved           Approval = "ApprovedAnnotation"
	UnapprovedApproval Approval = "UnapprovedAnnotation"
)

// ApprovalOf reads the annotation; said is what there is to say about it.
func ApprovalOf(obj *apiextensionsv1.CustomResourceDefinition) (state Approval, said string) {
	group := "." + obj.Spec.Group
	if !strings.HasSuffix(group, ".k8s.io") && !strings.HasSuffix(group, ".kubernetes.io") {
		return Unprotected, ""
	}
	const must, see = "protected groups must have approval annotation %q", ", see https://github.com/kubernetes/enhancements/pull/1111"
	value := obj.Annotations[apiextensionsv1.KubeAPIApprovedAnnotation]
	u, err := url.ParseRequestURI(value)
	switch {
	case value == "":
		return MissingApproval, fmt.Sprintf(must+see, apiextensionsv1.KubeAPIApprovedAnnotation)
	case strings.HasPrefix(value, "unapproved"):
		return UnapprovedApproval, fmt.Sprintf("not approved: %q", value)
	case err == nil && u.Host != "" && u.Scheme != "":
		return Approved, "approved in " + value
	}
	return InvalidApproval, fmt.Sprintf(must+` with either a URL or a reason starting with "unapproved"`+see, apiextensionsv1.KubeAPIApprovedAnnotation)
}

// approval refuses a definition in a group of Kubernetes' own that does not say how it was approved; one whose
// state does not change is left alone.
func approval(obj, old *apiextensionsv1.CustomResourceDefinition) field.ErrorList {
	state, said := ApprovalOf(obj)
	if old != nil {
		if before, _ := ApprovalOf(old); before == state {
			return nil
		}
	}
	at := field.NewPath("metadata", "annotations").Key(apiextensionsv1.KubeAPIApprovedAnnotation)
	switch state {
	case InvalidApproval:
		return field.ErrorList{field.Invalid(at, obj.Annotations[apiextensionsv1.KubeAPIApprovedAnnotation], said)}
	case MissingApproval:
		return field.ErrorList{field.Required(at, said)}
	}
	return nil
}
