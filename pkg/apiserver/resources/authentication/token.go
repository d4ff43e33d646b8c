package authentication

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/serviceaccount"
)

// Token declares serviceaccounts/token: a POST of a TokenRequest that is answered with a token.
func Token(requests *serviceaccount.Requests) resource.Subresource[*corev1.ServiceAccount] {
	return resource.Subresource[*corev1.ServiceAccount]{
		Name:  "token",
		Kind:  authenticationv1.SchemeGroupVersion.WithKind("TokenRequest"),
		Verbs: []string{"create"},
		Create: &resource.CreateAction[*corev1.ServiceAccount]{
			New:     func() runtime.Object { return &authenticationv1.TokenRequest{} },
			Default: serviceaccount.Default,
			Do:      requests.Do,
		},
	}
}
