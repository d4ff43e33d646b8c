package authorization

import (
	"context"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// SubjectAccessReview declares subjectaccessreviews: may somebody do this?
func SubjectAccessReview(a authz.Authorizer) *resource.Resource {
	return resource.Define(resource.Definition[*authorizationv1.SubjectAccessReview]{
		Kind:          authorizationv1.SchemeGroupVersion.WithKind("SubjectAccessReview"),
		Plural:        "subjectaccessreviews",
		ClusterScoped: true,
		Verbs:         []string{"create"},
		Answer: func(ctx context.Context, r *authorizationv1.SubjectAccessReview, _ *metav1.CreateOptions) (runtime.Object, error) {
			errs := validateAttributes(r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes, validateSubject(r.Spec.User, r.Spec.Groups))
			errs = append(errs, validateMeta(r.ObjectMeta, metav1.ObjectMeta{}, "must be empty")...)
			if err := invalid(errs); err != nil {
				return nil, err
			}
			r.Status = ask(ctx, a, subject(&r.Spec), r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes)
			return r, nil
		},
	})
}

// LocalSubjectAccessReview declares localsubjectaccessreviews: the same question, which rights in one
// namespace suffice to ask.
func LocalSubjectAccessReview(a authz.Authorizer) *resource.Resource {
	return resource.Define(resource.Definition[*authorizationv1.LocalSubjectAccessReview]{
		Kind:   authorizationv1.SchemeGroupVersion.WithKind("LocalSubjectAccessReview"),
		Plural: "localsubjectaccessreviews",
		Verbs:  []string{"create"},
		Answer: func(ctx context.Context, r *authorizationv1.LocalSubjectAccessReview, _ *metav1.CreateOptions) (runtime.Object, error) {
			if err := validateLocal(r); err != nil {
				return nil, err
			}
			r.Status = ask(ctx, a, subject(&r.Spec), r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes)
			return r, nil
		},
	})
}

// SelfSubjectAccessReview declares selfsubjectaccessreviews: may I do this?
func SelfSubjectAccessReview(a authz.Authorizer) *resource.Resource {
	return resource.Define(resource.Definition[*authorizationv1.SelfSubjectAccessReview]{
		Kind:          authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectAccessReview"),
		Plural:        "selfsubjectaccessreviews",
		ClusterScoped: true,
		Verbs:         []string{"create"},
		Answer: func(ctx context.Context, r *authorizationv1.SelfSubjectAccessReview, _ *metav1.CreateOptions) (runtime.Object, error) {
			errs := validateAttributes(r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes, nil)
			errs = append(errs, validateMeta(r.ObjectMeta, metav1.ObjectMeta{}, "must be empty")...)
			if err := invalid(errs); err != nil {
				return nil, err
			}
			user := request.UserFrom(ctx)
			if user == nil {
				return nil, apierrors.NewBadRequest("no user present on request")
			}
			r.Status = ask(ctx, a, user, r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes)
			return r, nil
		},
	})
}

func validateLocal(r *authorizationv1.LocalSubjectAccessReview) error {
	spec := field.NewPath("spec")
	errs := validateAttributes(r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes, validateSubject(r.Spec.User, r.Spec.Groups))
	errs = append(errs, validateMeta(r.ObjectMeta, metav1.ObjectMeta{Namespace: r.Namespace}, "must be empty except for namespace")...)
	if res := r.Spec.ResourceAttributes; res != nil && res.Namespace != r.Namespace {
		errs = append(errs, field.Invalid(spec.Child("resourceAttributes", "namespace"), res.Namespace, "must match metadata.namespace"))
	}
	if non := r.Spec.NonResourceAttributes; non != nil {
		errs = append(errs, field.Invalid(spec.Child("nonResourceAttributes"), nonResource{non.Path, non.Verb}, "disallowed on this kind of request"))
	}
	return invalid(errs)
}

func subject(s *authorizationv1.SubjectAccessReviewSpec) *request.User {
	u := &request.User{Name: s.User, UID: s.UID, Groups: s.Groups}
	for k, v := range s.Extra {
		if u.Extra == nil {
			u.Extra = map[string][]string{}
		}
		u.Extra[k] = v
	}
	return u
}
