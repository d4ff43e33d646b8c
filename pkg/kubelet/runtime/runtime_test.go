package runtime

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

//go:fix inline

func podWith(c corev1.Container, sc *corev1.PodSecurityContext) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "u"}, Spec: corev1.PodSpec{SecurityContext: sc, Containers: []corev1.Container{c}}}
}

func TestContainersOwnSecurityComesBeforeThePods(t *testing.T) {
	m := New(Config{SeccompDir: "/seccomp"})
	c := corev1.Container{Name: "c", SecurityContext: &corev1.SecurityContext{
		RunAsUser: new(int64(5)), ReadOnlyRootFilesystem: new(true), AllowPrivilegeEscalation: new(false),
		Capabilities:   &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN"}, Drop: []corev1.Capability{"ALL"}},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: new("p.json")},
	}}
	p := podWith(c, &corev1.PodSecurityContext{RunAsUser: new(int64(1)), RunAsGroup: new(int64(2)), FSGroup: new(int64(3)), SupplementalGroups: []int64{4}})
	s, err := m.containerSecurity(p, &p.Spec.Containers[0], &cri.Image{}, "")
	if err != nil {
		t.Fatal(err)
	}
	if s.GetRunAsUser().GetValue() != 5 || s.GetRunAsGroup().GetValue() != 2 || !cmp.Equal(s.GetSupplementalGroups(), []int64{4, 3}) {
		t.Errorf("identity: %v", s)
	}
	if !s.GetReadonlyRootfs() || !s.GetNoNewPrivs() || s.GetCapabilities().GetAddCapabilities()[0] != "NET_ADMIN" ||
		s.GetSeccomp().GetLocalhostRef() != "/seccomp/p.json" || len(s.GetMaskedPaths()) == 0 {
		t.Errorf("confinement: %v", s)
	}
}

func TestRootIsRefusedWhereItMustNotBe(t *testing.T) {
	m := New(Config{})
	for _, c := range []struct {
		name  string
		user  *int64
		image *cri.Image
		want  string // in the error; "": none
	}{
		{"the pod says another", new(int64(1)), &cri.Image{}, ""},
		{"the pod says root", new(int64(0)), &cri.Image{}, "container's runAsUser breaks non-root policy"},
		{"the image says root", nil, &cri.Image{Uid: &cri.Int64Value{}}, "image will run as root"},
		{"the image says nothing", nil, &cri.Image{}, "image will run as root"},
		{"the image says a name", nil, &cri.Image{Username: "nobody"}, "image has non-numeric user (nobody)"},
		{"the image says another", nil, &cri.Image{Uid: &cri.Int64Value{Value: 7}}, ""},
	} {
		p := podWith(corev1.Container{Name: "c"}, &corev1.PodSecurityContext{RunAsNonRoot: new(true), RunAsUser: c.user})
		_, err := m.containerSecurity(p, &p.Spec.Containers[0], c.image, "")
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestNamespacesAndPorts(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	p := podWith(corev1.Container{Name: "c", Ports: []corev1.ContainerPort{{ContainerPort: 80, HostPort: 8080, HostIP: "192.0.2.1"}, {ContainerPort: 81}}}, nil)
	p.Spec.InitContainers = []corev1.Container{
		{Name: "i", Ports: []corev1.ContainerPort{{ContainerPort: 1, HostPort: 1}}},
		{Name: "s", RestartPolicy: &always, Ports: []corev1.ContainerPort{{ContainerPort: 53, HostPort: 53, Protocol: corev1.ProtocolUDP}}},
	}
	want := []*cri.PortMapping{{Protocol: cri.ProtocolUDP, ContainerPort: 53, HostPort: 53}, {ContainerPort: 80, HostPort: 8080, HostIp: "192.0.2.1"}}
	got := portMappings(p)
	if len(got) != 2 || got[0].String() != want[0].String() || got[1].String() != want[1].String() {
		t.Errorf("ports %v", got)
	}
	p.Spec.HostNetwork, p.Spec.HostIPC, p.Spec.ShareProcessNamespace = true, true, new(true)
	if n := namespaces(p); n.GetNetwork() != cri.NamespaceNode || n.GetIpc() != cri.NamespaceNode || n.GetPid() != cri.NamespacePod {
		t.Errorf("namespaces %v", n)
	}
}

func TestTerminationMessage(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	log := write("log", "2026-01-01T00:00:00Z stdout F one\n2026-01-01T00:00:00Z stderr P tw\n2026-01-01T00:00:00Z stderr F o\n")
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/etc/passwd", link); err != nil {
		t.Fatal(err)
	}
	m := New(Config{})
	for _, c := range []struct {
		name, file, policy string
		code               int32
		runtime            string
		want               string
	}{
		{name: "of its file", file: write("said", "said"), want: "said"},
		{name: "cut", file: write("long", strings.Repeat("x", 5000)), want: strings.Repeat("x", 4096)},
		{name: "none", file: write("empty", ""), code: 1, want: ""},
		{name: "of the log", file: write("empty2", ""), policy: "FallbackToLogsOnError", code: 1, want: "one\ntwo\n"},
		{name: "not of the log of a success", file: write("empty3", ""), policy: "FallbackToLogsOnError", want: ""},
		{name: "never out of the pod", file: link, want: ""},
		{name: "of the runtime", file: write("said2", "said"), runtime: "it did not start", code: 128, want: "it did not start: said"},
	} {
		s := &cri.ContainerStatus{ExitCode: c.code, Message: c.runtime, LogPath: log,
			Mounts:      []*cri.Mount{{ContainerPath: "/dev/termination-log", HostPath: c.file}},
			Annotations: map[string]string{annotationMessagePath: "/dev/termination-log", annotationMessagePolicy: c.policy}}
		if got := m.terminationMessage(s); got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestLinksOfLogsFitIntoAFileName(t *testing.T) {
	m := New(Config{LinksDir: "/links"})
	p := podWith(corev1.Container{}, nil)
	if got := m.linkPath(p, "c", "id"); got != "/links/p_ns_c-id.log" {
		t.Error(got)
	}
	p.Name = strings.Repeat("n", 253)
	if got := filepath.Base(m.linkPath(p, "c", strings.Repeat("i", 64))); len(got) != 255 || !strings.HasSuffix(got, "i.log") {
		t.Errorf("%d: %s", len(got), got)
	}
}

func TestGrace(t *testing.T) {
	p := podWith(corev1.Container{Name: "c", LivenessProbe: &corev1.Probe{TerminationGracePeriodSeconds: new(int64(3))}}, nil)
	c := &p.Spec.Containers[0]
	if got := Grace(p, c, "liveness").Seconds(); got != 3 {
		t.Errorf("the probe's: %v", got)
	}
	if got := Grace(p, c, "").Seconds(); got != 30 {
		t.Errorf("the default: %v", got)
	}
	p.DeletionGracePeriodSeconds = new(int64(1))
	if got := Grace(p, c, "liveness").Seconds(); got != 1 {
		t.Errorf("the deletion's: %v", got)
	}
}
