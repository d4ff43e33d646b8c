package serviceaccount

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/accounttoken"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// The keys of a user's extra values that tell which token it came with.
const (
	extraPodName      = "authentication.kubernetes.io/pod-name"
	extraPodUID       = "authentication.kubernetes.io/pod-uid"
	extraNodeName     = "authentication.kubernetes.io/node-name"
	extraNodeUID      = "authentication.kubernetes.io/node-uid"
	extraCredentialID = "authentication.kubernetes.io/credential-id"
)

// leeway is how far clocks may differ, and how long after the start of its deletion an object still counts.
const leeway = time.Minute

var errInvalidated = errors.New("service account token has been invalidated")

// identity checks the times of a verified token and the objects that it is bound to.
func (v *Verifier) identity(ctx context.Context, c *claims) (*request.User, error) {
	now := v.cfg.Now()
	switch err := c.Claims.ValidateWithLeeway(jwt.Expected{Time: now}, leeway); {
	case errors.Is(err, jwt.ErrExpired):
		return nil, errors.New("service account token has expired")
	case errors.Is(err, jwt.ErrNotValidYet):
		return nil, errors.New("service account token is not valid yet")
	case err != nil:
		return nil, fmt.Errorf("service account token claims could not be validated: %w", err)
	}
	k := c.Kubernetes
	if k == nil || k.ServiceAccount.Name == "" || c.Subject != accounttoken.Username(k.Namespace, k.ServiceAccount.Name) {
		return nil, errors.New("service account token claims could not be validated: it names no service account")
	}
	if v.cfg.Lookup {
		if err := v.alive(ctx, k, now); err != nil {
			return nil, err
		}
	}
	if k.WarnAfter != nil && *k.WarnAfter != 0 {
		if late := now.Sub(k.WarnAfter.Time()); late > 0 {
			v.cfg.Metrics.stale.Inc()
			v.cfg.Log.V(4).Info("A service account token was used after the life it was asked for", "subject", c.Subject, "late", late)
		} else {
			v.cfg.Metrics.refreshed.Inc()
		}
	}
	user := &request.User{
		Name:   c.Subject,
		UID:    k.ServiceAccount.UID,
		Groups: Groups(k.Namespace),
		Extra:  map[string][]string{},
	}
	if k.Pod != nil {
		user.Extra[extraPodName] = []string{k.Pod.Name}
		user.Extra[extraPodUID] = []string{k.Pod.UID}
	}
	if k.Node != nil {
		user.Extra[extraNodeName] = []string{k.Node.Name}
		if k.Node.UID != "" {
			user.Extra[extraNodeUID] = []string{k.Node.UID}
		}
	}
	if c.ID != "" {
		user.Extra[extraCredentialID] = []string{"JTI=" + c.ID}
	}
	return user, nil
}

// alive says whether the service account and what the token is bound to are still the same objects.
func (v *Verifier) alive(ctx context.Context, k *boundTo, now time.Time) error {
	sa := k.ServiceAccount
	obj, err := v.find(ctx, "serviceaccounts", k.Namespace, sa)
	if err != nil {
		return err
	}
	if dying(obj, now) {
		return fmt.Errorf("service account %s/%s has been deleted", k.Namespace, sa.Name)
	}
	if string(obj.GetUID()) != sa.UID {
		return fmt.Errorf("service account UID (%s) does not match claim (%s)", obj.GetUID(), sa.UID)
	}
	bound := func(resource, kind, namespace string, r *ref) error {
		if r == nil {
			return nil
		}
		obj, err := v.find(ctx, resource, namespace, *r)
		if err != nil || dying(obj, now) {
			return errInvalidated
		}
		if string(obj.GetUID()) != r.UID {
			return fmt.Errorf("%s UID (%s) does not match service account %s ref claim (%s)", kind, obj.GetUID(), kind, r.UID)
		}
		return nil
	}
	if err := bound("secrets", "secret", k.Namespace, k.Secret); err != nil {
		return err
	}
	if err := bound("pods", "pod", k.Namespace, k.Pod); err != nil {
		return err
	}
	if k.Pod == nil { // with a pod, the node is only told and not checked: the pod dies with it
		return bound("nodes", "node", "", k.Node)
	}
	return nil
}

func dying(obj resource.Object, now time.Time) bool {
	d := obj.GetDeletionTimestamp()
	return d != nil && d.Time.Before(now.Add(-leeway))
}

// find reads from the cache, and from etcd where the cache does not hold the very object: it may be a
// moment behind the token's making.
func (v *Verifier) find(ctx context.Context, plural, namespace string, r ref) (resource.Object, error) {
	gr := schema.GroupResource{Resource: plural}
	obj, err := v.cfg.Access.Get(ctx, gr, namespace, r.Name)
	if err == nil && string(obj.GetUID()) == r.UID {
		return obj, nil
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	return v.cfg.Access.GetLive(ctx, gr, namespace, r.Name)
}
