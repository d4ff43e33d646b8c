// Package kubelet makes the files that a kubelet starts from: its configuration, and the flags that differ
// from node to node. It starts nothing.
package kubelet

import (
	"fmt"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/sampan-project/sampan/pkg/bootstrap/layout"
	"github.com/sampan-project/sampan/pkg/bootstrap/render"
	"github.com/sampan-project/sampan/pkg/bootstrap/settings"
)

// ControlPlane is the taint and the label of nodes with a control plane.
const ControlPlane = "node-role.kubernetes.io/control-plane"

// Configuration is what all kubelets of the cluster agree on.
func Configuration(s *settings.Settings) (*kubeletconfig.KubeletConfiguration, error) {
	c := &kubeletconfig.KubeletConfiguration{
		TypeMeta:           metav1.TypeMeta{APIVersion: "kubelet.config.k8s.io/v1beta1", Kind: "KubeletConfiguration"},
		StaticPodPath:      layout.ManifestsDir,
		RotateCertificates: true,
		ClusterDNS:         []string{s.DNSAddress()},
		ClusterDomain:      s.DNSDomain,
		HealthzPort:        new(int32(10248)),
		HealthzBindAddress: "127.0.0.1",
	}
	c.Authentication.X509.ClientCAFile = layout.PKIDir + "/ca.crt"
	if s.CertDir != layout.PKIDir {
		c.Authentication.X509.ClientCAFile = s.CertDir + "/ca.crt"
	}
	c.Authentication.Webhook.Enabled = new(true)
	c.Authentication.Anonymous.Enabled = new(false)
	c.Authorization.Mode = kubeletconfig.KubeletAuthorizationModeWebhook
	if err := yaml.Unmarshal(s.KubeletFile, c); err != nil {
		return nil, fmt.Errorf("the KubeletConfiguration in %s: %w", s.ConfigFile, err)
	}
	return c, nil
}

// Adapt puts into a cluster's configuration what holds for this machine alone.
func Adapt(c *kubeletconfig.KubeletConfiguration, s *settings.Settings, systemd bool) {
	c.ContainerRuntimeEndpoint = s.CRISocket
	if s.CgroupDriver != "" {
		c.CgroupDriver = s.CgroupDriver
	} else if c.CgroupDriver == "" {
		c.CgroupDriver = Driver(s, systemd)
	}
	if s.CgroupRoot != "" {
		c.CgroupRoot = s.CgroupRoot
	}
	// systemd-resolved's own file names its stub at 127.0.0.53, which pods cannot reach.
	if _, err := os.Stat(s.On(layout.ResolvedConf)); err == nil && c.ResolverConfig == nil {
		c.ResolverConfig = ptr.To(layout.ResolvedConf)
	}
}

// Driver is how cgroups are made on this machine.
func Driver(s *settings.Settings, systemd bool) string {
	if s.CgroupDriver != "" {
		return s.CgroupDriver
	}
	if systemd {
		return "systemd"
	}
	return "cgroupfs"
}

// Text is the configuration as a file.
func Text(c *kubeletconfig.KubeletConfiguration) (string, error) { return render.Sparse(c) }

// Flags are those of this node, in the form of the environment file that the unit reads.
func Flags(s *settings.Settings, taints []corev1.Taint) string {
	args := []string{"--hostname-override=" + s.NodeName, "--node-ip=" + s.NodeIP}
	if len(taints) > 0 {
		var list []string
		for _, t := range taints {
			list = append(list, t.ToString())
		}
		args = append(args, "--register-with-taints="+strings.Join(list, ","))
	}
	args = render.WithArgs(args, s.KubeletArgs)
	return fmt.Sprintf("KUBELET_KUBEADM_ARGS=%q\n", strings.Join(args, " "))
}

// Taints are what a node with a control plane registers with.
func Taints(s *settings.Settings, controlPlane bool) []corev1.Taint {
	switch {
	case s.NoTaints:
		return nil
	case len(s.Taints) > 0:
		return s.Taints
	case controlPlane && s.TaintControl:
		return []corev1.Taint{{Key: ControlPlane, Effect: corev1.TaintEffectNoSchedule}}
	}
	return nil
}

// Args reads the command line of the kubelet from its environment files, as the unit would.
func Args(l layout.Layout) ([]string, error) {
	args := []string{
		"--bootstrap-kubeconfig=" + layout.BootstrapConf, "--kubeconfig=" + layout.KubeletConf, "--config=" + layout.KubeletConfig,
	}
	for _, f := range []struct{ file, variable string }{
		{layout.KubeletFlags, "KUBELET_KUBEADM_ARGS"}, {layout.KubeletExtra, "KUBELET_EXTRA_ARGS"},
	} {
		data, err := os.ReadFile(l.On(f.file))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the kubelet's flags: %w", err)
		}
		args = append(args, variable(string(data), f.variable)...)
	}
	return args, nil
}

func variable(file, name string) []string {
	for line := range strings.Lines(file) {
		value, ok := strings.CutPrefix(strings.TrimSpace(line), name+"=")
		if ok {
			return strings.Fields(strings.Trim(value, `"'`))
		}
	}
	return nil
}
