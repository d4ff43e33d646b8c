// Package rootca publishes the cluster's certificate authority to every namespace, in the ConfigMap
// kube-root-ca.crt, with which pods trust the apiserver.
package rootca

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/controller"
)

const (
	name        = "kube-root-ca.crt"
	description = "kubernetes.io/description"
	explanation = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. " +
		"No other usage is guaranteed across distributions of Kubernetes clusters."
)

// New makes the controller, which publishes pem. Its keys are names of namespaces.
func New(env *controller.Env, pem []byte) (controller.Runner, error) {
	namespaces, published := env.Informers.Core().V1().Namespaces(), env.Informers.Core().V1().ConfigMaps()
	lister, mapLister := namespaces.Lister(), published.Lister()
	var loop *controller.Loop[string]
	loop = controller.New(env, "root-ca-cert-publisher", 1, controller.Of(lister.Get, func(ctx context.Context, namespace string, ns *corev1.Namespace) (controller.Result, error) {
		if ns.Status.Phase == corev1.NamespaceTerminating {
			return controller.Result{}, nil
		}
		have, err := mapLister.ConfigMaps(namespace).Get(name)
		if err != nil && !apierrors.IsNotFound(err) {
			return controller.Result{}, fmt.Errorf("reading config map %s/%s: %w", namespace, name, err)
		}
		if err != nil {
			have = nil
		}
		want := Wanted(have, namespace, pem)
		if want == nil {
			return controller.Result{}, nil
		}
		var written *corev1.ConfigMap
		if have == nil {
			written, err = env.Client.CoreV1().ConfigMaps(namespace).Create(ctx, want, metav1.CreateOptions{})
		} else {
			written, err = env.Client.CoreV1().ConfigMaps(namespace).Update(ctx, want, metav1.UpdateOptions{})
		}
		switch {
		case err == nil:
			loop.Wrote(namespace, published.Informer().GetStore(), written)
		case apierrors.IsNotFound(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		default:
			return controller.Result{}, fmt.Errorf("publishing the certificate authority in %s: %w", namespace, err)
		}
		return controller.Result{}, nil
	}))
	controller.Watch(loop, namespaces.Informer(), controller.WhileThere[corev1.Namespace])
	controller.Watch(loop, published.Informer(), func(old, now *corev1.ConfigMap) []string {
		if now = controller.Latest(old, now); now.Name != name {
			return nil
		}
		return []string{now.Namespace}
	})
	return loop, nil
}

// Wanted is the config map to write, nil where have is right.
func Wanted(have *corev1.ConfigMap, namespace string, pem []byte) *corev1.ConfigMap {
	data := map[string]string{"ca.crt": string(pem)}
	if have == nil {
		return &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: map[string]string{description: explanation}},
			Data:       data,
		}
	}
	if maps.Equal(have.Data, data) && have.Annotations[description] != "" {
		return nil
	}
	want := have.DeepCopy()
	want.Data = data
	if want.Annotations == nil {
		want.Annotations = map[string]string{}
	}
	want.Annotations[description] = explanation
	return want
}
