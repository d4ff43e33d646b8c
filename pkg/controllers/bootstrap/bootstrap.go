package bootstrap

import (
	"context"
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sampan-project/sampan/pkg/controller"
)

// NewSigner makes the controller that signs cluster-info. It has one key.
func NewSigner(env *controller.Env) (controller.Runner, error) {
	info, secrets := env.Informers.Core().V1().ConfigMaps(), env.Informers.Core().V1().Secrets()
	infoLister, secretLister := info.Lister(), secrets.Lister()
	var loop *controller.Loop[string]
	loop = controller.New(env, "bootstrap_signer_queue", 1, func(ctx context.Context, key string) (controller.Result, error) {
		have, err := infoLister.ConfigMaps(infoNamespace).Get(infoName)
		if apierrors.IsNotFound(err) {
			return controller.Result{}, nil
		} else if err != nil {
			return controller.Result{}, fmt.Errorf("reading %s/%s: %w", infoNamespace, infoName, err)
		}
		list, err := secretLister.Secrets(secretNamespace).List(labels.Everything())
		if err != nil {
			return controller.Result{}, fmt.Errorf("listing bootstrap tokens: %w", err)
		}
		data, err := signatures(have.Data, list, env)
		if err != nil || maps.Equal(data, have.Data) {
			return controller.Result{}, err
		}
		want := have.DeepCopy()
		want.Data = data
		written, err := env.Client.CoreV1().ConfigMaps(infoNamespace).Update(ctx, want, metav1.UpdateOptions{})
		if err != nil {
			return controller.Result{}, fmt.Errorf("signing %s/%s: %w", infoNamespace, infoName, err)
		}
		loop.Wrote(key, info.Informer().GetStore(), written)
		return controller.Result{}, nil
	})
	controller.Watch(loop, info.Informer(), func(_, m *corev1.ConfigMap) []string {
		if m != nil && m.Namespace == infoNamespace && m.Name == infoName {
			return []string{infoName}
		}
		return nil
	})
	controller.Watch(loop, secrets.Informer(), func(old, s *corev1.Secret) []string {
		if s = controller.Latest(old, s); s.Namespace == secretNamespace && s.Type == secretType {
			return []string{infoName}
		}
		return nil
	})
	return loop, nil
}

// signatures is the data of cluster-info with one signature for each token, and none of others.
func signatures(data map[string]string, secrets []*corev1.Secret, env *controller.Env) (map[string]string, error) {
	content, ok := data[infoKey]
	if !ok {
		return data, nil
	}
	want := map[string]string{}
	for k, v := range data {
		if !strings.HasPrefix(k, signaturePrefix) {
			want[k] = v
		}
	}
	for _, s := range secrets {
		id, secret := token(s, env.Clock.Now())
		if id == "" {
			continue
		}
		signature, err := Detached(content, id, secret)
		if err != nil {
			return nil, err
		}
		want[signaturePrefix+id] = signature
	}
	return want, nil
}

// NewCleaner makes the controller that deletes expired tokens. Its keys are names of secrets in kube-system.
func NewCleaner(env *controller.Env) (controller.Runner, error) {
	secrets := env.Informers.Core().V1().Secrets()
	lister := secrets.Lister()
	clean := func(ctx context.Context, name string, s *corev1.Secret) (controller.Result, error) {
		until, ends := expiry(s)
		if s.Type != secretType || !ends {
			return controller.Result{}, nil
		}
		if wait := until.Sub(env.Clock.Now()); wait > 0 {
			return controller.Result{After: wait}, nil
		}
		err := env.Client.CoreV1().Secrets(secretNamespace).Delete(ctx, name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(s.UID))})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return controller.Result{}, fmt.Errorf("deleting the expired bootstrap token %s: %w", name, err)
		}
		return controller.Result{}, nil
	}
	loop := controller.New(env, "token_cleaner", 1, controller.Of(lister.Secrets(secretNamespace).Get, clean))
	controller.Watch(loop, secrets.Informer(), func(_, s *corev1.Secret) []string {
		if s != nil && s.Namespace == secretNamespace && s.Type == secretType {
			return []string{s.Name}
		}
		return nil
	})
	return loop, nil
}
