// Package downward tells a pod about itself: the fields and resources that environments and downward API
// volumes may name. It is pure, and must not know where the values go.
package downward

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Field answers a fieldPath over the pod's metadata, spec and status as the API allows them for volumes
// and environments. Maps come as lines of name="value", sorted.
func Field(pod *corev1.Pod, path string) (string, error) {
	if field, subscript, ok := subscripted(path); ok {
		return fieldOfMap(pod, path, field, subscript)
	}
	switch path {
	case "metadata.annotations":
		return lines(pod.Annotations), nil
	case "metadata.labels":
		return lines(pod.Labels), nil
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP":
		return pod.Status.HostIP, nil
	case "status.hostIPs":
		ips := make([]string, 0, len(pod.Status.HostIPs))
		for _, ip := range pod.Status.HostIPs {
			ips = append(ips, ip.IP)
		}
		return strings.Join(ips, ","), nil
	case "status.podIP":
		return pod.Status.PodIP, nil
	case "status.podIPs":
		ips := make([]string, 0, len(pod.Status.PodIPs))
		for _, ip := range pod.Status.PodIPs {
			ips = append(ips, ip.IP)
		}
		return strings.Join(ips, ","), nil
	}
	return "", fmt.Errorf("unsupported fieldPath: %v", path)
}

func fieldOfMap(pod *corev1.Pod, path, field, subscript string) (string, error) {
	switch field {
	case "metadata.annotations":
		if errs := validation.IsQualifiedName(strings.ToLower(subscript)); len(errs) != 0 {
			return "", fmt.Errorf("invalid key subscript in %s: %s", path, strings.Join(errs, ";"))
		}
		return pod.Annotations[subscript], nil
	case "metadata.labels":
		if errs := validation.IsQualifiedName(subscript); len(errs) != 0 {
			return "", fmt.Errorf("invalid key subscript in %s: %s", path, strings.Join(errs, ";"))
		}
		return pod.Labels[subscript], nil
	}
	return "", fmt.Errorf("fieldPath %q does not support subscript", path)
}

// subscripted splits metadata.labels['key'] into metadata.labels and key.
func subscripted(path string) (field, subscript string, ok bool) {
	inner, closed := strings.CutSuffix(path, "']")
	if !closed {
		return "", "", false
	}
	return strings.Cut(inner, "['")
}

func lines(m map[string]string) string {
	all := make([]string, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, fmt.Sprintf("%v=%q", k, m[k]))
	}
	return strings.Join(all, "\n")
}
