package plugins

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

// namespaceExists refuses every write in a namespace that is not there: those too that NamespaceLifecycle lets
// through, which are deletions and questions about access.
func namespaceExists(cfg *Config) admission.Plugin {
	on := admission.On(admission.Create, admission.Update, admission.Delete)
	return admission.Plugin{On: on, Validate: func(ctx context.Context, a *admission.Attributes) error {
		if a.Namespace == "" || a.GroupResource() == namespaces {
			return nil
		}
		_, err := find[*corev1.Namespace](ctx, cfg.Access, namespaces, "", a.Namespace)
		if err == nil || apierrors.IsNotFound(err) {
			return err
		}
		return apierrors.NewInternalError(err)
	}}
}
