package environment

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestHostsFileOfAPod(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{HostAliases: []corev1.HostAlias{{IP: "9.9.9.9", Hostnames: []string{"a", "b"}}}}}
	aliases := "\n# Entries added by HostAliases.\n9.9.9.9\ta\tb\n"
	got := string(HostsFile(pod, "h", "s.ns.svc.x", []string{"1.1.1.1", "fd::1"}, nil))
	if !strings.HasPrefix(got, "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n") || !strings.HasSuffix(got, "1.1.1.1\th.s.ns.svc.x\th\nfd::1\th.s.ns.svc.x\th\n"+aliases) {
		t.Error(got)
	}
	pod.Spec.HostNetwork = true
	if got := string(HostsFile(pod, "h", "", []string{"1.1.1.1"}, []byte("127.0.0.1 node\n"))); got != "# Kubernetes-managed hosts file (host network).\n127.0.0.1 node\n"+aliases {
		t.Error(got)
	}
}

func TestHostsFileIsMountedUnlessTheContainerHasItsOwn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pod")
	m, err := HostsMount(dir, &corev1.Container{}, []byte("x"))
	if err != nil || m.ContainerPath != "/etc/hosts" || m.HostPath != filepath.Join(dir, "etc-hosts") || m.Readonly {
		t.Fatalf("%v, %v", m, err)
	}
	if data, err := os.ReadFile(m.HostPath); string(data) != "x" {
		t.Errorf("%q, %v", data, err)
	}
	m, err = HostsMount(dir, &corev1.Container{VolumeMounts: []corev1.VolumeMount{{MountPath: "/etc/hosts/"}}}, nil)
	if m != nil || err != nil {
		t.Errorf("%v, %v", m, err)
	}
}

func TestTerminationLogIsWritableToAnyUser(t *testing.T) {
	c := &corev1.Container{Name: "c", TerminationMessagePath: "/dev/termination-log"}
	m, err := TerminationLog(t.TempDir(), c, [4]byte{1, 2, 3, 4})
	if err != nil || m.ContainerPath != c.TerminationMessagePath || !strings.HasSuffix(m.HostPath, "/containers/c/01020304") {
		t.Fatalf("%v, %v", m, err)
	}
	if info, err := os.Stat(m.HostPath); err != nil || info.Mode() != 0o666 {
		t.Errorf("%v, %v", info, err)
	}
	if m, err := TerminationLog(t.TempDir(), &corev1.Container{}, [4]byte{}); m != nil || err != nil {
		t.Errorf("%v, %v", m, err)
	}
}
