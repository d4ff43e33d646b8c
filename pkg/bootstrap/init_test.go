package bootstrap

import (
	"crypto/x509"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/yaml"

	"github.com/sampan-project/sampan/api/kubeadm"
	"github.com/sampan-project/sampan/pkg/bootstrap/layout"
	"github.com/sampan-project/sampan/pkg/bootstrap/phase"
	"github.com/sampan-project/sampan/pkg/bootstrap/record"
	"github.com/sampan-project/sampan/pkg/bootstrap/render"
	"github.com/sampan-project/sampan/pkg/bootstrap/settings"
	"github.com/sampan-project/sampan/pkg/pki"
)

// made is a complete init below a directory of the test's own. Keys are small, for speed.
func made(t *testing.T, change func(*settings.Settings)) *Init {
	t.Helper()
	s := settings.New()
	s.Root, s.Advertise, s.NodeName, s.KeyAlgorithm = t.TempDir(), "192.0.2.7", "one", string(pki.ECDSAP256)
	s.ImageDir, s.BinDir = t.TempDir(), t.TempDir()
	if change != nil {
		change(s)
	}
	if err := s.CompleteInit(); err != nil {
		t.Fatal(err)
	}
	return NewInit(s, clocktesting.NewFakeClock(time.Now()))
}

// files are the phases that only write files.
func (i *Init) files(t *testing.T) {
	t.Helper()
	for _, name := range []string{"certs", "kubeconfig", "control-plane"} {
		found, err := phase.Find(i.Phases(), name)
		if err != nil {
			t.Fatal(err)
		}
		if err := phase.Run(t.Context(), []phase.Phase{found}, nil, phase.NewProgress(io.Discard)); err != nil {
			t.Fatal(err)
		}
	}
}

// listing is every file below a directory with its mode and content.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			all[strings.TrimPrefix(p, dir)] = "a directory"
			return nil
		}
		data, err := os.ReadFile(p)
		info, _ := os.Stat(p)
		all[strings.TrimPrefix(p, dir)] = info.Mode().String() + "\n" + string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAnotherInitChangesNothing(t *testing.T) {
	i := made(t, nil)
	i.files(t)
	before := listing(t, i.Root)
	NewInit(i.Settings, i.clock).files(t)
	if d := cmp.Diff(before, listing(t, i.Root)); d != "" {
		t.Error(d)
	}
}

func TestSecretsAreTheirOwnersAlone(t *testing.T) {
	i := made(t, nil)
	i.files(t)
	for name, content := range listing(t, i.Root) {
		if strings.Contains(content, "PRIVATE KEY") || strings.HasSuffix(name, ".conf") {
			if !strings.HasPrefix(content, "-rw-------") {
				t.Errorf("%s may be read by others: %.10s", name, content)
			}
		}
	}
}

func TestKubeconfigsHoldKubeadmsIdentities(t *testing.T) {
	i := made(t, func(s *settings.Settings) { s.Endpoint = "api.example:7000" })
	i.files(t)
	for file, want := range map[string][3]string{
		layout.AdminConf:      {"kubernetes-admin", "kubeadm:cluster-admins", "https://api.example:7000"},
		layout.SuperAdminConf: {"kubernetes-super-admin", "system:masters", "https://api.example:7000"},
		layout.KubeletConf:    {"system:node:one", "system:nodes", "https://api.example:7000"},
		layout.ManagerConf:    {"system:kube-controller-manager", "", "https://192.0.2.7:6443"},
		layout.SchedulerConf:  {"system:kube-scheduler", "", "https://192.0.2.7:6443"},
	} {
		c, err := clientcmd.LoadFromFile(i.On(file))
		if err != nil {
			t.Fatal(err)
		}
		current := c.Contexts[c.CurrentContext]
		data := c.AuthInfos[current.AuthInfo].ClientCertificateData
		if f := c.AuthInfos[current.AuthInfo].ClientCertificate; f != "" {
			if data, err = os.ReadFile(i.On(f)); err != nil {
				t.Fatal(err)
			}
		}
		certs, err := pki.ParseCertificates(data)
		if err != nil {
			t.Fatal(err)
		}
		got := [3]string{certs[0].Subject.CommonName, strings.Join(certs[0].Subject.Organization, ","), c.Clusters[current.Cluster].Server}
		if got != want {
			t.Errorf("%s is for %v, want %v", file, got, want)
		}
		if certs[0].ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
			t.Errorf("%s is for another use: %v", file, certs[0].ExtKeyUsage)
		}
	}
}

func TestTheAPIServersCertificateHasAllItsNames(t *testing.T) {
	i := made(t, func(s *settings.Settings) {
		s.Endpoint, s.ExtraSANs = "api.example", []string{"10.0.0.9", "more.example"}
	})
	i.files(t)
	pair, err := pki.LoadCertificates(i.On(layout.PKIDir + "/apiserver.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kubernetes.default.svc.cluster.local", "one", "192.0.2.7", "10.96.0.1", "127.0.0.1", "api.example", "10.0.0.9", "more.example"} {
		if err := pair[0].VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
}

func TestACertificateThatDoesNotFitIsNotReplaced(t *testing.T) {
	i := made(t, nil)
	i.files(t)
	i.ExtraSANs = []string{"new.example"}
	found, err := phase.Find(i.Phases(), "certs/apiserver")
	if err != nil {
		t.Fatal(err)
	}
	err = phase.Run(t.Context(), []phase.Phase{found}, nil, phase.NewProgress(io.Discard))
	if err == nil || !strings.Contains(err.Error(), "new.example") || !strings.Contains(err.Error(), "remove") {
		t.Errorf("the error is %v, want the name that is missing and what to do", err)
	}
}

func TestStaticPodsAreStrictlyPods(t *testing.T) {
	i := made(t, func(s *settings.Settings) {
		s.APIServerArgs = []kubeadm.Arg{{Name: "authorization-mode", Value: "AlwaysAllow"}, {Name: "v", Value: "4"}}
	})
	i.files(t)
	for _, name := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		data, err := os.ReadFile(i.On(filepath.Join(layout.ManifestsDir, name+".yaml")))
		if err != nil {
			t.Fatal(err)
		}
		var pod corev1.Pod
		if err := yaml.UnmarshalStrict(data, &pod); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if pod.Name != name || !pod.Spec.HostNetwork || pod.Spec.PriorityClassName != "system-node-critical" {
			t.Errorf("%s is %+v", name, pod.ObjectMeta)
		}
		command := strings.Join(pod.Spec.Containers[0].Command, " ")
		if name == "kube-apiserver" && (strings.Contains(command, "Node,RBAC") || !strings.HasSuffix(command, "--authorization-mode=AlwaysAllow --v=4") || !strings.Contains(command, "--data-dir=/var/lib/etcd")) {
			t.Errorf("the apiserver's command is %s", command)
		}
	}
}

func TestAnEtcdElsewhereNeedsNoDataHere(t *testing.T) {
	i := made(t, func(s *settings.Settings) {
		s.Endpoints, s.CAFile = []string{"https://e1:2379", "https://e2:2379"}, "/etc/etcd/ca.crt"
	})
	i.files(t)
	data, err := os.ReadFile(i.On(layout.ManifestsDir + "/kube-apiserver.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	if !strings.Contains(text, "--etcd-servers=https://e1:2379,https://e2:2379") || strings.Contains(text, "--data-dir") || !strings.Contains(text, "path: \"/etc/etcd\"") {
		t.Error(text)
	}
	if _, err := os.Stat(i.On(layout.PKIDir + "/etcd")); err == nil {
		t.Error("certificates for an etcd of one's own were made")
	}
}

func TestTemplatesAreStrictlyObjects(t *testing.T) {
	i := made(t, nil)
	i.files(t)
	v, err := i.fill()
	if err != nil {
		t.Fatal(err)
	}
	if v.ClusterInfo, err = i.clusterInfo(); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{
		"addons/coredns.yaml", "addons/flannel.yaml", "addons/kube-proxy.yaml", "cluster/admins.yaml", "cluster/config.yaml", "cluster/joining.yaml",
	} {
		objects, err := render.Objects(file, v)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			typed, err := scheme.Scheme.New(o.GroupVersionKind())
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			data, _ := yaml.Marshal(o.Object)
			if err := yaml.UnmarshalStrict(data, typed); err != nil {
				t.Errorf("%s: %s %s: %v", file, o.GetKind(), o.GetName(), err)
			}
		}
	}
}

func TestResetLeavesWhatWasThereBefore(t *testing.T) {
	i := made(t, nil)
	for path, content := range map[string]string{"/etc/cni/net.d/99-mine.conf": "mine", "/etc/kubernetes/notes": "mine", layout.ContainerdConfig: "mine", cniDir + "/cache/mine": "mine"} {
		if err := i.write(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before := listing(t, i.Root)
	i.files(t)
	if err := i.record.Save(layout.ContainerdConfig); err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{layout.ContainerdConfig: "ours", layout.KubeletConfig: "ours", flannelFile: "ours",
		cniDir + "/networks/" + podNetwork + "/10.244.0.2": "ours"} {
		if err := i.write(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	i.record.CNIFiles = []string{flannelFile}
	if err := i.loadAtStart([]string{"overlay"}); err != nil { // which writes the record, too
		t.Fatal(err)
	}
	for range 2 { // the second finds nothing to do
		r, err := NewReset(i.Layout, "", "", i.clock)
		if err != nil {
			t.Fatal(err)
		}
		list := []phase.Phase{{Name: "files", Run: r.files}, {Name: "proof", Run: r.proof}}
		if err := phase.Run(t.Context(), list, nil, phase.NewProgress(io.Discard)); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(before, listing(t, i.Root)); d != "" {
		t.Error(d)
	}
	if record.Exists(i.Layout) {
		t.Error("the record is left")
	}
}

func TestNodesGetTheirRolesMarks(t *testing.T) {
	taint := corev1.Taint{Key: "node-role.kubernetes.io/control-plane", Effect: corev1.TaintEffectNoSchedule}
	node := &corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "other"}}}}
	if !mark(node, []corev1.Taint{taint}) || len(node.Spec.Taints) != 2 {
		t.Errorf("the node has %v, want its own taint and the role's", node.Spec.Taints)
	}
	if mark(node, []corev1.Taint{taint}) {
		t.Error("marking it again changed it")
	}
	if !mark(node, nil) || len(node.Spec.Taints) != 1 || node.Spec.Taints[0].Key != "other" {
		t.Errorf("the node has %v, want its own taint alone", node.Spec.Taints)
	}
}
