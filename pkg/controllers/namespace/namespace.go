// Package namespace empties a namespace that is being deleted, of whatever kind its content is, and
// then lets it go.
package namespace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/metadata"

	"github.com/sampan-project/sampan/pkg/controller"
)

const (
	// settle is the pause after a deletion begins, in which the apiservers come to know of it and refuse
	// new content.
	settle = time.Second
	// defaultEstimate is how many seconds content is given that waits for its finalizers.
	defaultEstimate = int64(15)
)

type reconciler struct {
	*controller.Loop[string]
	env      *controller.Env
	client   kubernetes.Interface
	metadata metadata.Interface
	lister   corelisters.NamespaceLister
}

// New makes the controller. Its keys are names of namespaces.
func New(env *controller.Env, workers int) (controller.Runner, error) {
	informer := env.Informers.Core().V1().Namespaces()
	r := &reconciler{env: env, client: env.Client, metadata: env.Metadata, lister: informer.Lister()}
	r.Loop = controller.New(env, "namespace", workers, controller.Of(r.lister.Get, r.reconcile))
	controller.Watch(r.Loop, informer.Informer(), func(_, ns *corev1.Namespace) []string {
		if ns != nil && ns.DeletionTimestamp != nil {
			return []string{ns.Name}
		}
		return nil
	})
	controller.Watch(r.Loop, env.Informers.Core().V1().Pods().Informer(), func(old, pod *corev1.Pod) []string {
		if pod != nil {
			return nil
		}
		if ns, err := r.lister.Get(old.Namespace); err == nil && ns.DeletionTimestamp != nil {
			return []string{ns.Name} // pods go first; the rest need not wait for the clock
		}
		return nil
	})
	return r, nil
}

func (r *reconciler) reconcile(ctx context.Context, name string, cached *corev1.Namespace) (controller.Result, error) {
	if cached.DeletionTimestamp == nil || len(cached.Spec.Finalizers) == 0 {
		return controller.Result{}, nil
	}
	if wait := cached.DeletionTimestamp.Add(settle).Sub(r.env.Clock.Now()); wait > 0 && wait <= settle {
		return controller.Result{After: wait}, nil
	}
	ns := cached.DeepCopy()
	if ns.Status.Phase != corev1.NamespaceTerminating {
		ns.Status.Phase = corev1.NamespaceTerminating
		var err error
		if ns, err = r.client.CoreV1().Namespaces().UpdateStatus(ctx, ns, metav1.UpdateOptions{}); err != nil {
			return controller.Result{}, ignoreGone(err, "marking namespace %s as terminating", name)
		}
	}
	if !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		return controller.Result{}, nil // others have work left
	}
	return r.empty(ctx, ns)
}

func (r *reconciler) empty(ctx context.Context, ns *corev1.Namespace) (controller.Result, error) {
	list, discoveryErr, parseErr := discover(r.client.Discovery())
	left := r.deleteAll(ctx, ns.Name, list)
	failures := errors.Join(discoveryErr, parseErr, errors.Join(left.failures...))
	if conditions(&ns.Status, discoveryErr, parseErr, left, r.env.Clock.Now()) {
		written, err := r.client.CoreV1().Namespaces().UpdateStatus(ctx, ns, metav1.UpdateOptions{})
		if err != nil {
			return controller.Result{}, ignoreGone(err, "writing the conditions of namespace %s", ns.Name)
		}
		ns = written
	}
	if failures != nil {
		return controller.Result{}, fmt.Errorf("emptying namespace %s: %w", ns.Name, failures)
	}
	if len(left.left) > 0 {
		return controller.Result{After: pause(left.estimate)}, nil
	}
	ns = ns.DeepCopy()
	ns.Spec.Finalizers = slices.DeleteFunc(ns.Spec.Finalizers, func(f corev1.FinalizerName) bool { return f == corev1.FinalizerKubernetes })
	_, err := r.client.CoreV1().Namespaces().Finalize(ctx, ns, metav1.UpdateOptions{})
	return controller.Result{}, ignoreGone(err, "finalizing namespace %s", ns.Name)
}

// pause is half of what the content is expected to take, so that content that goes earlier is noticed.
func pause(estimate int64) time.Duration {
	return min(time.Duration(estimate)*time.Second/2+time.Second, 5*time.Second)
}

func ignoreGone(err error, format, name string) error {
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf(format+": %w", name, err)
}
