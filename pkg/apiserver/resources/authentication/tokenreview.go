// Package authentication declares the kinds of authentication.k8s.io: questions about who somebody is. None
// of them is stored.
package authentication

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/apiserver/authn"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// TokenReview declares tokenreviews: whose token is this?
func TokenReview(tokens authn.Token) *resource.Resource {
	return resource.Define(resource.Definition[*tokenReview]{
		Kind:          authenticationv1.SchemeGroupVersion.WithKind("TokenReview"),
		Plural:        "tokenreviews",
		ClusterScoped: true,
		Verbs:         []string{"create"},
		Answer: func(ctx context.Context, review *tokenReview, _ *metav1.CreateOptions) (runtime.Object, error) {
			return answerToken(ctx, tokens, review)
		},
	})
}

type tokenReview = authenticationv1.TokenReview

func answerToken(ctx context.Context, tokens authn.Token, review *tokenReview) (runtime.Object, error) {
	if review.Spec.Token == "" {
		return nil, apierrors.NewBadRequest("token is required for TokenReview in authentication")
	}
	if review.Namespace != "" {
		review.Namespace = "" // belongs to the cluster, whatever a client says
	}
	review.Status = authenticationv1.TokenReviewStatus{}
	user, audiences, err := tokens.AuthenticateToken(ctx, review.Spec.Token, review.Spec.Audiences)
	if err != nil {
		review.Status.Error = err.Error()
		return review, nil
	}
	if user == nil {
		return review, nil
	}
	review.Status.Authenticated = true
	review.Status.User = userInfo(user)
	review.Status.Audiences = audiences
	return review, nil
}

func userInfo(u *request.User) authenticationv1.UserInfo {
	info := authenticationv1.UserInfo{Username: u.Name, UID: u.UID, Groups: u.Groups}
	for k, v := range u.Extra {
		if info.Extra == nil {
			info.Extra = map[string]authenticationv1.ExtraValue{}
		}
		info.Extra[k] = v
	}
	return info
}
