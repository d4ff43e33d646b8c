package source

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

func missing[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

func zero[T comparable](field *T, value T) {
	var none T
	if *field == none {
		*field = value
	}
}

// setDefaults fills in what the apiserver fills in for other pods, as far as running the pod needs it.
func setDefaults(pod *corev1.Pod) {
	s := &pod.Spec
	zero(&s.RestartPolicy, corev1.RestartPolicyAlways)
	zero(&s.DNSPolicy, corev1.DNSClusterFirst)
	zero(&s.SchedulerName, corev1.DefaultSchedulerName)
	missing(&s.TerminationGracePeriodSeconds, 30)
	missing(&s.EnableServiceLinks, true)
	if s.SecurityContext == nil {
		s.SecurityContext = &corev1.PodSecurityContext{}
	}
	for i := range s.InitContainers {
		defaultContainer(&s.InitContainers[i], s.HostNetwork)
	}
	for i := range s.Containers {
		defaultContainer(&s.Containers[i], s.HostNetwork)
	}
	for i := range s.Volumes {
		defaultVolume(&s.Volumes[i])
	}
}

func defaultContainer(c *corev1.Container, hostNetwork bool) {
	if c.ImagePullPolicy == "" {
		c.ImagePullPolicy = pullPolicy(c.Image)
	}
	zero(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	zero(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	for i := range c.Ports {
		p := &c.Ports[i]
		zero(&p.Protocol, corev1.ProtocolTCP)
		if hostNetwork {
			zero(&p.HostPort, p.ContainerPort)
		}
	}
	for name, limit := range c.Resources.Limits {
		if c.Resources.Requests == nil {
			c.Resources.Requests = corev1.ResourceList{}
		}
		if _, ok := c.Resources.Requests[name]; !ok {
			c.Resources.Requests[name] = limit.DeepCopy()
		}
	}
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil && from.FieldRef != nil {
			zero(&from.FieldRef.APIVersion, "v1")
		}
	}
	for _, p := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
		defaultProbe(p)
	}
	if c.Lifecycle != nil {
		for _, h := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
			if h != nil {
				defaultHTTPGet(h.HTTPGet)
			}
		}
	}
}

func defaultProbe(p *corev1.Probe) {
	if p == nil {
		return
	}
	zero(&p.TimeoutSeconds, 1)
	zero(&p.PeriodSeconds, 10)
	zero(&p.SuccessThreshold, 1)
	zero(&p.FailureThreshold, 3)
	defaultHTTPGet(p.HTTPGet)
	if p.GRPC != nil {
		missing(&p.GRPC.Service, "")
	}
}

func defaultHTTPGet(get *corev1.HTTPGetAction) {
	if get == nil {
		return
	}
	zero(&get.Path, "/")
	zero(&get.Scheme, corev1.URISchemeHTTP)
	if get.Port.Type == intstr.String && get.Port.StrVal == "" {
		get.Port = intstr.FromInt32(0)
	}
}

// pullPolicy: what is tagged latest may have changed.
func pullPolicy(image string) corev1.PullPolicy {
	name, _, digest := strings.Cut(image, "@")
	tag := ""
	if i := strings.LastIndex(name, ":"); i > strings.LastIndex(name, "/") {
		tag = name[i+1:]
	}
	if tag == "latest" || tag == "" && !digest {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

func defaultVolume(v *corev1.Volume) {
	switch {
	case v.VolumeSource == corev1.VolumeSource{}:
		v.EmptyDir = &corev1.EmptyDirVolumeSource{}
	case v.HostPath != nil:
		missing(&v.HostPath.Type, corev1.HostPathUnset)
	case v.DownwardAPI != nil:
		missing(&v.DownwardAPI.DefaultMode, corev1.DownwardAPIVolumeSourceDefaultMode)
	case v.Projected != nil:
		if v.Projected.DefaultMode == nil {
			v.Projected.DefaultMode = ptr.To(corev1.ProjectedVolumeSourceDefaultMode)
		}
	}
}
