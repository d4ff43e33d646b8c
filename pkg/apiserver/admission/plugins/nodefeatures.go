package plugins

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/component-helpers/nodedeclaredfeatures"
	"k8s.io/component-helpers/nodedeclaredfeatures/features"
	"k8s.io/component-helpers/nodedeclaredfeatures/types"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/daemon"
)

// nodeFeatures refuses to change a pod in a way that its node has not declared to be able to carry out.
func nodeFeatures(cfg *Config) admission.Plugin {
	known, served := nodedeclaredfeatures.New(slices.Clone(features.AllFeatures)), version.MustParse(daemon.Version)
	return admission.Plugin{On: admission.On(admission.Update), Validate: func(ctx context.Context, a *admission.Attributes) error {
		pod, is := a.Object.(*corev1.Pod)
		old, was := a.OldObject.(*corev1.Pod)
		if !is || !was || !a.Is("", "pods", "") && !a.Is("", "pods", "resize") ||
			pod.Spec.NodeName == "" || pod.Generation == old.Generation {
			return nil
		}
		before, after := &types.PodInfo{Spec: &old.Spec, Status: &old.Status}, &types.PodInfo{Spec: &pod.Spec, Status: &pod.Status}
		needed, err := known.InferForPodUpdate(before, after, served)
		if err != nil {
			return admission.Forbidden(a, fmt.Errorf("failed to infer pod capability requirements: %w", err))
		}
		if needed.IsEmpty() {
			return nil
		}
		node, err := nodeOf(ctx, cfg, a, pod)
		if err != nil {
			return err
		}
		match, err := known.MatchNode(needed, node)
		switch {
		case err != nil:
			return admission.Forbidden(a, fmt.Errorf("failed to match pod requirements against node %q: %w", node.Name, err))
		case !match.IsMatch:
			return admission.Forbidden(a, fmt.Errorf("pod update requires features %s which are not available on node %q",
				strings.Join(match.UnsatisfiedRequirements, ", "), node.Name))
		}
		return nil
	}}
}

// nodeOf finds the node of a pod; its error is the refusal of a write to the pod.
func nodeOf(ctx context.Context, cfg *Config, a *admission.Attributes, pod *corev1.Pod) (*corev1.Node, error) {
	node, err := find[*corev1.Node](ctx, cfg.Access, nodes, "", pod.Spec.NodeName)
	switch {
	case apierrors.IsNotFound(err):
		return nil, admission.Forbidden(a, fmt.Errorf("node %q not found", pod.Spec.NodeName))
	case err != nil:
		return nil, admission.Forbidden(a, fmt.Errorf("failed to get node %q: %w", pod.Spec.NodeName, err))
	}
	return node, nil
}
