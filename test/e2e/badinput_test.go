package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/sampan-project/sampan/pkg/pki"
	"github.com/sampan-project/sampan/test/cluster"
)

// refused runs a program that must end with another code than 0 and one line that says want.
func refused(t *testing.T, want string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || ctx.Err() != nil {
		t.Errorf("%s: it ended with %v, want a refusal\n%s", strings.Join(args, " "), err, out)
		return
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if last := lines[len(lines)-1]; !strings.Contains(last, want) {
		t.Errorf("%s: it ends with %q, want a line that says %q", strings.Join(args, " "), last, want)
	}
}

func badInput(t *testing.T, s *suite) {
	bin := func(name string) string { return filepath.Join(s.Root, "bin", name) }
	dir := t.TempDir()
	t.Run("PortTaken", func(t *testing.T) {
		refused(t, "--secure-port", bin("apiserver"), "--data-dir="+dir+"/etcd", "--cert-dir="+dir+"/certs", "--secure-port=6443")
	})
	t.Run("DataDirectoryNotWritable", func(t *testing.T) {
		refused(t, "--data-dir", bin("apiserver"), "--data-dir=/proc/etcd", "--cert-dir="+dir+"/certs", "--secure-port=16443")
	})
	t.Run("NoContainerRuntime", func(t *testing.T) {
		refused(t, "/nowhere.sock", bin("kubelet"), "--container-runtime-endpoint=unix:///nowhere.sock", "--kubeconfig="+cluster.AdminKubeconfig,
			"--root-dir="+dir+"/kubelet", "--cert-dir="+dir+"/kubelet-pki", "--hostname-override=other", "--port=20250", "--healthz-port=0")
	})
	t.Run("NoClusterTwice", func(t *testing.T) {
		refused(t, "ctl reset", bin("ctl"), "init", "--apiserver-advertise-address="+cluster.Address)
	})
	t.Run("BrokenStaticPod", func(t *testing.T) { brokenStaticPod(t, s) })
	t.Run("UnknownField", func(t *testing.T) {
		_, err := s.kubectlWith(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: typo}\nspec: {containers: [{name: a, imagee: b}]}\n", "apply", "-f", "-")
		if err == nil || !strings.Contains(err.Error(), `unknown field "spec.containers[0].imagee"`) {
			t.Errorf("a misspelled field: %v", err)
		}
	})
	t.Run("WrongCA", func(t *testing.T) {
		wrong := wrongCA(t, dir)
		refused(t, "certificate", bin("ctl"), "--kubeconfig="+wrong, "get", "nodes")
		refused(t, "certificate", bin("scheduler"), "--kubeconfig="+wrong, "--secure-port=0")
	})
}

// brokenStaticPod: the kubelet says what is wrong with the file, and goes on with the others.
func brokenStaticPod(t *testing.T, s *suite) {
	file := "/etc/kubernetes/manifests/broken.yaml"
	t.Cleanup(func() { _ = os.Remove(file) })
	write(t, file, "apiVersion: v1\nkind: Pod\nmetadata: {name: broken\n")
	eventually(t, soon, "the kubelet's log names the file", func(context.Context) error {
		b, err := os.ReadFile("/var/log/sampan/kubelet.log")
		if err == nil && !strings.Contains(string(b), "broken.yaml") {
			err = errors.New("it does not")
		}
		return err
	})
	s.must(t, "get", "nodes")
}

// wrongCA is the administrator's kubeconfig with another authority in it.
func wrongCA(t *testing.T, dir string) string {
	t.Helper()
	cfg, err := clientcmd.LoadFromFile(cluster.AdminKubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	other, err := pki.NewCA(pki.CertSpec{CommonName: "other", Algorithm: pki.ECDSAP256}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cfg.Clusters {
		c.CertificateAuthority, c.CertificateAuthorityData = "", other.CertificatePEM()
	}
	file := filepath.Join(dir, "wrong.conf")
	if err := clientcmd.WriteToFile(*cfg, file); err != nil {
		t.Fatal(fmt.Errorf("writing the kubeconfig: %w", err))
	}
	return file
}
