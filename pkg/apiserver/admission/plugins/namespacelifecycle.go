package plugins

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

var namespaces = schema.GroupResource{Resource: "namespaces"}

// forceLive is how long after a namespace's deletion its state is read from etcd: the cache may still show
// it as active, and content made then would be forgotten.
const forceLive = 30 * time.Second

// namespaceLifecycle refuses content in namespaces that do not exist or are going, and the deletion of those
// that a cluster cannot be without.
func namespaceLifecycle(cfg *Config) admission.Plugin {
	l := &lifecycle{cfg: cfg, deleted: map[string]time.Time{}}
	return admission.Plugin{On: admission.On(admission.Create, admission.Update, admission.Delete), Admit: l.admit}
}

type lifecycle struct {
	cfg *Config

	mu      sync.Mutex
	deleted map[string]time.Time
}

func (l *lifecycle) admit(ctx context.Context, a *admission.Attributes) error {
	if a.GroupResource() == namespaces {
		return l.admitNamespace(a)
	}
	// Questions about access, deletions and connections make no content.
	if a.Namespace == "" || a.Operation == admission.Delete || a.Is("authorization.k8s.io", "localsubjectaccessreviews", "") {
		return nil
	}
	ns, err := l.find(ctx, a.Namespace)
	if apierrors.IsNotFound(err) {
		return err
	}
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	if a.Operation != admission.Create || ns.Status.Phase != corev1.NamespaceTerminating {
		return nil
	}
	err = admission.Forbidden(a, fmt.Errorf("unable to create new content in namespace %s because it is being terminated", a.Namespace))
	var status *apierrors.StatusError
	if errors.As(err, &status) && status.ErrStatus.Details != nil {
		status.ErrStatus.Details.Causes = append(status.ErrStatus.Details.Causes, metav1.StatusCause{
			Type:    corev1.NamespaceTerminatingCause,
			Message: fmt.Sprintf("namespace %s is being terminated", a.Namespace),
			Field:   "metadata.namespace",
		})
	}
	return err
}

func (l *lifecycle) admitNamespace(a *admission.Attributes) error {
	if a.Operation != admission.Delete || a.Subresource != "" {
		return nil
	}
	switch a.Name {
	case metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic:
		return apierrors.NewForbidden(namespaces, a.Name, errors.New("this namespace may not be deleted"))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.cfg.Now()
	for name, at := range l.deleted {
		if now.Sub(at) > forceLive {
			delete(l.deleted, name)
		}
	}
	l.deleted[a.Name] = now
	return nil
}

func (l *lifecycle) find(ctx context.Context, name string) (*corev1.Namespace, error) {
	l.mu.Lock()
	at, live := l.deleted[name]
	live = live && l.cfg.Now().Sub(at) <= forceLive
	l.mu.Unlock()
	if !live {
		return find[*corev1.Namespace](ctx, l.cfg.Access, namespaces, "", name)
	}
	obj, err := l.cfg.Access.GetLive(ctx, namespaces, "", name)
	if err != nil {
		return nil, err
	}
	return obj.(*corev1.Namespace), nil
}
