package resources

import (
	"context"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// forbidPrivileged makes every kind that holds a pod's spec refuse privileged containers, whoever writes them, as
// kube-apiserver does that was started without --allow-privileged.
func forbidPrivileged(all []*resource.Resource) {
	for _, r := range all {
		r.Validate = unprivileged(r.Validate)
		for i := range r.Subresources {
			if u := r.Subresources[i].Update; u != nil {
				u.Validate = unprivileged(u.Validate)
			}
		}
	}
}

type judgement = func(ctx context.Context, obj, old resource.Object) field.ErrorList

func unprivileged(validate judgement) judgement {
	if validate == nil {
		return nil
	}
	return func(ctx context.Context, obj, old resource.Object) field.ErrorList {
		return validate(validation.ForbidPrivileged(ctx), obj, old)
	}
}
