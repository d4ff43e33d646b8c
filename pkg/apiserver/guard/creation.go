package guard

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// creation refuses a PUT or an apply that makes what was not there, of a user who may not create it: before the
// object was looked for, that user was only asked to be one who may update or patch.
func creation(z authz.Authorizer) admission.Plugin {
	return admission.Plugin{On: admission.On(admission.Create), Validate: func(ctx context.Context, a *admission.Attributes) error {
		info := request.InfoFrom(ctx)
		if info == nil || info.Verb != "update" && info.Verb != "patch" {
			return nil
		}
		asked := *info
		asked.Verb = "create"
		decision, reason, err := z.Authorize(ctx, a.User, &asked)
		switch {
		case decision == authz.Allow:
			return nil
		case err != nil:
			return apierrors.NewInternalError(err)
		}
		return authz.Forbidden(a.User, &asked, reason)
	}}
}
