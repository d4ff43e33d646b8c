package kubeadm

import (
	"strings"
	"testing"
)

func TestDecodeReadsAFileOfSeveralKinds(t *testing.T) {
	f, err := Decode([]byte(`apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
nodeRegistration: {name: one, taints: []}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
networking: {podSubnet: 10.1.0.0/16}
apiServer: {extraArgs: [{name: v, value: "4"}], certSANs: [a.example]}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
maxPods: 50
`))
	if err != nil {
		t.Fatal(err)
	}
	if f.Init.NodeRegistration.Name != "one" || f.Init.NodeRegistration.Taints == nil {
		t.Errorf("the node is %+v, want one without taints", f.Init.NodeRegistration)
	}
	if f.Cluster.Networking.PodSubnet != "10.1.0.0/16" || f.Cluster.APIServer.ExtraArgs[0].Value != "4" {
		t.Errorf("the cluster is %+v", f.Cluster)
	}
	if !strings.Contains(string(f.Kubelet), "maxPods") {
		t.Errorf("the kubelet's configuration is %q", f.Kubelet)
	}
}

func TestDecodeNamesWhatItDoesNotKnow(t *testing.T) {
	for text, want := range map[string]string{
		"apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nnetwrking: {}\n":                                               `"netwrking"`,
		"apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterConfiguration\n":                                                              "v1beta2",
		"apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration": "second InitConfiguration",
		"apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxpds: 1\n":                                            `"maxpds"`,
	} {
		if _, err := Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Decode(%q) answers %v, want an error with %q", text, err, want)
		}
	}
}
