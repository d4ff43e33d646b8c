package runtime

import (
	"context"
	"fmt"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/pod"
)

// CreateSandbox makes and starts a pod's sandbox with its network.
func (m *Manager) CreateSandbox(ctx context.Context, p *corev1.Pod, attempt uint32) (pod.Sandbox, error) {
	config, err := m.sandboxConfig(p, attempt, func(reason, message string) {
		m.Event(p, "", corev1.EventTypeWarning, reason, message)
	})
	if err != nil {
		return pod.Sandbox{}, fmt.Errorf("failed to generate sandbox config for pod %q: %w", name(p), err)
	}
	if err := os.MkdirAll(config.GetLogDirectory(), 0o755); err != nil {
		return pod.Sandbox{}, fmt.Errorf("failed to create log directory for pod %q: %w", name(p), err)
	}
	handler := ""
	if class := p.Spec.RuntimeClassName; class != nil && *class != "" {
		if handler, err = m.Handler(ctx, *class); err != nil {
			return pod.Sandbox{}, fmt.Errorf("failed to create sandbox for pod %q: %w", name(p), err)
		}
	}
	id, err := m.Runtime.RunPodSandbox(ctx, config, handler)
	if err != nil {
		return pod.Sandbox{}, fmt.Errorf("failed to create pod sandbox: %w", err)
	}
	m.Made(p.UID, id)
	return m.Sandbox(ctx, id)
}

// name is how messages call a pod.
func name(p *corev1.Pod) string { return p.Name + "_" + p.Namespace + "(" + string(p.UID) + ")" }

// sandboxConfig describes a pod's sandbox to the runtime.
func (m *Manager) sandboxConfig(p *corev1.Pod, attempt uint32, warn func(reason, message string)) (*cri.PodSandboxConfig, error) {
	network, err := m.Network(p, warn)
	if err != nil {
		return nil, err
	}
	parent, err := m.Cgroups.Pod(p)
	if err != nil {
		return nil, fmt.Errorf("making the pod's control group: %w", err)
	}
	overhead, resources := m.Cgroups.SandboxResources(p)
	config := &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: p.Name, Namespace: p.Namespace, Uid: string(p.UID), Attempt: attempt},
		Labels:       sandboxLabels(p),
		Annotations:  p.Annotations,
		DnsConfig:    network.DNS,
		LogDirectory: m.LogDir(p),
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent: parent, SecurityContext: m.sandboxSecurity(p), Sysctls: sysctls(p), Overhead: overhead, Resources: resources,
		},
	}
	if !p.Spec.HostNetwork {
		config.Hostname = network.Hostname
		config.PortMappings = portMappings(p)
	}
	return config, nil
}

func sysctls(p *corev1.Pod) map[string]string {
	if p.Spec.SecurityContext == nil || len(p.Spec.SecurityContext.Sysctls) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, s := range p.Spec.SecurityContext.Sysctls {
		out[strings.ReplaceAll(s.Name, "/", ".")] = s.Value
	}
	return out
}

// portMappings are the ports of the node that lead into the pod: of its containers and its sidecars.
func portMappings(p *corev1.Pod) []*cri.PortMapping {
	var out []*cri.PortMapping
	add := func(c *corev1.Container) {
		for _, port := range c.Ports {
			if port.HostPort <= 0 {
				continue
			}
			protocol := cri.ProtocolTCP
			switch port.Protocol {
			case corev1.ProtocolUDP:
				protocol = cri.ProtocolUDP
			case corev1.ProtocolSCTP:
				protocol = cri.ProtocolSCTP
			}
			out = append(out, &cri.PortMapping{Protocol: protocol, ContainerPort: port.ContainerPort, HostPort: port.HostPort, HostIp: port.HostIP})
		}
	}
	for i := range p.Spec.InitContainers {
		if pod.IsSidecar(&p.Spec.InitContainers[i]) {
			add(&p.Spec.InitContainers[i])
		}
	}
	for i := range p.Spec.Containers {
		add(&p.Spec.Containers[i])
	}
	return out
}

// StopSandboxes stops sandboxes, with what still runs in them.
func (m *Manager) StopSandboxes(ctx context.Context, list []pod.Sandbox) error {
	for _, s := range list {
		if err := m.Runtime.StopPodSandbox(ctx, s.ID); err != nil && !cri.IsNotFound(err) {
			return fmt.Errorf("stopping the pod's sandbox: %w", err)
		}
	}
	return nil
}

// RemoveSandbox removes a stopped sandbox and what is left of its containers.
func (m *Manager) RemoveSandbox(ctx context.Context, id string) error {
	if err := m.Runtime.StopPodSandbox(ctx, id); err != nil && !cri.IsNotFound(err) {
		return fmt.Errorf("stopping a sandbox before its removal: %w", err)
	}
	if err := m.Runtime.RemovePodSandbox(ctx, id); err != nil && !cri.IsNotFound(err) {
		return fmt.Errorf("removing a sandbox: %w", err)
	}
	return nil
}
