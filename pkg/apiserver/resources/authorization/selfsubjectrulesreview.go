package authorization

import (
	"context"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// SelfSubjectRulesReview declares selfsubjectrulesreviews: what may I do in a namespace?
func SelfSubjectRulesReview(rules authz.RuleResolver) *resource.Resource {
	return resource.Define(resource.Definition[*authorizationv1.SelfSubjectRulesReview]{
		Kind:          authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectRulesReview"),
		Plural:        "selfsubjectrulesreviews",
		ClusterScoped: true,
		Verbs:         []string{"create"},
		Answer: func(ctx context.Context, r *authorizationv1.SelfSubjectRulesReview, _ *metav1.CreateOptions) (runtime.Object, error) {
			user := request.UserFrom(ctx)
			if user == nil {
				return nil, apierrors.NewBadRequest("no user present on request")
			}
			if r.Spec.Namespace == "" {
				return nil, apierrors.NewBadRequest("no namespace on request")
			}
			held := rules.RulesFor(ctx, user, r.Spec.Namespace)
			r.Status = authorizationv1.SubjectRulesReviewStatus{
				ResourceRules:    append([]authorizationv1.ResourceRule{}, held.Resource...),
				NonResourceRules: append([]authorizationv1.NonResourceRule{}, held.NonResource...),
				Incomplete:       held.Incomplete,
				EvaluationError:  errorText(held.Errors),
			}
			return r, nil
		},
	})
}

// errorText puts several errors together in the form that upstream shows.
func errorText(errs []string) string {
	if len(errs) < 2 {
		return strings.Join(errs, "")
	}
	return "[" + strings.Join(errs, ", ") + "]"
}
