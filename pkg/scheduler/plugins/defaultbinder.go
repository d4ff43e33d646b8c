package plugins

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/scheduler/framework"
)

// Binder writes a binding: client-go's Pods(namespace).Bind.
type Binder func(ctx context.Context, b *corev1.Binding) error

// defaultBinder tells the apiserver which node a pod goes to.
func defaultBinder(bind Binder) framework.Plugin {
	return framework.Plugin{
		Name: "DefaultBinder",
		Bind: func(ctx context.Context, pod *corev1.Pod, node string) *framework.Status {
			err := bind(ctx, &corev1.Binding{
				ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
				Target:     corev1.ObjectReference{Kind: "Node", Name: node},
			})
			if err != nil {
				return framework.AsStatus(fmt.Errorf("binding %s/%s to node %s: %w", pod.Namespace, pod.Name, node, err))
			}
			return nil
		},
	}
}
