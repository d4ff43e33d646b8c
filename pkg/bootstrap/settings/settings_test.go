package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

func parse(t *testing.T, args ...string) (*Settings, error) {
	t.Helper()
	s := New()
	fs := pflag.NewFlagSet("init", pflag.ContinueOnError)
	s.AddInit(fs)
	if err := fs.Parse(append([]string{"--apiserver-advertise-address=192.0.2.7", "--node-name=One"}, args...)); err != nil {
		t.Fatal(err)
	}
	if err := s.Load(fs); err != nil {
		return s, err
	}
	return s, s.CompleteInit()
}

func TestDefaultsFollowFromTheAddress(t *testing.T) {
	s, err := parse(t)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{s.NodeName, s.NodeIP, s.Endpoint, s.URL(), s.DNSAddress(), s.APIAddress(), s.Socket()}
	want := []string{"one", "192.0.2.7", "192.0.2.7:6443", "https://192.0.2.7:6443", "10.96.0.10", "10.96.0.1", "/run/containerd/containerd.sock"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestFlagsGoBeforeTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "init.yaml")
	text := `apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
networking: {podSubnet: 10.1.0.0/16, serviceSubnet: 10.2.0.0/16}
apiServer: {certSANs: [file.example]}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := parse(t, "--config="+file, "--pod-network-cidr=10.3.0.0/16", "--apiserver-cert-extra-sans=flag.example")
	if err != nil {
		t.Fatal(err)
	}
	if s.PodCIDR != "10.3.0.0/16" || s.ServiceCIDR != "10.2.0.0/16" {
		t.Errorf("pods have %s and services %s, want the flag's 10.3.0.0/16 and the file's 10.2.0.0/16", s.PodCIDR, s.ServiceCIDR)
	}
	if d := cmp.Diff([]string{"flag.example"}, s.ExtraSANs); d != "" {
		t.Error(d)
	}
}

func TestFaultsNameTheFlag(t *testing.T) {
	for arg, want := range map[string]string{
		"--pod-network-cidr=ten":               "--pod-network-cidr",
		"--pod-network-cidr=10.96.0.0/16":      "overlap",
		"--pod-network-addon=weave":            "--pod-network-addon",
		"--token=short":                        "--token",
		"--kubernetes-version=v1.30.0":         "--kubernetes-version",
		"--etcd-cafile=/ca":                    "--etcd-servers",
		"--etcd-servers=etcd:2379":             "--etcd-servers",
		"--data-dir=here":                      "absolute",
		"--apiserver-bind-port=0":              "--apiserver-bind-port",
		"--node-ip=me":                         "--node-ip",
		"--cgroup-driver=podfs":                "--cgroup-driver",
		"--control-plane-endpoint=a b":         "--control-plane-endpoint",
		"--apiserver-advertise-address=a.host": "--apiserver-advertise-address",
		"--config=/nowhere":                    "--config",
	} {
		if _, err := parse(t, arg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v, want one that names %q", arg, err, want)
		}
	}
}

func TestJoinWantsProofOfTheCluster(t *testing.T) {
	s := New()
	s.Token = "abcdef.0123456789abcdef"
	if err := s.CompleteJoin("192.0.2.1:6443"); err == nil || !strings.Contains(err.Error(), "--discovery-token-ca-cert-hash") {
		t.Errorf("without the authority's hash join says %v", err)
	}
	s.CAHashes = []string{"sha256:00"}
	if err := s.CompleteJoin("192.0.2.1:6443"); err != nil {
		t.Error(err)
	}
}
