package authentication

import (
	"context"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// SelfSubjectReview declares selfsubjectreviews: who am I?
func SelfSubjectReview(now func() time.Time) *resource.Resource {
	return resource.Define(resource.Definition[*authenticationv1.SelfSubjectReview]{
		Kind:          authenticationv1.SchemeGroupVersion.WithKind("SelfSubjectReview"),
		Plural:        "selfsubjectreviews",
		ClusterScoped: true,
		Verbs:         []string{"create"},
		Answer: func(ctx context.Context, _ *authenticationv1.SelfSubjectReview, _ *metav1.CreateOptions) (runtime.Object, error) {
			user := request.UserFrom(ctx)
			if user == nil {
				return nil, apierrors.NewBadRequest("no user present on request")
			}
			return &authenticationv1.SelfSubjectReview{
				ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(now().Truncate(time.Second))},
				Status:     authenticationv1.SelfSubjectReviewStatus{UserInfo: userInfo(user)},
			}, nil
		},
	})
}
