// Package endpoints is what the controllers of endpoints share: which pods stand behind a service, by
// which ports, and how endpoints are packed into slices.
package endpoints

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/pods"
)

// Belongs tells whether a pod that the selector matches is an endpoint at all.
func Belongs(pod *corev1.Pod, terminating bool) bool {
	return !pods.Terminal(pod) && (pod.Status.PodIP != "" || len(pod.Status.PodIPs) > 0) && (terminating || pod.DeletionTimestamp == nil)
}

// Port finds the number behind a service port in a pod; false where the pod has no port of that name.
func Port(pod *corev1.Pod, port *corev1.ServicePort) (int32, bool) {
	if port.TargetPort.Type == intstr.Int {
		return port.TargetPort.IntVal, true
	}
	for _, c := range pod.Spec.Containers {
		if n, ok := namedPort(&c, port); ok {
			return n, true
		}
	}
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways {
			continue
		}
		if n, ok := namedPort(&c, port); ok {
			return n, true
		}
	}
	return 0, false
}

func namedPort(c *corev1.Container, port *corev1.ServicePort) (int32, bool) {
	for _, p := range c.Ports {
		if p.Name == port.TargetPort.StrVal && p.Protocol == port.Protocol {
			return p.ContainerPort, true
		}
	}
	return 0, false
}

// WatchPods brings the services whose endpoints a pod's change concerns, batch later: so long it waits for others.
func WatchPods(l *controller.Loop[controller.Key], pods cache.SharedIndexInformer, services corelisters.ServiceLister, batch time.Duration) {
	controller.Watch(l, pods, func(old, pod *corev1.Pod) []controller.Key {
		keys := ServicesOf(services, old, pod)
		if batch == 0 {
			return keys
		}
		for _, k := range keys {
			l.AddAfter(k, batch)
		}
		return nil
	})
}

// Addresses are the pod's addresses of one family.
func Addresses(pod *corev1.Pod, ipv6 bool) []string {
	var list []string
	for _, ip := range pod.Status.PodIPs {
		if isIPv6(ip.IP) == ipv6 {
			list = append(list, ip.IP)
		}
	}
	return list
}

func isIPv6(ip string) bool { return slices.Contains([]byte(ip), ':') }

// IsIPv6 tells the family of an address.
func IsIPv6(ip string) bool { return isIPv6(ip) }

// TargetRef refers to a pod.
func TargetRef(pod *corev1.Pod) *corev1.ObjectReference {
	return &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}
}

// Hostname is what the pod is called in DNS below the service, "" for nothing of its own.
func Hostname(pod *corev1.Pod, service *corev1.Service) string {
	if pod.Spec.Hostname != "" && pod.Spec.Subdomain == service.Name && service.Namespace == pod.Namespace {
		return pod.Spec.Hostname
	}
	return ""
}

// ServicesOf are the services whose endpoints a pod's change may change. A change that no endpoint shows
// yields none.
func ServicesOf(services corelisters.ServiceLister, old, pod *corev1.Pod) []controller.Key {
	if old != nil && pod != nil && !changed(old, pod) {
		return nil
	}
	var keys []controller.Key
	seen := old
	if pod != nil {
		seen = pod
	}
	list, err := services.Services(seen.Namespace).List(labels.Everything())
	if err != nil {
		return nil
	}
	for _, s := range list {
		if len(s.Spec.Selector) == 0 {
			continue
		}
		selector := labels.SelectorFromValidatedSet(s.Spec.Selector)
		if pod != nil && selector.Matches(labels.Set(pod.Labels)) || old != nil && selector.Matches(labels.Set(old.Labels)) {
			keys = append(keys, controller.KeyOf(s))
		}
	}
	return keys
}

func changed(old, pod *corev1.Pod) bool {
	return (old.DeletionTimestamp == nil) != (pod.DeletionTimestamp == nil) || old.UID != pod.UID ||
		pods.Ready(old) != pods.Ready(pod) || old.Spec.NodeName != pod.Spec.NodeName || pods.Terminal(old) != pods.Terminal(pod) ||
		old.Spec.Hostname != pod.Spec.Hostname || old.Spec.Subdomain != pod.Spec.Subdomain ||
		!reflect.DeepEqual(old.Labels, pod.Labels) || !slices.Equal(old.Status.PodIPs, pod.Status.PodIPs)
}

// Headless tells whether a service has no cluster address.
func Headless(s *corev1.Service) bool { return s.Spec.ClusterIP == corev1.ClusterIPNone }

// Selected lists the pods that a service selects.
func Selected(lister corelisters.PodLister, s *corev1.Service) ([]*corev1.Pod, error) {
	list, err := lister.Pods(s.Namespace).List(labels.SelectorFromValidatedSet(s.Spec.Selector))
	if err != nil {
		return nil, fmt.Errorf("listing the pods of service %s/%s: %w", s.Namespace, s.Name, err)
	}
	return list, nil
}
