package kubeadm

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	proxyconfig "k8s.io/kube-proxy/config/v1alpha1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"
)

// File is the content of a configuration file: at most one of each kind. Kubelet and Proxy are kept as
// they were written, for what they leave out is filled in by who uses them.
type File struct {
	Init    *InitConfiguration
	Cluster *ClusterConfiguration
	Join    *JoinConfiguration
	Kubelet []byte
	Proxy   []byte
}

// Decode reads a file of YAML documents. A kind or field that is not known is an error that names it.
func Decode(data []byte) (*File, error) {
	file, reader := &File{}, utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for n := 1; ; n++ {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return file, nil
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		if len(bytes.TrimSpace(doc)) == 0 {
			continue
		}
		if err := file.add(doc); err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
	}
}

func (f *File) add(doc []byte) error {
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal(doc, &meta); err != nil {
		return err
	}
	switch meta.APIVersion + " " + meta.Kind {
	case APIVersion + " " + KindInit:
		return once(&f.Init, doc, meta)
	case APIVersion + " " + KindCluster:
		return once(&f.Cluster, doc, meta)
	case APIVersion + " " + KindJoin:
		return once(&f.Join, doc, meta)
	case "kubelet.config.k8s.io/v1beta1 KubeletConfiguration":
		f.Kubelet = doc
		return strict(doc, &kubeletconfig.KubeletConfiguration{}, meta)
	case "kubeproxy.config.k8s.io/v1alpha1 KubeProxyConfiguration":
		f.Proxy = doc
		return strict(doc, &proxyconfig.KubeProxyConfiguration{}, meta)
	}
	return fmt.Errorf("%q %q is not read here: use %s %s, %s or %s, KubeletConfiguration or KubeProxyConfiguration",
		meta.APIVersion, meta.Kind, APIVersion, KindInit, KindCluster, KindJoin)
}

func once[T any](into **T, doc []byte, meta metav1.TypeMeta) error {
	if *into != nil {
		return fmt.Errorf("a second %s: a file holds one of each kind", meta.Kind)
	}
	*into = new(T)
	return strict(doc, *into, meta)
}

func strict(doc []byte, into any, meta metav1.TypeMeta) error {
	if err := yaml.UnmarshalStrict(doc, into); err != nil {
		return fmt.Errorf("%s: %w", meta.Kind, err)
	}
	return nil
}
