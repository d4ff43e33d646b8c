package webhookclient

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// services are what a Reader reads, by name.
type services map[string]corev1.ServiceSpec

func (s services) Get(_ context.Context, r schema.GroupResource, _, name string) (resource.Object, error) {
	spec, has := s[name]
	if !has {
		return nil, apierrors.NewNotFound(r, name)
	}
	out := &corev1.Service{Spec: spec}
	out.Name = name
	return out, nil
}

func (services) List(context.Context, schema.GroupResource, string) ([]resource.Object, error) {
	return nil, nil
}

func (services) Follow(context.Context, schema.GroupResource, func(obj, gone resource.Object)) (<-chan struct{}, error) {
	return nil, nil
}

func TestServicesAreFound(t *testing.T) {
	ports := []corev1.ServicePort{{Port: 443}}
	c, err := New(services{
		"plain":    {Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.0.0.1", Ports: ports},
		"six":      {Type: corev1.ServiceTypeNodePort, ClusterIP: "fd00::1", Ports: ports},
		"headless": {Type: corev1.ServiceTypeClusterIP, ClusterIP: "None", Ports: ports},
		"name":     {Type: corev1.ServiceTypeExternalName, ExternalName: "example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		name        string
		port        int32
		want, wrong string
	}{
		{"plain", 443, "10.0.0.1:443", ""},
		{"plain", 80, "", `no service port 80 found for service "plain"`},
		{"six", 443, "[fd00::1]:443", ""},
		{"headless", 443, "", `cannot route to service with ClusterIP "None"`},
		{"name", 8443, "example.com:8443", ""},
		{"none", 443, "", `service "none" not found`},
	} {
		got, err := c.resolve(t.Context(), "ns", one.name, one.port)
		said := ""
		if err != nil {
			said = err.Error()
		}
		if got != one.want || said != one.wrong {
			t.Errorf("%s:%d: %q, %q, want %q, %q", one.name, one.port, got, said, one.want, one.wrong)
		}
	}
}
