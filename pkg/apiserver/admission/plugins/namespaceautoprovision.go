package plugins

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/authn"
	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// namespaceAutoProvision makes the namespace that something is created in, where there is none. The server makes it,
// whether or not the user may; what users configure of admission judges it as any other.
func namespaceAutoProvision(cfg *Config) admission.Plugin {
	server := &request.User{Name: "system:apiserver", Groups: []string{authn.GroupAuthenticated, authz.MastersGroup}}
	return admission.Plugin{On: admission.On(admission.Create), Admit: func(ctx context.Context, a *admission.Attributes) error {
		if a.DryRun || a.Namespace == "" || a.GroupResource() == namespaces {
			return nil
		}
		_, err := cfg.Access.Get(ctx, namespaces, "", a.Namespace)
		if apierrors.IsNotFound(err) {
			ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: a.Namespace}}
			_, err = cfg.Access.Create(resource.Admitted(ctx, cfg.rules, server), namespaces, ns)
		}
		if err == nil || apierrors.IsAlreadyExists(err) {
			return nil
		}
		return admission.Forbidden(a, err)
	}}
}
