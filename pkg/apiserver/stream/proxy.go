package stream

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/streaming"
)

// proxyTo leads to a server; rest is the path there.
func (s *Streams) proxyTo(ctx context.Context, scheme, host, rest string, transport http.RoundTripper) *streaming.Proxy {
	target := &url.URL{Scheme: cmp.Or(scheme, "http"), Host: host}
	path := request.InfoFrom(ctx).Path
	if rest != "" {
		target.Path = "/" + rest
	}
	if strings.HasSuffix(path, "/") {
		target.Path += "/" // which is not part of rest
	}
	prefix := strings.TrimSuffix(strings.TrimRight(path, "/"), rest)
	return &streaming.Proxy{Target: target, Transport: transport, Prefix: prefix, Fail: s.unserved}
}

func (s *Streams) podProxy(ctx context.Context, namespace, id, rest string, _ runtime.Object) (http.Handler, error) {
	scheme, name, port, valid := utilnet.SplitSchemeNamePort(id)
	if !valid {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid pod request %q", id))
	}
	pod, err := s.pod(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	if port == "" {
		port = firstPort(pod)
	}
	ip := pod.Status.PodIP
	if len(pod.Status.PodIPs) > 0 {
		ip = pod.Status.PodIPs[0].IP
	}
	if a, err := netip.ParseAddr(ip); err != nil || !s.cfg.Allowed(a) {
		return nil, apierrors.NewBadRequest(errAddress.Error())
	}
	return s.proxyTo(ctx, scheme, hostPort(ip, port), rest, s.proxied), nil
}

func firstPort(pod *corev1.Pod) string {
	for i := range pod.Spec.Containers {
		if ports := pod.Spec.Containers[i].Ports; len(ports) > 0 {
			return strconv.Itoa(int(ports[0].ContainerPort))
		}
	}
	return ""
}

func hostPort(ip, port string) string {
	if port != "" {
		return net.JoinHostPort(ip, port)
	}
	if strings.Contains(ip, ":") {
		return "[" + ip + "]"
	}
	return ip
}

// nodeProxy leads to a node's kubelet, as whom the apiserver acts, or to another port of the node.
func (s *Streams) nodeProxy(ctx context.Context, _, id, rest string, _ runtime.Object) (http.Handler, error) {
	scheme, name, port, valid := utilnet.SplitSchemeNamePort(id)
	if !valid {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid node request %q", id))
	}
	host, kubelet, err := s.kubeletOf(ctx, name)
	if err != nil {
		return nil, err
	}
	// Who may write a node's status must not thereby reach what listens on the apiserver's own host.
	if _, err := s.guard.addresses(ctx, host); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if port != "" && port != kubelet {
		return s.proxyTo(ctx, scheme, net.JoinHostPort(host, port), rest, s.proxied), nil
	}
	p := s.proxyTo(ctx, "https", net.JoinHostPort(host, kubelet), rest, s.kubelet.proxied)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if streaming.IsUpgrade(r) {
			// The kubelet sees the apiserver, which may do everything there.
			if err := s.mayCreate(r.Context()); err != nil {
				s.cfg.Fail(w, r, err)
				return
			}
		}
		p.ServeHTTP(w, r)
	}), nil
}

// serviceProxy leads to one of the pods behind a service.
func (s *Streams) serviceProxy(ctx context.Context, namespace, id, rest string, _ runtime.Object) (http.Handler, error) {
	scheme, name, port, valid := utilnet.SplitSchemeNamePort(id)
	if !valid {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid service request %q", id))
	}
	if number, err := strconv.ParseInt(port, 10, 64); err == nil {
		if port, err = s.portName(ctx, namespace, name, number); err != nil {
			return nil, err
		}
	}
	obj, err := s.cfg.Access.Get(ctx, endpoints, namespace, name)
	if apierrors.IsNotFound(err) {
		return nil, apierrors.NewNotFound(services, name)
	}
	if err != nil {
		return nil, err
	}
	e, ok := obj.(*corev1.Endpoints)
	if !ok {
		return nil, fmt.Errorf("endpoints %s/%s are stored as %T", namespace, name, obj)
	}
	if len(e.Subsets) == 0 {
		id = name
	}
	host := s.endpoint(ctx, namespace, e.Subsets, port)
	if host == "" {
		return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", id))
	}
	return s.proxyTo(ctx, scheme, host, rest, s.proxied), nil
}

// portName is the name of the service's port of a number.
func (s *Streams) portName(ctx context.Context, namespace, name string, number int64) (string, error) {
	obj, err := s.cfg.Access.Get(ctx, services, namespace, name)
	if err != nil {
		return "", err
	}
	service, ok := obj.(*corev1.Service)
	if !ok {
		return "", fmt.Errorf("service %s/%s is stored as %T", namespace, name, obj)
	}
	for _, p := range service.Spec.Ports {
		if int64(p.Port) == number {
			return p.Name, nil
		}
	}
	return "", apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %d found for service %q", number, name))
}

// endpoint picks one of the addresses that are ready at a port, "" where there is none. Only addresses of
// pods that are there count, so that endpoints written by hand lead nowhere else.
func (s *Streams) endpoint(ctx context.Context, namespace string, subsets []corev1.EndpointSubset, port string) string {
	var candidates []string
	for _, subset := range subsets {
		for _, p := range subset.Ports {
			if p.Name != port {
				continue
			}
			for i := range subset.Addresses {
				if s.isPod(ctx, namespace, &subset.Addresses[i]) {
					candidates = append(candidates, net.JoinHostPort(subset.Addresses[i].IP, strconv.Itoa(int(p.Port))))
				}
			}
		}
	}
	if len(candidates) == 0 {
		return ""
	}
	return candidates[s.pick(len(candidates))]
}

func (s *Streams) isPod(ctx context.Context, namespace string, a *corev1.EndpointAddress) bool {
	if a.TargetRef == nil || a.TargetRef.Kind != "Pod" || a.TargetRef.Namespace != namespace {
		return false
	}
	obj, err := s.cfg.Access.Get(ctx, pods, namespace, a.TargetRef.Name)
	if err != nil {
		return false
	}
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return false
	}
	for _, ip := range pod.Status.PodIPs {
		if ip.IP == a.IP {
			return true
		}
	}
	return pod.Status.PodIP == a.IP
}
