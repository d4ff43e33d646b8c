// Package ttl tells each node, in an annotation, how long its kubelet may keep secrets and config maps
// before it asks again: longer, the more nodes there are.
package ttl

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sampan-project/sampan/pkg/controller"
)

// steps overlap, so that a cluster at a boundary does not go to and fro.
var steps = []struct{ from, to, seconds int }{
	{0, 100, 0}, {90, 500, 15}, {450, 1000, 30}, {900, 2000, 60}, {1800, 10000, 300},
}

// next moves from one step to that which fits n nodes.
func next(step, n int) int {
	for step < len(steps)-1 && n > steps[step].to {
		step++
	}
	for step > 0 && n < steps[step].from {
		step--
	}
	return step
}

// New makes the controller. Its keys are names of nodes.
func New(env *controller.Env) (controller.Runner, error) {
	nodes := env.Informers.Core().V1().Nodes()
	lister := nodes.Lister()
	var mu sync.Mutex
	step := 0
	var loop *controller.Loop[string]
	loop = controller.New(env, "ttlcontroller", 1, func(ctx context.Context, name string) (controller.Result, error) {
		all, err := lister.List(labels.Everything())
		if err != nil {
			return controller.Result{}, fmt.Errorf("listing nodes: %w", err)
		}
		mu.Lock()
		before := step
		step = next(step, len(all))
		changed, want := before != step, strconv.Itoa(steps[step].seconds)
		mu.Unlock()
		if changed {
			for _, n := range all {
				loop.Add(n.Name)
			}
		}
		node, err := lister.Get(name)
		if apierrors.IsNotFound(err) || err == nil && node.Annotations[corev1.ObjectTTLAnnotationKey] == want {
			return controller.Result{}, nil
		} else if err != nil {
			return controller.Result{}, fmt.Errorf("reading node %s: %w", name, err)
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{corev1.ObjectTTLAnnotationKey: want}}})
		if err != nil {
			return controller.Result{}, fmt.Errorf("encoding a patch: %w", err)
		}
		_, err = env.Client.CoreV1().Nodes().Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return controller.Result{}, fmt.Errorf("annotating node %s: %w", name, err)
		}
		return controller.Result{}, nil
	})
	controller.Watch(loop, nodes.Informer(), func(old, n *corev1.Node) []string {
		if n == nil {
			return []string{old.Name}
		}
		if old != nil && old.Annotations[corev1.ObjectTTLAnnotationKey] == n.Annotations[corev1.ObjectTTLAnnotationKey] {
			return nil
		}
		return []string{n.Name}
	})
	return loop, nil
}
