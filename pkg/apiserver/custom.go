package apiserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/sampan-project/sampan/pkg/apiserver/crd"
	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
	"github.com/sampan-project/sampan/pkg/apiserver/kinds"
	"github.com/sampan-project/sampan/pkg/apiserver/openapi"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// customResources serves the custom resources that are defined, now and from now on.
func (s *Server) customResources(ctx context.Context) error {
	changed := func() {
		s.discovery.Changed()
		s.openapi.Changed()
	}
	return crd.Start(ctx, crd.Config{
		Access: s.registry,
		Serve: func(r *resource.Resource) {
			if !s.builtIn(r) {
				s.serveCustom(r)
				changed()
			}
		},
		Withdraw: func(r *resource.Resource) {
			if !s.builtIn(r) {
				s.endpoint.Replace(groupResource(r))
				s.registry.Remove(groupResource(r))
				changed()
			}
		},
		Changed: changed, Dial: s.dialWebhook, Clock: s.clock, Log: s.log.WithName("crd"),
	})
}

func groupResource(r *resource.Resource) schema.GroupResource {
	return schema.GroupResource{Group: r.Kind.Group, Resource: r.Plural}
}

// builtIn says whether a resource has the name of one that needs no definition, and is served before it.
func (s *Server) builtIn(r *resource.Resource) bool {
	store := s.registry.Store(groupResource(r))
	return store != nil && !store.Converts()
}

// serveCustom serves a custom resource in all its versions, in the place of what had its name.
func (s *Server) serveCustom(r *resource.Resource) {
	types := openapi.CustomTypes(kinds.Scheme(), r, false)
	store := s.registry.Add(r, types)
	var served []*endpoint.Served
	if !r.Internal {
		served = append(served, endpoint.NewServed(store, nil, s.clock))
	}
	for _, v := range r.Versions {
		served = append(served, endpoint.NewServed(store.Version(v, types), nil, s.clock))
	}
	s.endpoint.Replace(store.GroupResource(), served...)
}

// dialWebhook reaches a conversion webhook: at its address, or through its service's.
func (s *Server) dialWebhook(c *apiextensionsv1.WebhookClientConfig) (*http.Client, string, error) {
	if c == nil {
		return nil, "", errors.New("the webhook has no address")
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(c.CABundle) > 0 {
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(c.CABundle) {
			return nil, "", errors.New("the webhook's caBundle holds no certificate")
		}
	}
	transport := &http.Transport{TLSClientConfig: settings, ForceAttemptHTTP2: true, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if c.URL != nil {
		return client, *c.URL, nil
	}
	if c.Service == nil {
		return nil, "", errors.New("the webhook has no address")
	}
	port := ptr.Deref(c.Service.Port, int32(443))
	at, err := s.serviceAddress(c.Service.Namespace, c.Service.Name, port)
	if err != nil {
		return nil, "", err
	}
	settings.ServerName = fmt.Sprintf("%s.%s.svc", c.Service.Name, c.Service.Namespace)
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, at)
	}
	path := ptr.Deref(c.Service.Path, "")
	return client, "https://" + net.JoinHostPort(settings.ServerName, strconv.Itoa(int(port))) + path, nil
}

// serviceAddress is where a port of a service is reached from this machine.
func (s *Server) serviceAddress(namespace, name string, port int32) (string, error) {
	o, err := s.registry.Get(context.Background(), schema.GroupResource{Resource: "services"}, namespace, name)
	if err != nil {
		return "", fmt.Errorf("service %q not found: %w", name, err)
	}
	service, ok := o.(*corev1.Service)
	if !ok {
		return "", fmt.Errorf("service %s/%s is stored as %T", namespace, name, o)
	}
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		return net.JoinHostPort(service.Spec.ExternalName, strconv.Itoa(int(port))), nil
	}
	for _, p := range service.Spec.Ports {
		if p.Port == port && service.Spec.ClusterIP != "" && service.Spec.ClusterIP != corev1.ClusterIPNone {
			return net.JoinHostPort(service.Spec.ClusterIP, strconv.Itoa(int(port))), nil
		}
	}
	return "", fmt.Errorf("no service port %d found for service %q", port, name)
}
