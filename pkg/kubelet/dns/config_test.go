package dns

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

func node(t *testing.T) Node {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	text := "# node\nnameserver 9.9.9.9\nnameserver fd::9\nsearch old\nsearch corp.example. example\noptions ndots:2 rotate\noptions ndots:3\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Node{ClusterDNS: []string{"10.0.0.10"}, ClusterDomain: "cluster.local", ResolvConf: file}
}

func podOf(policy corev1.DNSPolicy, hostNetwork bool, own *corev1.PodDNSConfig) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns", UID: "u"},
		Spec: corev1.PodSpec{DNSPolicy: policy, HostNetwork: hostNetwork, DNSConfig: own}}
}

const (
	ofHost    = "9.9.9.9 fd::9|corp.example example|rotate ndots:3"
	ofCluster = "10.0.0.10|ns.svc.cluster.local svc.cluster.local cluster.local corp.example example|ndots:5"
)

func text(c *cri.DNSConfig) string {
	return strings.Join(c.Servers, " ") + "|" + strings.Join(c.Searches, " ") + "|" + strings.Join(c.Options, " ")
}

func TestPolicies(t *testing.T) {
	own := &corev1.PodDNSConfig{Nameservers: []string{"1.1.1.1", "10.0.0.10"}, Searches: []string{"own", "example"},
		Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: new("1")}, {Name: "edns0"}}}
	for name, c := range map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"ClusterFirst":                  {podOf("ClusterFirst", false, nil), ofCluster},
		"ClusterFirst on the node's":    {podOf("ClusterFirst", true, nil), ofHost},
		"ClusterFirstWithHostNet":       {podOf("ClusterFirstWithHostNet", true, nil), ofCluster},
		"Default":                       {podOf("Default", false, nil), ofHost},
		"None":                          {podOf("None", false, own), "1.1.1.1 10.0.0.10|own example|ndots:1 edns0"},
		"ClusterFirst with a dnsConfig": {podOf("ClusterFirst", false, own), "10.0.0.10 1.1.1.1|ns.svc.cluster.local svc.cluster.local cluster.local corp.example example own|ndots:1 edns0"},
	} {
		got, warnings, err := Config(c.pod, node(t))
		if err != nil || len(warnings) > 0 || text(got) != c.want {
			t.Errorf("%s: %s, %v, %v", name, text(got), warnings, err)
		}
	}
}

func TestClusterFirstWithoutClusterDNSFallsBackToDefault(t *testing.T) {
	n := node(t)
	n.ClusterDNS = nil
	got, warnings, err := Config(podOf("ClusterFirst", false, nil), n)
	want := []Warning{{"MissingClusterDNS", `pod: "p_ns(u)". kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. Falling back to "Default" policy.`}}
	if err != nil || text(got) != ofHost || cmp.Diff(want, warnings) != "" {
		t.Errorf("%s, %v, %v", text(got), warnings, err)
	}
}

func TestWithoutResolvConfNothingIsResolved(t *testing.T) {
	got, _, err := Config(podOf("Default", false, nil), Node{HostIPs: []string{"1.2.3.4", "fd::1"}})
	if err != nil || text(got) != "127.0.0.1 ::1|.|" {
		t.Errorf("%s, %v", text(got), err)
	}
}

func TestLimitsCutAndWarn(t *testing.T) {
	long := strings.Repeat("x", 100)
	var many []string
	for i := range 40 {
		many = append(many, string(rune('a'+i%26))+strings.Repeat("y", i/26)+long)
	}
	own := &corev1.PodDNSConfig{Nameservers: []string{"1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"}, Searches: append([]string{"short", strings.Repeat("z", 254)}, many...)}
	got, warnings, err := Config(podOf("None", false, own), node(t))
	if err != nil || len(got.Servers) != 3 || len(strings.Join(got.Searches, " ")) > 2048 || len(got.Searches) != 21 || got.Searches[1] != many[0] {
		t.Errorf("%d servers, %d searches of %d characters, %v", len(got.Servers), len(got.Searches), len(strings.Join(got.Searches, " ")), err)
	}
	want := []Warning{
		{"DNSConfigForming", "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: 1.1.1.1 2.2.2.2 3.3.3.3"},
		{"DNSConfigForming", "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: " + strings.Join(got.Searches, " ")},
	}
	if d := cmp.Diff(want, warnings); d != "" {
		t.Error(d)
	}
	if got := fitting(strings.Fields(strings.Repeat("s ", 33))); len(got) != 32 {
		t.Errorf("%d searches", len(got))
	}
}

func TestBrokenResolvConfIsAnError(t *testing.T) {
	n := node(t)
	if err := os.WriteFile(n.ResolvConf, []byte("nameserver\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Config(podOf("Default", false, nil), n); err == nil || !strings.Contains(err.Error(), "nameserver list is empty") {
		t.Error(err)
	}
	n.ResolvConf += ".none"
	if _, _, err := Config(podOf("Default", false, nil), n); err == nil {
		t.Error("an absent file went unnoticed")
	}
}

func TestHostnames(t *testing.T) {
	long := strings.Repeat("a", 62) + "-b"
	for _, c := range []struct {
		name string
		spec corev1.PodSpec
		want string // hostname, domain, kernel's name
	}{
		{"p", corev1.PodSpec{}, "p  p"},
		{long, corev1.PodSpec{}, strings.Repeat("a", 62) + "  " + strings.Repeat("a", 62)},
		{"p", corev1.PodSpec{Hostname: "h", Subdomain: "s"}, "h s.ns.svc.cluster.local h"},
		{"p", corev1.PodSpec{Hostname: "h", Subdomain: "s", SetHostnameAsFQDN: new(true)}, "h s.ns.svc.cluster.local h.s.ns.svc.cluster.local"},
		{"p", corev1.PodSpec{HostnameOverride: new("o.example"), Subdomain: "s"}, "o.example  o.example"},
		{"p", corev1.PodSpec{Hostname: "h_"}, `pod Hostname "h_" is not a valid DNS label: `},
		{"p", corev1.PodSpec{Subdomain: "s_"}, `pod Subdomain "s_" is not a valid DNS label: `},
		{"p", corev1.PodSpec{Hostname: strings.Repeat("h", 60), Subdomain: "s", SetHostnameAsFQDN: new(true)}, "failed to construct FQDN from pod hostname and cluster domain, FQDN "},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: c.name, Namespace: "ns"}, Spec: c.spec}
		hostname, domain, err := Hostname(pod, "cluster.local")
		kernel := ""
		if err == nil {
			kernel, err = KernelHostname(pod, hostname, domain)
		}
		got := hostname + " " + domain + " " + kernel
		if err != nil {
			got = err.Error()
		}
		if got != c.want && (err == nil || !strings.HasPrefix(got, c.want)) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
