package resources

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// forbidPrivileged makes every kind that holds a pod's spec refuse privileged containers, whoever writes them, as
// kube-apiserver does that was started without --allow-privileged.
func forbidPrivileged(all []*resource.Resource) {
	for _, r := range all {
		if path, _ := podSpec(r.New()); path == nil {
			continue
		}
		r.Validate = alsoUnprivileged(r.Validate)
		for i := range r.Subresources {
			if u := r.Subresources[i].Update; u != nil && u.Validate != nil && r.Subresources[i].Name != "status" {
				u.Validate = alsoUnprivileged(u.Validate)
			}
		}
	}
}

type judgement = func(ctx context.Context, obj, old resource.Object) field.ErrorList

func alsoUnprivileged(validate judgement) judgement {
	return func(ctx context.Context, obj, old resource.Object) field.ErrorList {
		path, spec := podSpec(obj)
		faults := validate(ctx, obj, old)
		// The template of a stateful set that had faults already keeps nobody from changing the rest.
		if set, is := old.(*appsv1.StatefulSet); is && len(validation.Unprivileged(path, &set.Spec.Template.Spec)) > 0 {
			return faults
		}
		return append(faults, validation.Unprivileged(path, spec)...)
	}
}

// podSpec finds the spec of the pod that an object is or makes, and its path; the path is nil where the kind has none.
func podSpec(obj resource.Object) (*field.Path, *corev1.PodSpec) {
	template := field.NewPath("spec", "template", "spec")
	switch o := obj.(type) {
	case *corev1.Pod:
		return field.NewPath("spec"), &o.Spec
	case *corev1.PodTemplate:
		return field.NewPath("template", "spec"), &o.Template.Spec
	case *corev1.ReplicationController:
		if o.Spec.Template == nil {
			return template, &corev1.PodSpec{}
		}
		return template, &o.Spec.Template.Spec
	case *appsv1.ReplicaSet:
		return template, &o.Spec.Template.Spec
	case *appsv1.Deployment:
		return template, &o.Spec.Template.Spec
	case *appsv1.DaemonSet:
		return template, &o.Spec.Template.Spec
	case *appsv1.StatefulSet:
		return template, &o.Spec.Template.Spec
	case *batchv1.Job:
		return template, &o.Spec.Template.Spec
	case *batchv1.CronJob:
		return field.NewPath("spec", "jobTemplate", "spec", "template", "spec"), &o.Spec.JobTemplate.Spec.Template.Spec
	}
	return nil, nil
}
