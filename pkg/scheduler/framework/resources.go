package framework

import (
	"cmp"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
)

// What a container that states no request is taken to need when nodes are scored (not when they are
// filtered), as in kube-scheduler.
const (
	assumedMilliCPU = 100
	assumedMemory   = 200 * 1024 * 1024
)

// Resources is an amount of everything that nodes offer and pods ask for: CPU in thousandths of a core,
// memory and ephemeral storage in bytes, extended resources in their own units.
type Resources struct {
	MilliCPU, Memory, EphemeralStorage int64
	Pods                               int64
	Scalar                             map[corev1.ResourceName]int64
}

// NewResources reads a resource list.
func NewResources(list corev1.ResourceList) Resources {
	var r Resources
	for name, q := range list {
		switch name {
		case corev1.ResourceCPU:
			r.MilliCPU = q.MilliValue()
		case corev1.ResourceMemory:
			r.Memory = q.Value()
		case corev1.ResourceEphemeralStorage:
			r.EphemeralStorage = q.Value()
		case corev1.ResourcePods:
			r.Pods = q.Value()
		default:
			if r.Scalar == nil {
				r.Scalar = map[corev1.ResourceName]int64{}
			}
			r.Scalar[name] = q.Value()
		}
	}
	return r
}

// Add adds o, or takes it away where sign is -1.
func (r *Resources) Add(o *Resources, sign int64) {
	r.MilliCPU += sign * o.MilliCPU
	r.Memory += sign * o.Memory
	r.EphemeralStorage += sign * o.EphemeralStorage
	r.Pods += sign * o.Pods
	for name, n := range o.Scalar {
		if r.Scalar == nil {
			r.Scalar = map[corev1.ResourceName]int64{}
		}
		r.Scalar[name] += sign * n
	}
}

// clone copies the amounts so that the copy can change alone.
func (r Resources) clone() Resources {
	if r.Scalar != nil {
		s := make(map[corev1.ResourceName]int64, len(r.Scalar))
		maps.Copy(s, r.Scalar)
		r.Scalar = s
	}
	return r
}

// PodInfo is a pod with what scheduling needs of it worked out once.
type PodInfo struct {
	Pod      *corev1.Pod
	Requests Resources // what the pod asks for, with overhead
	// ScoredCPU and ScoredMemory are the requests with an assumed minimum for containers that state none.
	ScoredCPU, ScoredMemory int64
	Ports                   []HostPort
}

// HostPort is a port of the node that a pod takes.
type HostPort struct {
	IP       string // "0.0.0.0" for all
	Protocol corev1.Protocol
	Port     int32
}

// NewPodInfo works out a pod's needs.
func NewPodInfo(pod *corev1.Pod) *PodInfo {
	opts := resourcehelper.PodResourcesOptions{UseStatusResources: true}
	p := &PodInfo{Pod: pod, Requests: NewResources(resourcehelper.PodRequests(pod, opts)), Ports: hostPorts(pod)}
	p.Requests.Pods = 1
	opts.NonMissingContainerRequests = corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(assumedMilliCPU, resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(assumedMemory, resource.BinarySI),
	}
	scored := NewResources(resourcehelper.PodRequests(pod, opts))
	p.ScoredCPU, p.ScoredMemory = scored.MilliCPU, scored.Memory
	return p
}

func hostPorts(pod *corev1.Pod) []HostPort {
	var ports []HostPort
	add := func(c *corev1.Container) {
		for _, p := range c.Ports {
			if p.HostPort <= 0 {
				continue
			}
			h := HostPort{IP: p.HostIP, Protocol: p.Protocol, Port: p.HostPort}
			h.IP = cmp.Or(h.IP, "0.0.0.0")
			h.Protocol = cmp.Or(h.Protocol, corev1.ProtocolTCP)
			ports = append(ports, h)
		}
	}
	for i := range pod.Spec.Containers {
		add(&pod.Spec.Containers[i])
	}
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add(c)
		}
	}
	return ports
}
