// Package podgc deletes pods that nobody else will: too many ended ones, those of nodes that are gone or
// out of service, and those deleted before they ever had a node.
package podgc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/pods"
)

const (
	every = 20 * time.Second
	// quarantine is how long a node must be missing before its pods count as orphans.
	quarantine = 40 * time.Second
)

type collector struct {
	env       *controller.Env
	client    kubernetes.Interface
	pods      corelisters.PodLister
	nodes     corelisters.NodeLister
	threshold int

	mu      sync.Mutex
	missing map[string]time.Time // nodes not found, since when
}

// New makes the controller. threshold is how many ended pods may stay; 0 or less: all.
func New(env *controller.Env, threshold int) (controller.Runner, error) {
	core := env.Informers.Core().V1()
	c := &collector{env: env, client: env.Client, pods: core.Pods().Lister(), nodes: core.Nodes().Lister(), threshold: threshold, missing: map[string]time.Time{}}
	return &controller.Periodic{
		Env: env, Name: "pod-garbage-collector", Every: every, Do: c.collect,
		Needs: []cache.SharedIndexInformer{core.Pods().Informer(), core.Nodes().Informer()},
	}, nil
}

func (c *collector) collect(ctx context.Context) error {
	list, err := c.pods.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	nodes, err := c.nodes.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	byName := map[string]*corev1.Node{}
	for _, n := range nodes {
		byName[n.Name] = n
	}
	gone, err := c.goneNodes(ctx, list, byName)
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range Doomed(list, byName, gone, c.threshold) {
		if err := c.delete(ctx, d); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// goneNodes are nodes that pods are on and that have been missing for the quarantine, and still are when
// the apiserver itself is asked.
func (c *collector) goneNodes(ctx context.Context, list []*corev1.Pod, known map[string]*corev1.Node) (map[string]bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.env.Clock.Now()
	still := map[string]time.Time{}
	for _, p := range list {
		if n := p.Spec.NodeName; n != "" && known[n] == nil {
			since, ok := c.missing[n]
			if !ok {
				since = now
			}
			still[n] = since
		}
	}
	c.missing = still
	gone := map[string]bool{}
	for n, since := range still {
		if now.Sub(since) < quarantine {
			continue
		}
		switch _, err := c.client.CoreV1().Nodes().Get(ctx, n, metav1.GetOptions{}); {
		case apierrors.IsNotFound(err):
			gone[n] = true
		case err != nil:
			return nil, fmt.Errorf("asking for node %s: %w", n, err)
		}
	}
	return gone, nil
}

func (c *collector) delete(ctx context.Context, d Deletion) error {
	if d.Reason != "" && !pods.Terminal(d.Pod) {
		status := map[string]any{"phase": corev1.PodFailed, "conditions": []corev1.PodCondition{{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByPodGC", Message: d.Reason,
			LastTransitionTime: metav1.NewTime(c.env.Clock.Now()), ObservedGeneration: d.Pod.Generation,
		}}}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": d.Pod.UID}, "status": status})
		if err != nil {
			return fmt.Errorf("encoding a pod's status: %w", err)
		}
		_, err = c.client.CoreV1().Pods(d.Pod.Namespace).Patch(ctx, d.Pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("marking pod %s/%s as failed: %w", d.Pod.Namespace, d.Pod.Name, err)
		}
	}
	err := c.client.CoreV1().Pods(d.Pod.Namespace).Delete(ctx, d.Pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: ptr.To[int64](0), Preconditions: metav1.NewUIDPreconditions(string(d.Pod.UID)),
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("deleting pod %s/%s: %w", d.Pod.Namespace, d.Pod.Name, err)
	}
	return nil
}
