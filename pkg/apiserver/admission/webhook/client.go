package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	reviewv1 "k8s.io/api/admission/v1"
	reviewv1beta1 "k8s.io/api/admission/v1beta1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

// Resolver gives the address (host:port) at which a service's port is reached.
type Resolver func(ctx context.Context, namespace, name string, port int32) (string, error)

// Clients makes the connections to webhooks.
type Clients struct {
	resolve Resolver
	codec   runtime.NegotiatedSerializer
}

// NewClients finds services by resolve.
func NewClients(resolve Resolver) (*Clients, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{reviewv1.AddToScheme, reviewv1beta1.AddToScheme} {
		if err := add(s); err != nil {
			return nil, fmt.Errorf("preparing admission reviews: %w", err)
		}
	}
	codec := serializer.NewCodecFactory(s).LegacyCodec(reviewv1beta1.SchemeGroupVersion, reviewv1.SchemeGroupVersion)
	return &Clients{resolve: resolve, codec: serializer.NegotiatedSerializerWrapper(runtime.SerializerInfo{Serializer: codec})}, nil
}

type client struct{ rest *rest.RESTClient }

// For gives a function that makes the client of a webhook when first called.
func (c *Clients) For(name string, cc *admissionv1.WebhookClientConfig) func() (*client, error) {
	return sync.OnceValues(func() (*client, error) {
		cfg, err := c.config(name, cc)
		if err != nil {
			return nil, err
		}
		cfg.QPS = -1 // how many writes there are is limited elsewhere
		cfg.CAData = cc.CABundle
		cfg.NegotiatedSerializer, cfg.ContentType = c.codec, runtime.ContentTypeJSON
		r, err := rest.UnversionedRESTClientFor(cfg)
		if err != nil {
			return nil, err
		}
		return &client{r}, nil
	})
}

func (c *Clients) config(name string, cc *admissionv1.WebhookClientConfig) (*rest.Config, error) {
	// One connection of HTTP/2 would always reach the same backend of a service.
	plain := []string{"http/1.1"}
	if s := cc.Service; s != nil {
		port := int32(443)
		if s.Port != nil && *s.Port != 0 {
			port = *s.Port
		}
		server := s.Name + "." + s.Namespace + ".svc"
		host := net.JoinHostPort(server, strconv.Itoa(int(port)))
		cfg := &rest.Config{Host: "https://" + host, TLSClientConfig: rest.TLSClientConfig{ServerName: server, NextProtos: plain}}
		if s.Path != nil {
			cfg.APIPath = *s.Path
		}
		cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == host {
				var err error
				if addr, err = c.resolve(ctx, s.Namespace, s.Name, port); err != nil {
					return nil, err
				}
			}
			var d net.Dialer
			return d.DialContext(ctx, network, addr)
		}
		return cfg, nil
	}
	if cc.URL == nil || *cc.URL == "" {
		return nil, callError(name, errors.New("webhook configuration must have either service or URL"))
	}
	u, err := url.Parse(*cc.URL)
	if err != nil {
		return nil, callError(name, fmt.Errorf("Unparsable URL: %v", err)) //nolint:staticcheck // clients know these words
	}
	cfg := &rest.Config{Host: u.Scheme + "://" + u.Host, APIPath: u.Path}
	if !local(u) {
		cfg.NextProtos = plain
	}
	return cfg, nil
}

func local(u *url.URL) bool {
	ip, err := netip.ParseAddr(u.Hostname())
	return strings.EqualFold(u.Hostname(), "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// post sends a review and reads the answer into response. The webhook is told how long it has.
func (c *client) post(ctx context.Context, review, response runtime.Object) error {
	r := c.rest.Post().Body(review)
	if deadline, has := ctx.Deadline(); has {
		if left := time.Until(deadline); left > 0 {
			r.Timeout((left + time.Second - 1).Truncate(time.Second))
		}
	}
	return r.Do(ctx).Into(response)
}
