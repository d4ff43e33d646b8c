// Package nodeipam gives every node its part of the pods' address ranges.
package nodeipam

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/sampan-project/sampan/pkg/controller"
)

// Options are the ranges, as the flags give them. A mask of 0 stands for its default.
type Options struct {
	ClusterCIDRs             []string
	ServiceCIDR              string
	Mask, MaskIPv4, MaskIPv6 int
}

type allocator struct {
	*controller.Loop[string]
	client kubernetes.Interface
	events record.EventRecorder
	nodes  corelisters.NodeLister
	store  cache.Store
	ranges []*ranges
}

// New makes the controller. Its keys are names of nodes.
func New(env *controller.Env, opt Options) (controller.Runner, error) {
	parts, err := parse(opt)
	if err != nil {
		return nil, err
	}
	nodes := env.Informers.Core().V1().Nodes()
	a := &allocator{client: env.Client, events: env.Events("cidrAllocator"), nodes: nodes.Lister(), store: nodes.Informer().GetStore(), ranges: parts}
	a.Loop = controller.New(env, "node_ipam", 1, controller.Of(a.nodes.Get, a.reconcile))
	// What nodes have must be known before the first new node gets any.
	a.Before = func(context.Context) error { return a.occupyAll() }
	controller.Watch(a.Loop, nodes.Informer(), func(old, n *corev1.Node) []string {
		if n != nil {
			if len(n.Spec.PodCIDRs) > 0 {
				return nil
			}
			return []string{n.Name}
		}
		a.release(old)
		return nil
	})
	return a, nil
}

func parse(opt Options) ([]*ranges, error) {
	if len(opt.ClusterCIDRs) == 0 || len(opt.ClusterCIDRs) > 2 {
		return nil, fmt.Errorf("--cluster-cidr names %d ranges: give one, or one for each IP family", len(opt.ClusterCIDRs))
	}
	var parts []*ranges
	for i, s := range opt.ClusterCIDRs {
		p, err := netip.ParsePrefix(strings.TrimSpace(s))
		if err != nil {
			return nil, fmt.Errorf("--cluster-cidr: %q is not a range like 10.244.0.0/16: %w", s, err)
		}
		if i == 1 && p.Addr().Is4() == parts[0].all.Addr().Is4() {
			return nil, errors.New("--cluster-cidr names two ranges of one IP family: give one for each")
		}
		r, err := newRanges(p, mask(opt, p, len(opt.ClusterCIDRs) == 2))
		if err != nil {
			return nil, err
		}
		parts = append(parts, r)
	}
	for s := range strings.SplitSeq(opt.ServiceCIDR, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("--service-cluster-ip-range: %q is not a range like 10.96.0.0/12: %w", s, err)
		}
		for _, r := range parts {
			r.occupy(p)
		}
	}
	return parts, nil
}

func mask(opt Options, p netip.Prefix, dual bool) int {
	size, fallback := opt.MaskIPv4, 24
	if p.Addr().Is6() {
		size, fallback = opt.MaskIPv6, 64
	}
	if size == 0 && !dual {
		size = opt.Mask
	}
	return cmp.Or(size, fallback)
}

func (a *allocator) occupyAll() error {
	list, err := a.nodes.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	for _, n := range list {
		for _, s := range n.Spec.PodCIDRs {
			p, err := netip.ParsePrefix(s)
			if err != nil {
				return fmt.Errorf("node %s has the pod range %q, which is none: %w", n.Name, s, err)
			}
			for _, r := range a.ranges {
				r.occupy(p)
			}
		}
	}
	return nil
}

func (a *allocator) release(n *corev1.Node) {
	for i, s := range n.Spec.PodCIDRs {
		if p, err := netip.ParsePrefix(s); err == nil && i < len(a.ranges) && a.ranges[i].all.Overlaps(p) {
			a.ranges[i].release(p)
		}
	}
}

func (a *allocator) reconcile(ctx context.Context, name string, node *corev1.Node) (controller.Result, error) {
	if len(node.Spec.PodCIDRs) > 0 {
		return controller.Result{}, nil
	}
	var taken []netip.Prefix
	giveBack := func() {
		for i, p := range taken {
			a.ranges[i].release(p)
		}
	}
	var texts []string
	for _, r := range a.ranges {
		p, err := r.take()
		if err != nil {
			giveBack()
			a.nodeEvent(node, "CIDRNotAvailable")
			return controller.Result{}, fmt.Errorf("giving node %s a pod range: %w", name, err)
		}
		taken, texts = append(taken, p), append(texts, p.String())
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": node.UID}, "spec": map[string]any{"podCIDR": texts[0], "podCIDRs": texts},
	})
	if err != nil {
		return controller.Result{}, fmt.Errorf("encoding a patch: %w", err)
	}
	written, err := a.client.CoreV1().Nodes().Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	if err == nil {
		a.Wrote(name, a.store, written)
	} else {
		// A timeout may hide that it was written: then the ranges stay taken until the next start.
		if !apierrors.IsServerTimeout(err) && !apierrors.IsTimeout(err) {
			giveBack()
		}
		if apierrors.IsNotFound(err) {
			return controller.Result{}, nil
		}
		a.nodeEvent(node, "CIDRAssignmentFailed")
		return controller.Result{}, fmt.Errorf("giving node %s its pod ranges %s: %w", name, strings.Join(texts, ","), err)
	}
	return controller.Result{}, nil
}

func (a *allocator) nodeEvent(n *corev1.Node, status string) {
	ref := &corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: n.Name, UID: n.UID}
	a.events.Eventf(ref, corev1.EventTypeNormal, status, "Node %s status is now: %s", n.Name, status)
}
