// Package daemonset runs one pod of each DaemonSet on every node that it fits.
package daemonset

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	appslisters "k8s.io/client-go/listers/apps/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/ptr"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/claim"
	"github.com/sampan-project/sampan/pkg/controller/history"
	"github.com/sampan-project/sampan/pkg/controller/pods"
)

const burst = 250

type reconciler struct {
	*controller.Loop[controller.Key]
	env     *controller.Env
	client  kubernetes.Interface
	events  record.EventRecorder
	sets    appslisters.DaemonSetLister
	store   cache.Store
	nodes   corelisters.NodeLister
	pods    cache.SharedIndexInformer
	control pods.Control
	history history.Keeper
}

// New makes the controller.
func New(env *controller.Env, workers int) (controller.Runner, error) {
	sets, revisions := env.Informers.Apps().V1().DaemonSets(), env.Informers.Apps().V1().ControllerRevisions()
	core := env.Informers.Core().V1()
	r := &reconciler{
		env: env, client: env.Client, events: env.Events("daemonset-controller"), sets: sets.Lister(), store: sets.Informer().GetStore(),
		nodes: core.Nodes().Lister(), pods: core.Pods().Informer(),
	}
	r.control = pods.Control{Client: env.Client, Events: r.events}
	if err := pods.IndexByOwner(r.pods); err != nil {
		return nil, err
	}
	get := func(k controller.Key) (*appsv1.DaemonSet, error) { return r.sets.DaemonSets(k.Namespace).Get(k.Name) }
	r.Loop = controller.New(env, "daemonset", workers, controller.Of(get, r.reconcile))
	r.history = history.Keeper{Client: env.Client, Lister: revisions.Lister(), Store: revisions.Informer().GetStore(), Writes: r.Writes}
	controller.Watch(r.Loop, sets.Informer(), controller.Itself[appsv1.DaemonSet])
	controller.Watch(r.Loop, revisions.Informer(), func(old, rev *appsv1.ControllerRevision) []controller.Key {
		return controller.OwnerKey("DaemonSet", controller.Latest(old, rev))
	})
	controller.Watch(r.Loop, r.pods, controller.Dependents("DaemonSet", func(pod *corev1.Pod) []controller.Key {
		return controller.Selecting(r.sets.DaemonSets(pod.Namespace).List, selectorOf, pod)
	}))
	controller.Watch(r.Loop, core.Nodes().Informer(), r.keysOfNode)
	return r, nil
}

func selectorOf(ds *appsv1.DaemonSet) *metav1.LabelSelector { return ds.Spec.Selector }

// keysOfNode: the sets for which the node's change makes a difference.
func (r *reconciler) keysOfNode(old, node *corev1.Node) []controller.Key {
	if old != nil && node != nil && reflect.DeepEqual(old.Labels, node.Labels) && reflect.DeepEqual(old.Spec.Taints, node.Spec.Taints) {
		return nil
	}
	list, err := r.sets.List(labels.Everything())
	if err != nil {
		return nil
	}
	var keys []controller.Key
	for _, ds := range list {
		before, after := [2]bool{}, [2]bool{}
		if old != nil {
			before[0], before[1] = belongs(ds, old)
		}
		if node != nil {
			after[0], after[1] = belongs(ds, node)
		}
		if before != after || node == nil {
			keys = append(keys, controller.KeyOf(ds))
		}
	}
	return keys
}

func (r *reconciler) reconcile(ctx context.Context, key controller.Key, cached *appsv1.DaemonSet) (controller.Result, error) {
	ds := cached.DeepCopy()
	selector, err := metav1.LabelSelectorAsSelector(ds.Spec.Selector)
	if err != nil {
		return controller.Result{}, nil // the apiserver does not let one in
	}
	if selector.Empty() {
		r.events.Event(ds, corev1.EventTypeWarning, "SelectingAll", "This daemon set is selecting all pods. A non-empty selector is required.")
		return controller.Result{}, nil
	}
	if ds.DeletionTimestamp != nil {
		return controller.Result{}, nil
	}
	subject := r.subject(ds, selector)
	current, old, collided, err := r.history.Sync(ctx, subject)
	if collided {
		ds.Status.CollisionCount = new(ptr.Deref(ds.Status.CollisionCount, 0) + 1)
		return controller.Result{}, errors.Join(err, r.writeStatus(ctx, ds, cached.Status))
	} else if err != nil {
		return controller.Result{}, err
	}
	s, mine, err := r.look(ctx, ds, selector, current.Labels[appsv1.ControllerRevisionHashLabelKey])
	if err != nil {
		return controller.Result{}, err
	}
	if err := r.act(ctx, key, s); err != nil {
		return controller.Result{}, err
	}
	if err := r.cleanUp(ctx, subject, old, mine); err != nil {
		return controller.Result{}, err
	}
	ds.Status = s.status()
	return controller.Result{After: r.nextAvailable(ds, mine, s.now)}, r.writeStatus(ctx, ds, cached.Status)
}

func (r *reconciler) subject(ds *appsv1.DaemonSet, selector labels.Selector) *history.Subject {
	return &history.Subject{
		Object: ds, GVK: appsv1.SchemeGroupVersion.WithKind("DaemonSet"), Selector: selector, Template: &ds.Spec.Template,
		Limit: ds.Spec.RevisionHistoryLimit, Collisions: ds.Status.CollisionCount, HashLabel: appsv1.ControllerRevisionHashLabelKey,
		Live: func(ctx context.Context) (metav1.Object, error) {
			return r.client.AppsV1().DaemonSets(ds.Namespace).Get(ctx, ds.Name, metav1.GetOptions{})
		},
	}
}

// look gathers what a plan needs.
func (r *reconciler) look(ctx context.Context, ds *appsv1.DaemonSet, selector labels.Selector, hash string) (*state, []*corev1.Pod, error) {
	all, err := pods.OfOwner(r.pods, ds)
	if err != nil {
		return nil, nil, err
	}
	key := controller.KeyOf(ds)
	mine, err := (&claim.Claim[*corev1.Pod]{
		Owner: ds, Kind: appsv1.SchemeGroupVersion.WithKind("DaemonSet"), Selector: selector,
		Live: func(ctx context.Context) (metav1.Object, error) {
			return r.client.AppsV1().DaemonSets(ds.Namespace).Get(ctx, ds.Name, metav1.GetOptions{})
		},
		Patch: func(ctx context.Context, pod *corev1.Pod, patch []byte) (*corev1.Pod, error) {
			written, err := r.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
			if err == nil {
				r.Wrote(key, r.pods.GetStore(), written)
			}
			return written, err
		},
	}).All(ctx, all)
	if err != nil {
		return nil, nil, err
	}
	nodes, err := r.nodes.List(labels.Everything())
	if err != nil {
		return nil, nil, fmt.Errorf("listing nodes: %w", err)
	}
	s := &state{ds: ds, hash: hash, nodes: nodes, byNode: map[string][]*corev1.Pod{}, now: r.env.Clock.Now()}
	for _, p := range mine {
		s.byNode[nodeOf(p)] = append(s.byNode[nodeOf(p)], p)
	}
	return s, mine, nil
}

// act carries out the placement, and, where nothing is to be placed, the next step of a rolling update.
func (r *reconciler) act(ctx context.Context, key controller.Key, s *state) error {
	p := s.place()
	if len(p.create) == 0 && len(p.delete) == 0 && s.ds.Spec.UpdateStrategy.Type == appsv1.RollingUpdateDaemonSetStrategyType {
		p = s.roll()
	}
	for _, f := range p.failed {
		if f.Status.Phase == corev1.PodFailed {
			r.events.Eventf(s.ds, corev1.EventTypeWarning, "FailedDaemonPod", "Found failed daemon pod %s/%s on node %s, will try to kill it", f.Namespace, f.Name, f.Spec.NodeName)
		} else {
			r.events.Eventf(s.ds, corev1.EventTypeNormal, "SucceededDaemonPod", "Found succeeded daemon pod %s/%s on node %s, will try to delete it", f.Namespace, f.Name, f.Spec.NodeName)
		}
	}
	create := p.create[:min(len(p.create), burst)]
	_, err := pods.SlowStart(len(create), func(i int) error {
		pod, err := r.control.Create(ctx, podFor(s.ds, create[i], s.hash), s.ds)
		if err == nil {
			r.Wrote(key, r.pods.GetStore(), pod)
		} else if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			return nil
		}
		return err
	})
	for _, pod := range p.delete[:min(len(p.delete), burst)] {
		if e := r.control.Delete(ctx, pod, s.ds); e != nil {
			err = errors.Join(err, e)
		} else {
			r.Deleted(key, r.pods.GetStore(), pod)
		}
	}
	return err
}

func (r *reconciler) cleanUp(ctx context.Context, subject *history.Subject, old []*appsv1.ControllerRevision, mine []*corev1.Pod) error {
	live := map[string]bool{}
	for _, p := range mine {
		if h := p.Labels[appsv1.ControllerRevisionHashLabelKey]; h != "" {
			live[h] = true
		}
	}
	return r.history.CleanUp(ctx, subject, old, live)
}

func (r *reconciler) writeStatus(ctx context.Context, ds *appsv1.DaemonSet, before appsv1.DaemonSetStatus) error {
	if reflect.DeepEqual(ds.Status, before) {
		return nil
	}
	written, err := r.client.AppsV1().DaemonSets(ds.Namespace).UpdateStatus(ctx, ds, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("writing the status of daemon set %s/%s: %w", ds.Namespace, ds.Name, err)
	}
	r.Wrote(controller.KeyOf(ds), r.store, written)
	return nil
}

func (r *reconciler) nextAvailable(ds *appsv1.DaemonSet, mine []*corev1.Pod, now time.Time) time.Duration {
	var next time.Duration
	for _, p := range mine {
		if in := pods.AvailableIn(p, ds.Spec.MinReadySeconds, now); in > 0 && (next == 0 || in < next) {
			next = in
		}
	}
	return next
}
