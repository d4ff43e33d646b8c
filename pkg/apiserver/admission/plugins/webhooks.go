package plugins

import (
	"context"
	"fmt"
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/webhook"
)

// mutatingWebhooks asks the webhooks that may change objects.
func mutatingWebhooks(cfg *Config) admission.Plugin {
	d, err := webhook.NewMutating(cfg.ctx, cfg.webhooks())
	if err != nil {
		return broken(err)
	}
	return admission.Plugin{Admit: d.Admit}
}

// validatingWebhooks asks the webhooks that may refuse writes.
func validatingWebhooks(cfg *Config) admission.Plugin {
	d, err := webhook.NewValidating(cfg.ctx, cfg.webhooks())
	if err != nil {
		return broken(err)
	}
	return admission.Plugin{Validate: d.Validate}
}

// broken is a rule that could not be set up: what it would decide is not known, so nothing is written.
func broken(err error) admission.Plugin {
	return admission.Plugin{Validate: func(context.Context, *admission.Attributes) error { return apierrors.NewInternalError(err) }}
}

func (cfg *Config) webhooks() webhook.Config {
	return webhook.Config{Reader: cfg.Access, Namespaces: cfg.namespace, Resolve: cfg.resolve, Authorizer: cfg.Authorizer, Metrics: cfg.Webhooks, Log: cfg.Log}
}

func (cfg *Config) namespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	return find[*corev1.Namespace](ctx, cfg.Access, namespaces, "", name)
}

// resolve finds the address of a service's port: its cluster's, or the name that it stands for.
func (cfg *Config) resolve(ctx context.Context, namespace, name string, port int32) (string, error) {
	obj, err := cfg.Access.Get(ctx, schema.GroupResource{Resource: "services"}, namespace, name)
	if apierrors.IsNotFound(err) {
		return "", apierrors.NewNotFound(schema.GroupResource{Resource: "service"}, name)
	}
	if err != nil {
		return "", err
	}
	s, is := obj.(*corev1.Service)
	if !is {
		return "", fmt.Errorf("service %q is stored as %T", name, obj)
	}
	switch s.Spec.Type {
	case corev1.ServiceTypeExternalName:
		return net.JoinHostPort(s.Spec.ExternalName, strconv.Itoa(int(port))), nil
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort:
	default:
		return "", fmt.Errorf("unsupported service type %q", s.Spec.Type)
	}
	if s.Spec.ClusterIP == corev1.ClusterIPNone {
		return "", fmt.Errorf(`cannot route to service with ClusterIP "None"`)
	}
	for _, p := range s.Spec.Ports {
		if p.Port == port {
			return net.JoinHostPort(s.Spec.ClusterIP, strconv.Itoa(int(port))), nil
		}
	}
	return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %d found for service %q", port, name))
}
