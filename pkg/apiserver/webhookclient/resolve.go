package webhookclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// resolve finds the address of a service's port: its cluster's, or the name that it stands for.
func (c *Clients) resolve(ctx context.Context, namespace, name string, port int32) (string, error) {
	obj, err := c.services.Get(ctx, schema.GroupResource{Resource: "services"}, namespace, name)
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
		return "", errors.New(`cannot route to service with ClusterIP "None"`)
	}
	for _, p := range s.Spec.Ports {
		if p.Port == port {
			return net.JoinHostPort(s.Spec.ClusterIP, strconv.Itoa(int(port))), nil
		}
	}
	return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %d found for service %q", port, name))
}
