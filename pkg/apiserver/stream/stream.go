// Package stream serves what lies behind the API: the logs of pods and streams into them, and proxies to
// nodes, pods and services. It finds out where that is and who may be connected; how bytes are carried is
// the affair of package streaming.
package stream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/streaming"
)

// Config is what the subresources are made with.
type Config struct {
	// Access reads pods, nodes and endpoints.
	Access resource.Access
	// CertFile and KeyFile are the client certificate for kubelets; CAFile is who signed theirs, and where it is
	// empty they are not checked.
	CAFile, CertFile, KeyFile string
	// AddressTypes are the kinds of addresses by which nodes are reached, in order of preference.
	AddressTypes []string
	// Timeout is how long connecting may take.
	Timeout time.Duration
	// Permitted says whether the sender of a request may also do what info says, and why not.
	Permitted func(ctx context.Context, info *request.Info) (bool, string, error)
	// Fail answers a request with an error.
	Fail streaming.Fail
	// Allowed says which addresses proxies may lead to; nil: all but loopback, link-local, multicast and
	// unspecified ones.
	Allowed func(netip.Addr) bool
	// Resolve gives the addresses of a host to which a proxy leads; nil: the system's resolver.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
}

// Streams makes the subresources.
type Streams struct {
	cfg     Config
	kubelet kubelets
	guard   *guard
	proxied http.RoundTripper // to pods, services and ports of nodes that are no kubelet's
	pick    func(n int) int   // one of n
}

// New reads the certificates.
func New(cfg Config) (*Streams, error) {
	if cfg.Allowed == nil {
		cfg.Allowed = globalUnicast
	}
	if cfg.Resolve == nil {
		cfg.Resolve = lookUp
	}
	g := &guard{cfg.Allowed, cfg.Resolve, &net.Dialer{Timeout: cfg.Timeout, KeepAlive: 30 * time.Second}}
	kubelet, err := newKubelets(cfg, g)
	if err != nil {
		return nil, err
	}
	// Nothing says who should have signed the certificates of pods.
	proxied := transport(g.dial, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	return &Streams{cfg: cfg, kubelet: kubelet, guard: g, proxied: proxied, pick: rand.IntN}, nil
}

var (
	pods      = schema.GroupResource{Resource: "pods"}
	nodes     = schema.GroupResource{Resource: "nodes"}
	services  = schema.GroupResource{Resource: "services"}
	endpoints = schema.GroupResource{Resource: "endpoints"}
)

// Pods are the subresources of pods: log, exec, attach, portforward, proxy.
func (s *Streams) Pods() []resource.Subresource[*corev1.Pod] {
	return []resource.Subresource[*corev1.Pod]{
		{
			Name: "log", Kind: corev1.SchemeGroupVersion.WithKind("Pod"), Verbs: []string{"get"},
			Connect: &resource.ConnectAction[*corev1.Pod]{
				Methods: []string{http.MethodGet}, NewOptions: func() runtime.Object { return &corev1.PodLogOptions{} }, Handler: s.log,
			},
		},
		connect[*corev1.Pod]("exec", "PodExecOptions", func() runtime.Object { return &corev1.PodExecOptions{} }, s.exec),
		connect[*corev1.Pod]("attach", "PodAttachOptions", func() runtime.Object { return &corev1.PodAttachOptions{} }, s.attach),
		connect[*corev1.Pod]("portforward", "PodPortForwardOptions", func() runtime.Object { return &corev1.PodPortForwardOptions{} }, s.portForward),
		proxy[*corev1.Pod]("PodProxyOptions", func() runtime.Object { return &corev1.PodProxyOptions{} }, s.podProxy),
	}
}

// Nodes are those of nodes: proxy.
func (s *Streams) Nodes() []resource.Subresource[*corev1.Node] {
	return []resource.Subresource[*corev1.Node]{
		proxy[*corev1.Node]("NodeProxyOptions", func() runtime.Object { return &corev1.NodeProxyOptions{} }, s.nodeProxy),
	}
}

// Services are those of services: proxy.
func (s *Streams) Services() []resource.Subresource[*corev1.Service] {
	return []resource.Subresource[*corev1.Service]{
		proxy[*corev1.Service]("ServiceProxyOptions", func() runtime.Object { return &corev1.ServiceProxyOptions{} }, s.serviceProxy),
	}
}

type handler = func(ctx context.Context, namespace, name, rest string, options runtime.Object) (http.Handler, error)

func connect[T resource.Object](name, kind string, options func() runtime.Object, h handler) resource.Subresource[T] {
	return resource.Subresource[T]{
		Name: name, Kind: corev1.SchemeGroupVersion.WithKind(kind), Verbs: []string{"create", "get"},
		Connect: &resource.ConnectAction[T]{Methods: []string{http.MethodGet, http.MethodPost}, NewOptions: options, Handler: h},
	}
}

func proxy[T resource.Object](kind string, options func() runtime.Object, h handler) resource.Subresource[T] {
	return resource.Subresource[T]{
		Name: "proxy", Kind: corev1.SchemeGroupVersion.WithKind(kind), Verbs: []string{"create", "delete", "get", "patch", "update"},
		Connect: &resource.ConnectAction[T]{
			Methods: []string{
				http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
			},
			NewOptions: options, Handler: h,
		},
	}
}

// mayCreate refuses who may not create what the request names. WebSocket clients can only say GET; who may
// only read must not reach into containers that way.
func (s *Streams) mayCreate(ctx context.Context) error {
	info := *request.InfoFrom(ctx)
	if info.Verb == "create" {
		return nil // permitted before the request came here
	}
	info.Verb = "create"
	allowed, reason, err := s.cfg.Permitted(ctx, &info)
	if err != nil {
		return fmt.Errorf("asking whether %s may be created: %w", info.Resource+"/"+info.Subresource, err)
	}
	if !allowed {
		return apierrors.NewForbidden(schema.GroupResource{Group: info.Group, Resource: info.Resource}, info.Name, errors.New(reason))
	}
	return nil
}

// pod reads a pod as it is now: clients connect to pods that they have just made.
func (s *Streams) pod(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	obj, err := s.cfg.Access.GetLive(ctx, pods, namespace, name)
	if err != nil {
		return nil, err
	}
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return nil, fmt.Errorf("pod %s/%s is stored as %T", namespace, name, obj)
	}
	return pod, nil
}

// unreachable answers with an error that concerns a kubelet.
func (s *Streams) unreachable(w http.ResponseWriter, r *http.Request, err error) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		err = fmt.Errorf("error dialing backend: %w", err)
	}
	s.cfg.Fail(w, r, err)
}

// unserved answers with an error that concerns what a proxy leads to.
func (s *Streams) unserved(w http.ResponseWriter, r *http.Request, err error) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		err = apierrors.NewServiceUnavailable(fmt.Sprintf("error trying to reach service: %v", err))
	}
	s.cfg.Fail(w, r, err)
}
