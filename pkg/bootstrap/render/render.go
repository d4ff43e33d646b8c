// Package render fills in the templates of manifests/ from settings. It writes nothing.
package render

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	proxyconfig "k8s.io/kube-proxy/config/v1alpha1"
	"sigs.k8s.io/yaml"

	"github.com/sampan-project/sampan/api/kubeadm"
	"github.com/sampan-project/sampan/manifests"
	"github.com/sampan-project/sampan/pkg/bootstrap/settings"
)

// Values are what templates can say: all settings, and texts that are made from several.
type Values struct {
	*settings.Settings
	Images map[string]string // names of images by what they hold: apiserver, coredns ...

	ClusterConfiguration string
	KubeletConfiguration string
	ProxyConfiguration   string
	ClusterInfo          string
	Upstream             bool // the host knows a name server that CoreDNS can ask
	DNSReplicas          int
	CNIBinDir            string
}

// EtcdDir is a directory that the apiserver's pod needs for certificates of an etcd elsewhere.
type EtcdDir struct{ Name, Path string }

// EtcdFileDirs are those directories, without the cluster's own, which the pod has anyway.
func (v *Values) EtcdFileDirs() (dirs []EtcdDir) {
	for _, file := range []string{v.CAFile, v.CertFile, v.KeyFile} {
		dir := filepath.Dir(file)
		if file == "" || dir == v.CertDir || strings.HasPrefix(dir, v.CertDir+"/") || slices.ContainsFunc(dirs, func(d EtcdDir) bool { return d.Path == dir }) {
			continue
		}
		dirs = append(dirs, EtcdDir{fmt.Sprintf("etcd-certs-%d", len(dirs)), dir})
	}
	return dirs
}

func (v *Values) image(id string) string {
	if name := v.Images[id]; name != "" {
		return name
	}
	return v.Repository + "/" + id + ":" + v.Version
}

func text(file string, v *Values) ([]byte, error) {
	t, err := template.New(path.Base(file)).Option("missingkey=error").Funcs(template.FuncMap{
		"image":   v.image,
		"program": func(id string) string { return "/" + id },
		"join":    strings.Join,
		"indent": func(n int, s string) string {
			pad := strings.Repeat(" ", n)
			return pad + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n"+pad)
		},
		"hash": func(parts ...string) string {
			sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
			return hex.EncodeToString(sum[:8])
		},
	}).ParseFS(manifests.Files, file)
	if err != nil {
		return nil, fmt.Errorf("the template %s: %w", file, err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, v); err != nil {
		return nil, fmt.Errorf("filling in the template %s: %w", file, err)
	}
	return out.Bytes(), nil
}

// Objects gives the objects of a template in order, for instance those of addons/coredns.yaml.
func Objects(file string, v *Values) (list []*unstructured.Unstructured, err error) {
	data, err := text(file, v)
	if err != nil {
		return nil, err
	}
	for doc := range strings.SplitSeq(string(data), "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &o.Object); err != nil {
			return nil, fmt.Errorf("the template %s, filled in, is no YAML: %w", file, err)
		}
		if len(o.Object) > 0 {
			list = append(list, o)
		}
	}
	return list, nil
}

// StaticPod gives the file of a static pod; args of the user take the place of ours, or come behind them.
func StaticPod(file string, v *Values, args []kubeadm.Arg) ([]byte, error) {
	data, err := text(file, v)
	if err != nil || len(args) == 0 {
		return data, err
	}
	var pod map[string]any
	if err := yaml.Unmarshal(data, &pod); err != nil {
		return nil, fmt.Errorf("the template %s, filled in, is no YAML: %w", file, err)
	}
	containers, _, err := unstructured.NestedSlice(pod, "spec", "containers")
	if err != nil || len(containers) == 0 {
		return nil, fmt.Errorf("the template %s has no containers", file)
	}
	container := containers[0].(map[string]any)
	command, _, err := unstructured.NestedStringSlice(container, "command")
	if err != nil {
		return nil, fmt.Errorf("the template %s: %w", file, err)
	}
	if err := unstructured.SetNestedStringSlice(container, WithArgs(command, args), "command"); err != nil {
		return nil, err
	}
	if err := unstructured.SetNestedSlice(pod, containers, "spec", "containers"); err != nil {
		return nil, err
	}
	return yaml.Marshal(pod)
}

// WithArgs puts flags into a command line: those that it has are replaced, others appended.
func WithArgs(command []string, args []kubeadm.Arg) []string {
	named := func(a kubeadm.Arg) func(string) bool {
		return func(have string) bool { return strings.HasPrefix(have, "--"+a.Name+"=") }
	}
	out := slices.Clone(command)
	for _, a := range args {
		out = slices.DeleteFunc(out, named(a))
	}
	for _, a := range args {
		out = append(out, "--"+a.Name+"="+a.Value)
	}
	return out
}

// Proxy is the proxies' configuration: what --config says, and what follows from the cluster.
func Proxy(s *settings.Settings) (string, error) {
	c := proxyconfig.KubeProxyConfiguration{
		TypeMeta:    metav1.TypeMeta{APIVersion: "kubeproxy.config.k8s.io/v1alpha1", Kind: "KubeProxyConfiguration"},
		ClusterCIDR: s.PodCIDR, BindAddress: "0.0.0.0",
		HealthzBindAddress: "0.0.0.0:10256", MetricsBindAddress: "127.0.0.1:10249",
	}
	c.ClientConnection.Kubeconfig = "/var/lib/kube-proxy/kubeconfig.conf"
	if err := yaml.Unmarshal(s.ProxyFile, &c); err != nil {
		return "", fmt.Errorf("the KubeProxyConfiguration in %s: %w", s.ConfigFile, err)
	}
	return Sparse(c)
}

// Sparse writes an object as YAML without what is empty, for people to read.
func Sparse(o any) (string, error) {
	data, err := yaml.Marshal(o)
	if err != nil {
		return "", err
	}
	var m map[string]any
	if err := yaml.Unmarshal(data, &m); err != nil {
		return "", err
	}
	prune(m)
	data, err = yaml.Marshal(m)
	return string(data), err
}

func prune(m map[string]any) {
	for k, v := range m {
		if inner, ok := v.(map[string]any); ok {
			prune(inner)
			if len(inner) == 0 {
				delete(m, k)
			}
			continue
		}
		if v == nil || v == "" || v == "0s" || v == float64(0) && k != "oomScoreAdj" {
			delete(m, k)
		}
	}
}

// EndpointHost is the name or address of the control plane.
func (v *Values) EndpointHost() string { host, _, _ := net.SplitHostPort(v.Endpoint); return host }

// EndpointPort is the port of the control plane.
func (v *Values) EndpointPort() string { _, port, _ := net.SplitHostPort(v.Endpoint); return port }
