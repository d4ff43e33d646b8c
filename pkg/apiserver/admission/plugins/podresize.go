package plugins

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podresources "k8s.io/component-helpers/resource"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

// The causes by which clients tell why a pod can never be resized so on its node.
const (
	causeCapacity = metav1.CauseType("NodeCapacity")
	causePlatform = metav1.CauseType("UnsupportedPlatform")
)

// podResize refuses to resize a pod to more than its node could ever give, and on nodes that cannot do it.
func podResize(cfg *Config) admission.Plugin {
	return admission.Plugin{On: admission.On(admission.Update), Validate: func(ctx context.Context, a *admission.Attributes) error {
		pod, is := a.Object.(*corev1.Pod)
		old, was := a.OldObject.(*corev1.Pod)
		if !is || !was || !a.Is("", "pods", "resize") || pod.Spec.NodeName == "" || equality.Semantic.DeepEqual(old.Spec, pod.Spec) {
			return nil
		}
		node, err := nodeOf(ctx, cfg, a, pod)
		if err != nil {
			return err
		}
		if lacks := beyond(pod, node); len(lacks) > 0 {
			return because(a, causeCapacity, fmt.Errorf("Node didn't have enough allocatable resources: %s", strings.Join(lacks, "; "))) //nolint:staticcheck // upstream's words
		}
		if os := node.Labels[corev1.LabelOSStable]; os != string(corev1.Linux) {
			return because(a, causePlatform, fmt.Errorf("pod resize is only supported on linux nodes, node %q is %q", node.Name, os))
		}
		return nil
	}}
}

// because is the usual refusal with a cause that programs read.
func because(a *admission.Attributes, cause metav1.CauseType, err error) error {
	refusal := admission.Forbidden(a, err)
	var status *apierrors.StatusError
	if errors.As(refusal, &status) && status.ErrStatus.Details != nil {
		status.ErrStatus.Details.Causes = append(status.ErrStatus.Details.Causes, metav1.StatusCause{Type: cause})
	}
	return refusal
}

// beyond tells what a pod asks for more of than its node has for all of its pods.
func beyond(pod *corev1.Pod, node *corev1.Node) (lacks []string) {
	asked := podresources.PodRequests(pod, podresources.PodResourcesOptions{})
	if want, has := asked.Cpu().MilliValue(), node.Status.Allocatable.Cpu().MilliValue(); want > has {
		lacks = append(lacks, fmt.Sprintf("cpu, requested: %d, allocatable: %d", want, has))
	}
	if want, has := asked.Memory().Value(), node.Status.Allocatable.Memory().Value(); want > has {
		lacks = append(lacks, fmt.Sprintf("memory, requested: %d, allocatable: %d", want, has))
	}
	return lacks
}
