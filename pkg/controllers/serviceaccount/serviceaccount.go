// Package serviceaccount sees to it that every namespace has its service account "default".
package serviceaccount

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/controller"
)

const account = "default"

// New makes the controller. Its keys are names of namespaces.
func New(env *controller.Env, workers int) (controller.Runner, error) {
	namespaces, accounts := env.Informers.Core().V1().Namespaces(), env.Informers.Core().V1().ServiceAccounts()
	lister, accountLister := namespaces.Lister(), accounts.Lister()
	var loop *controller.Loop[string]
	loop = controller.New(env, "serviceaccount", workers, controller.Of(lister.Get, func(ctx context.Context, name string, ns *corev1.Namespace) (controller.Result, error) {
		if _, err := accountLister.ServiceAccounts(name).Get(account); err == nil || ns.Status.Phase == corev1.NamespaceTerminating {
			return controller.Result{}, nil
		}
		made, err := env.Client.CoreV1().ServiceAccounts(name).Create(ctx,
			&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: account}}, metav1.CreateOptions{})
		switch {
		case err == nil:
			loop.Wrote(name, accounts.Informer().GetStore(), made)
		case apierrors.IsAlreadyExists(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		case apierrors.IsNotFound(err): // the namespace is gone
		default:
			return controller.Result{}, fmt.Errorf("creating service account %s/%s: %w", name, account, err)
		}
		return controller.Result{}, nil
	}))
	controller.Watch(loop, namespaces.Informer(), controller.WhileThere[corev1.Namespace])
	controller.Watch(loop, accounts.Informer(), func(old, now *corev1.ServiceAccount) []string {
		if now == nil && old.Name == account {
			return []string{old.Namespace}
		}
		return nil
	})
	return loop, nil
}
