// Package serviceaccounttoken fills secrets of type kubernetes.io/service-account-token with a token of the service
// account that they name, and deletes those whose service account is gone.
package serviceaccounttoken

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/sampan-project/sampan/pkg/accounttoken"
	"github.com/sampan-project/sampan/pkg/controller"
)

// Options are what goes into secrets.
type Options struct {
	Signer jose.Signer
	RootCA []byte // PEM; empty: secrets get none
}

// key names a secret, and the service account to which it belongs: when the secret is gone nothing else tells.
type key struct{ namespace, secret, account string }

// tokens is the controller.
type tokens struct {
	Options
	env      *controller.Env
	loop     *controller.Loop[key]
	secrets  corelisters.SecretLister
	accounts corelisters.ServiceAccountLister
	// The caches behind the listers.
	secretStore, accountStore cache.Store
}

// New makes the controller.
func New(env *controller.Env, workers int, o Options) (controller.Runner, error) {
	secrets, accounts := env.Informers.Core().V1().Secrets(), env.Informers.Core().V1().ServiceAccounts()
	t := &tokens{
		Options: o, env: env, secrets: secrets.Lister(), accounts: accounts.Lister(),
		secretStore: secrets.Informer().GetStore(), accountStore: accounts.Informer().GetStore(),
	}
	t.loop = controller.New(env, "serviceaccount_tokens_service", workers, t.reconcile)
	controller.Watch(t.loop, secrets.Informer(), func(old, now *corev1.Secret) []key {
		return keysOf(controller.Latest(old, now))
	})
	controller.Watch(t.loop, accounts.Informer(), func(old, now *corev1.ServiceAccount) []key {
		if old == nil || now != nil && now.UID == old.UID {
			return nil
		}
		return t.of(old)
	})
	return t.loop, nil
}

// keysOf is the key of a secret, none where it holds no token.
func keysOf(s *corev1.Secret) []key {
	account := s.Annotations[corev1.ServiceAccountNameKey]
	if s.Type != corev1.SecretTypeServiceAccountToken || account == "" {
		return nil
	}
	return []key{{s.Namespace, s.Name, account}}
}

// of are the secrets that hold tokens of a service account.
func (t *tokens) of(account *corev1.ServiceAccount) (keys []key) {
	all, err := t.secrets.Secrets(account.Namespace).List(labels.Everything())
	if err != nil {
		t.loop.Log().Error(err, "Listing the secrets of a service account", "namespace", account.Namespace)
	}
	for _, s := range all {
		if s.Annotations[corev1.ServiceAccountNameKey] == account.Name {
			keys = append(keys, keysOf(s)...)
		}
	}
	return keys
}

func (t *tokens) reconcile(ctx context.Context, k key) (controller.Result, error) {
	secret, err := t.secrets.Secrets(k.namespace).Get(k.secret)
	switch {
	case apierrors.IsNotFound(err):
		return controller.Result{}, t.unlist(ctx, k)
	case err != nil:
		return controller.Result{}, fmt.Errorf("reading secret %s/%s: %w", k.namespace, k.secret, err)
	case len(keysOf(secret)) == 0: // another one has its name now
		return controller.Result{}, nil
	}
	account, err := t.accountOf(ctx, secret)
	if err != nil {
		return controller.Result{}, err
	}
	if account == nil {
		return controller.Result{}, t.remove(ctx, k, secret)
	}
	return controller.Result{}, t.fill(ctx, k, secret, account)
}

// accountOf finds the service account that a secret names, nil where it is gone. The cache may not have it yet.
func (t *tokens) accountOf(ctx context.Context, s *corev1.Secret) (*corev1.ServiceAccount, error) {
	name, uid := s.Annotations[corev1.ServiceAccountNameKey], s.Annotations[corev1.ServiceAccountUIDKey]
	same := func(a *corev1.ServiceAccount) bool { return uid == "" || uid == string(a.UID) }
	if a, err := t.accounts.ServiceAccounts(s.Namespace).Get(name); err == nil && same(a) {
		return a, nil
	}
	a, err := t.env.Client.CoreV1().ServiceAccounts(s.Namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) || err == nil && !same(a):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading service account %s/%s: %w", s.Namespace, name, err)
	}
	return a, nil
}

func (t *tokens) remove(ctx context.Context, k key, s *corev1.Secret) error {
	this := metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(s.UID))}
	err := t.env.Client.CoreV1().Secrets(s.Namespace).Delete(ctx, s.Name, this)
	switch {
	case err == nil:
		t.loop.Deleted(k, t.secretStore, s)
	case apierrors.IsNotFound(err), apierrors.IsConflict(err): // it is gone, or another one has its name
	default:
		return fmt.Errorf("deleting the token %s/%s of a service account that is gone: %w", s.Namespace, s.Name, err)
	}
	return nil
}

func (t *tokens) fill(ctx context.Context, k key, s *corev1.Secret, account *corev1.ServiceAccount) error {
	want, err := t.filled(s, account)
	if err != nil || want == nil {
		return err
	}
	written, err := t.env.Client.CoreV1().Secrets(s.Namespace).Update(ctx, want, metav1.UpdateOptions{})
	switch {
	case err == nil:
		t.loop.Wrote(k, t.secretStore, written)
	case apierrors.IsNotFound(err):
	default:
		return fmt.Errorf("writing the token %s/%s: %w", s.Namespace, s.Name, err)
	}
	return nil
}

// filled is the secret with all that belongs into it, nil where it lacks nothing. A token that is there stays.
func (t *tokens) filled(s *corev1.Secret, account *corev1.ServiceAccount) (*corev1.Secret, error) {
	ca := len(t.RootCA) > 0 && !bytes.Equal(s.Data[corev1.ServiceAccountRootCAKey], t.RootCA)
	namespace := len(s.Data[corev1.ServiceAccountNamespaceKey]) == 0
	token := len(s.Data[corev1.ServiceAccountTokenKey]) == 0
	if !ca && !namespace && !token {
		return nil, nil
	}
	out := s.DeepCopy()
	if out.Data == nil {
		out.Data = map[string][]byte{}
	}
	if ca {
		out.Data[corev1.ServiceAccountRootCAKey] = t.RootCA
	}
	if namespace {
		out.Data[corev1.ServiceAccountNamespaceKey] = []byte(s.Namespace)
	}
	if token {
		signed, err := accounttoken.SignLegacy(t.Signer, account, s.Name)
		if err != nil {
			return nil, err
		}
		out.Data[corev1.ServiceAccountTokenKey] = []byte(signed)
	}
	out.Annotations[corev1.ServiceAccountUIDKey] = string(account.UID)
	return out, nil
}

// unlist takes a secret that is gone from those that its service account lists.
func (t *tokens) unlist(ctx context.Context, k key) error {
	account, err := t.accounts.ServiceAccounts(k.namespace).Get(k.account)
	if err != nil {
		return nil // gone, too
	}
	named := func(r corev1.ObjectReference) bool { return r.Name == k.secret }
	if !slices.ContainsFunc(account.Secrets, named) {
		return nil
	}
	account = account.DeepCopy()
	account.Secrets = slices.DeleteFunc(account.Secrets, named)
	written, err := t.env.Client.CoreV1().ServiceAccounts(k.namespace).Update(ctx, account, metav1.UpdateOptions{})
	switch {
	case err == nil:
		t.loop.Wrote(k, t.accountStore, written)
	case apierrors.IsNotFound(err):
	default:
		return fmt.Errorf("taking the token %s from service account %s/%s: %w", k.secret, k.namespace, k.account, err)
	}
	return nil
}
