package node

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-helpers/apimachinery/lease"

	"github.com/sampan-project/sampan/pkg/daemon"
)

const (
	attachDetachAnnotation = "volumes.kubernetes.io/controller-managed-attach-detach"
	providedIPAnnotation   = "alpha.kubernetes.io/provided-node-ip"
	uninitializedTaint     = "node.cloudprovider.kubernetes.io/uninitialized"
)

// Pauses between attempts to register, and how many times faster than its duration a lease is renewed.
const (
	firstRetry  = 100 * time.Millisecond
	lastRetry   = 7 * time.Second
	renewFactor = 4
)

func nodeInformer(client kubernetes.Interface, name string) cache.SharedIndexInformer {
	return informers.NewSharedInformerFactoryWithOptions(client, 0,
		informers.WithTransform(daemon.DropManagedFields),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
		})).Core().V1().Nodes().Informer()
}

// defaultLabels are kept right on every start; others are set once.
func (m *Manager) defaultLabels() map[string]string {
	return map[string]string{
		corev1.LabelHostname: m.config.Hostname, corev1.LabelOSStable: runtime.GOOS, corev1.LabelArchStable: runtime.GOARCH,
		"beta.kubernetes.io/os": runtime.GOOS, "beta.kubernetes.io/arch": runtime.GOARCH,
	}
}

// initial is the Node as it is created.
func (m *Manager) initial() *corev1.Node {
	c := m.config
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: c.Name, Labels: map[string]string{}, Annotations: map[string]string{}},
		Spec:       corev1.NodeSpec{ProviderID: c.ProviderID, Taints: append([]corev1.Taint{}, c.Taints...)},
	}
	maps.Copy(n.Labels, c.Labels)
	maps.Copy(n.Labels, m.defaultLabels())
	if c.AttachDetach {
		n.Annotations[attachDetachAnnotation] = "true"
	}
	if c.ExternalCloud {
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: uninitializedTaint, Value: "true", Effect: corev1.TaintEffectNoSchedule})
		if len(c.IPs) > 0 {
			n.Annotations[providedIPAnnotation] = c.IPs[0].String()
		}
	}
	return n
}

// register creates the node, or sets an existing one right, and does not give up before ctx ends.
func (m *Manager) register(ctx context.Context) bool {
	for pause := firstRetry; ; pause = min(2*pause, lastRetry) {
		err := m.tryRegister(ctx)
		if err == nil {
			m.config.Log.Info("The node is registered", "node", m.config.Name)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		m.config.Log.Error(err, "The node is not registered yet; trying again", "node", m.config.Name, "after", pause.String())
		select {
		case <-ctx.Done():
			return false
		case <-m.config.Clock.After(pause):
		}
	}
}

func (m *Manager) tryRegister(ctx context.Context) error {
	m.askRuntime(ctx)
	n := m.initial()
	m.setStatus(n)
	nodes := m.config.Client.CoreV1().Nodes()
	_, err := nodes.Create(ctx, n, metav1.CreateOptions{})
	if err == nil || !apierrors.IsAlreadyExists(err) && !apierrors.IsForbidden(err) {
		return err
	}
	// Whoever may not create nodes may still own one that an administrator has made.
	existing, getErr := nodes.Get(ctx, n.Name, metav1.GetOptions{})
	if getErr != nil {
		return fmt.Errorf("registering the node: %w; getting it: %w", err, getErr)
	}
	return m.reconcile(ctx, existing)
}

// reconcile sets an existing node's labels and annotation right.
func (m *Manager) reconcile(ctx context.Context, existing *corev1.Node) error {
	updated := existing.DeepCopy()
	if updated.Labels == nil {
		updated.Labels = map[string]string{}
	}
	maps.Copy(updated.Labels, m.defaultLabels())
	if updated.Annotations == nil {
		updated.Annotations = map[string]string{}
	}
	if m.config.AttachDetach {
		updated.Annotations[attachDetachAnnotation] = "true"
	} else {
		delete(updated.Annotations, attachDetachAnnotation)
	}
	updated.Spec.ProviderID = cmp.Or(updated.Spec.ProviderID, m.config.ProviderID)
	if equality.Semantic.DeepEqual(existing, updated) {
		return nil
	}
	before, err := json.Marshal(existing)
	if err != nil {
		return err
	}
	after, err := json.Marshal(updated)
	if err != nil {
		return err
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, corev1.Node{})
	if err != nil {
		return fmt.Errorf("computing the patch of the existing node: %w", err)
	}
	if _, err := m.config.Client.CoreV1().Nodes().Patch(ctx, existing.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("patching the existing node: %w", err)
	}
	return nil
}

// keepLease renews the node's lease until ctx ends.
func (m *Manager) keepLease(ctx context.Context) {
	c := m.config
	owner := func(l *coordinationv1.Lease) error {
		if len(l.OwnerReferences) > 0 {
			return nil
		}
		// The lease goes with its node.
		n := m.Node()
		if n.UID == "" {
			var err error
			if n, err = c.Client.CoreV1().Nodes().Get(ctx, c.Name, metav1.GetOptions{}); err != nil {
				return fmt.Errorf("getting the node that owns the lease: %w", err)
			}
		}
		l.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: c.Name, UID: n.UID}}
		return nil
	}
	lease.NewController(c.Clock, c.Client, c.Name, int32(c.LeaseDuration.Seconds()), func() {
		c.Log.Info("The node's lease cannot be renewed; the apiserver may be unreachable", "node", c.Name)
	}, c.LeaseDuration/renewFactor, c.Name, corev1.NamespaceNodeLease, owner).Run(ctx)
}
