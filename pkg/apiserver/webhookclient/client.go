// Package webhookclient calls the webhooks that users configure: those of admission, those that convert custom
// resources, and the one that judges images.
package webhookclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	reviewv1 "k8s.io/api/admission/v1"
	reviewv1beta1 "k8s.io/api/admission/v1beta1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	imagepolicyv1alpha1 "k8s.io/api/imagepolicy/v1alpha1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensionsv1beta1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1beta1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// userAgent is how webhooks know the apiserver.
const userAgent = "kube-apiserver-admission"

// longest is how long a call may take whose caller sets no time.
const longest = 30 * time.Second

// mostAnswer bounds what is read of a webhook's answer.
const mostAnswer = 16 << 20

// Clients makes the connections to webhooks.
type Clients struct {
	services resource.Reader
	codec    runtime.NegotiatedSerializer
	users    clientcmdapi.Config // with which credentials webhooks are called
}

// New reads services by the reader.
func New(services resource.Reader) (*Clients, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{reviewv1.AddToScheme, reviewv1beta1.AddToScheme, imagepolicyv1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			return nil, fmt.Errorf("preparing reviews: %w", err)
		}
	}
	s.AddKnownTypes(apiextensionsv1.SchemeGroupVersion, &apiextensionsv1.ConversionReview{})
	s.AddKnownTypes(apiextensionsv1beta1.SchemeGroupVersion, &apiextensionsv1beta1.ConversionReview{})
	codec := serializer.NewCodecFactory(s).LegacyCodec(reviewv1beta1.SchemeGroupVersion, reviewv1.SchemeGroupVersion,
		apiextensionsv1beta1.SchemeGroupVersion, apiextensionsv1.SchemeGroupVersion, imagepolicyv1alpha1.SchemeGroupVersion)
	return &Clients{services: services, codec: serializer.NegotiatedSerializerWrapper(runtime.SerializerInfo{Serializer: codec})}, nil
}

// Client calls one webhook.
type Client struct{ rest *rest.RESTClient }

// For gives a function that makes the client of a webhook when first called.
// Webhooks are called without credentials, but for those that Authenticate gives. kube-apiserver makes one exception,
// the Service default/kubernetes, which it calls as itself, for webhooks that API servers behind it serve. There are
// none here, and who may configure webhooks would send requests to this server in the name of its own superuser.
func (c *Clients) For(name string, cc *admissionv1.WebhookClientConfig) func() (*Client, error) {
	return sync.OnceValues(func() (*Client, error) {
		cfg, err := c.config(name, cc)
		if err != nil {
			return nil, err
		}
		cfg.CAData = cc.CABundle
		return c.client(cfg)
	})
}

// Named makes the client of the webhook that a kubeconfig says how to reach.
func (c *Clients) Named(kubeconfig string) (*Client, error) {
	if kubeconfig == "" {
		return nil, errors.New("no kubeconfig says how to reach the webhook")
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	return c.client(cfg)
}

// Through makes a client of whatever a transport reaches: tests answer by it in a webhook's place.
func (c *Clients) Through(t http.RoundTripper) (*Client, error) {
	return c.client(&rest.Config{Host: "https://webhook", Transport: t})
}

func (c *Clients) client(cfg *rest.Config) (*Client, error) {
	cfg.QPS = -1 // how many writes there are is limited elsewhere
	cfg.UserAgent, cfg.Timeout = userAgent, longest
	cfg.NegotiatedSerializer, cfg.ContentType = c.codec, runtime.ContentTypeJSON
	cfg.Wrap(func(t http.RoundTripper) http.RoundTripper { return bounded{t} })
	r, err := rest.UnversionedRESTClientFor(cfg)
	if err != nil {
		return nil, err
	}
	return &Client{r}, nil
}

// bounded reads so much of answers and no more.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, mostAnswer)
	}
	return answer, err
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
		cfg, err := c.credentials(host)
		if err != nil {
			return nil, err
		}
		cfg.Host, cfg.ServerName, cfg.NextProtos = "https://"+host, server, plain
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
		return nil, fmt.Errorf("failed calling webhook %q: webhook configuration must have either service or URL", name)
	}
	u, err := url.Parse(*cc.URL)
	if err != nil {
		return nil, fmt.Errorf("failed calling webhook %q: Unparsable URL: %w", name, err)
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(host, "443")
	}
	cfg, err := c.credentials(host)
	if err != nil {
		return nil, err
	}
	cfg.Host, cfg.APIPath = u.Scheme+"://"+u.Host, u.Path
	if !local(u) {
		cfg.NextProtos = plain
	}
	return cfg, nil
}

func local(u *url.URL) bool {
	ip, err := netip.ParseAddr(u.Hostname())
	return strings.EqualFold(u.Hostname(), "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// Post sends a review and reads the answer into response. The webhook is told how long it has.
func (c *Client) Post(ctx context.Context, review, response runtime.Object) error {
	r := c.rest.Post().Body(review)
	if deadline, has := ctx.Deadline(); has {
		if left := time.Until(deadline); left > 0 {
			r.Timeout((left + time.Second - 1).Truncate(time.Second))
		}
	}
	return r.Do(ctx).Into(response)
}
