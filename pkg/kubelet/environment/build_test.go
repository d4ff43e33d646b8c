package environment

import (
	"context"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/object"
)

func service(namespace, name, ip string, ports ...corev1.ServicePort) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.ServiceSpec{ClusterIP: ip, Ports: ports}}
}

func input(env []corev1.EnvVar, from ...corev1.EnvFromSource) Input {
	return Input{
		Pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}, Spec: corev1.PodSpec{EnableServiceLinks: new(false),
			Containers: []corev1.Container{{Name: "c"}}}, Status: corev1.PodStatus{PodIP: "2.2.2.2"}},
		Container: &corev1.Container{Name: "c", Env: env, EnvFrom: from},
		Objects: &object.Fixed{
			ConfigMaps: []*corev1.ConfigMap{{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "m"}, Data: map[string]string{"k": "from-map", "b=d": "x", "z": "$(k)"}}},
			Secrets:    []*corev1.Secret{{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}, Data: map[string][]byte{"k": []byte("from-secret")}}},
		},
		Allocatable: corev1.ResourceList{"cpu": resource.MustParse("4")},
	}
}

func lines(env []*cri.KeyValue) string {
	var all []string
	for _, v := range env {
		all = append(all, v.Key+"="+string(v.Value))
	}
	return strings.Join(all, "\n")
}

func build(t *testing.T, in Input) string {
	t.Helper()
	env, err := Build(context.Background(), in)
	if err != nil {
		return "error: " + err.Error()
	}
	return lines(env)
}

func TestServicesAreLinked(t *testing.T) {
	in := input(nil)
	in.Services = []*corev1.Service{
		service("default", "kubernetes", "10.0.0.1", corev1.ServicePort{Name: "https", Port: 443, Protocol: "TCP"}),
		service("ns", "my-db", "fd::5", corev1.ServicePort{Port: 53, Protocol: "UDP"}, corev1.ServicePort{Name: "a-b", Port: 80}),
		service("ns", "headless", "None"), service("ns", "external", ""), service("other", "x", "10.0.0.9"),
	}
	master := `KUBERNETES_SERVICE_HOST=10.0.0.1
KUBERNETES_SERVICE_PORT=443
KUBERNETES_SERVICE_PORT_HTTPS=443
KUBERNETES_PORT=tcp://10.0.0.1:443
KUBERNETES_PORT_443_TCP=tcp://10.0.0.1:443
KUBERNETES_PORT_443_TCP_PROTO=tcp
KUBERNETES_PORT_443_TCP_PORT=443
KUBERNETES_PORT_443_TCP_ADDR=10.0.0.1`
	if d := cmp.Diff(master, build(t, in)); d != "" {
		t.Errorf("without links: %s", d)
	}
	in.Pod.Spec.EnableServiceLinks = nil
	want := master + `
MY_DB_SERVICE_HOST=fd::5
MY_DB_SERVICE_PORT=53
MY_DB_SERVICE_PORT_A_B=80
MY_DB_PORT=udp://[fd::5]:53
MY_DB_PORT_53_UDP=udp://[fd::5]:53
MY_DB_PORT_53_UDP_PROTO=udp
MY_DB_PORT_53_UDP_PORT=53
MY_DB_PORT_53_UDP_ADDR=fd::5
MY_DB_PORT_80_TCP=tcp://[fd::5]:80
MY_DB_PORT_80_TCP_PROTO=tcp
MY_DB_PORT_80_TCP_PORT=80
MY_DB_PORT_80_TCP_ADDR=fd::5`
	if d := cmp.Diff(want, build(t, in)); d != "" {
		t.Errorf("with links: %s", d)
	}
}

func TestLaterSourcesReplaceEarlierOnesAndExpand(t *testing.T) {
	m, s := corev1.LocalObjectReference{Name: "m"}, corev1.LocalObjectReference{Name: "s"}
	in := input([]corev1.EnvVar{
		{Name: "A", Value: "$(P_k) $(KUBERNETES_SERVICE_HOST) $(later) $$(A)"},
		{Name: "KUBERNETES_SERVICE_PORT", Value: "mine"},
		{Name: "later", Value: "$(A)"},
		{Name: "ip", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.podIP"}}},
		{Name: "cpu", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.cpu"}}},
		{Name: "map", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: m, Key: "z"}}},
		{Name: "secret", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: s, Key: "k"}}},
		{Name: "absent", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: s, Key: "no", Optional: new(true)}}},
		{Name: "empty"},
		{Name: "later", Value: "again"},
	},
		corev1.EnvFromSource{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: m}},
		corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: s}, Prefix: "P_"},
		corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: s}},
		corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "none"}, Optional: new(true)}},
	)
	in.Services = []*corev1.Service{service("default", "kubernetes", "10.0.0.1")}
	in.Services[0].Spec.Ports = []corev1.ServicePort{{Port: 1}}
	var warned []string
	in.Warn = func(reason, message string) { warned = append(warned, reason+": "+message) }
	got := strings.Split(build(t, in), "\n")
	want := `KUBERNETES_SERVICE_HOST=10.0.0.1
KUBERNETES_PORT=tcp://10.0.0.1:1
KUBERNETES_PORT_1_TCP=tcp://10.0.0.1:1
KUBERNETES_PORT_1_TCP_PROTO=tcp
KUBERNETES_PORT_1_TCP_PORT=1
KUBERNETES_PORT_1_TCP_ADDR=10.0.0.1
k=from-secret
z=$(k)
P_k=from-secret
A=from-secret 10.0.0.1 $(later) $(A)
KUBERNETES_SERVICE_PORT=mine
later=again
ip=2.2.2.2
cpu=4
map=$(k)
secret=from-secret
empty=`
	if d := cmp.Diff(strings.Split(want, "\n"), got); d != "" {
		t.Error(d)
	}
	skipped := []string{"InvalidEnvironmentVariableNames: Keys [b=d] from the EnvFrom configMap ns/m were skipped since they are considered invalid environment variable names."}
	if d := cmp.Diff(skipped, warned); d != "" {
		t.Error(d)
	}
}

func TestMissingSourcesAreNamed(t *testing.T) {
	ref := func(n string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: n} }
	for want, in := range map[string]Input{
		"couldn't find key x in ConfigMap ns/m": input([]corev1.EnvVar{{Name: "A", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: ref("m"), Key: "x"}}}}),
		"couldn't find key x in Secret ns/s":    input([]corev1.EnvVar{{Name: "A", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: ref("s"), Key: "x"}}}}),
		`configmap "no" not found`:              input([]corev1.EnvVar{{Name: "A", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: ref("no"), Key: "x"}}}}),
		`secret "no" not found`:                 input(nil, corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: ref("no")}}),
	} {
		if got := build(t, in); got != "error: "+want {
			t.Errorf("%s; want %s", got, want)
		}
	}
}

func TestVariablesFromFiles(t *testing.T) {
	from := func(key string, optional bool) Input {
		in := input([]corev1.EnvVar{{Name: "A", ValueFrom: &corev1.EnvVarSource{FileKeyRef: &corev1.FileKeySelector{VolumeName: "v", Path: "f", Key: key, Optional: &optional}}}})
		in.EnvFile = func(string, string) ([]byte, error) {
			if key == "nofile" {
				return nil, fs.ErrNotExist
			}
			if key == "broken" {
				return []byte("A=unquoted"), nil
			}
			return []byte("# c='x'\n\nA='one'\nB='two\nlines # no comment' # comment\nC=''"), nil
		}
		return in
	}
	for _, c := range []struct {
		key      string
		optional bool
		want     string
	}{
		{"A", false, "A=one"}, {"B", false, "A=two\nlines # no comment"}, {"C", false, "A="}, {"D", true, ""}, {"nofile", true, ""},
		{"D", false, "error: couldn't find key D in file f of volume v"},
		{"nofile", false, `error: reading file "f" of volume "v": file does not exist`},
		{"broken", true, `error: reading file "f" of volume "v": line 1 is not of the form NAME='value'`},
	} {
		if got := build(t, from(c.key, c.optional)); got != c.want {
			t.Errorf("%s: %q, want %q", c.key, got, c.want)
		}
	}
}

func TestExpansion(t *testing.T) {
	env := []*cri.KeyValue{{Key: "A", Value: []byte("1")}, {Key: "B", Value: []byte("$(A)")}}
	for text, want := range map[string]string{
		"$(A)": "1", "$$(A)": "$(A)", "$$$(A)": "$1", "$(none)": "$(none)", "$()": "$()", "$(A": "$(A", "$A": "$A", "a$": "a$",
		"$(B)$(A)": "$(A)1", "$$": "$", "$($(A))": "$($(A))", "x$(A)y": "x1y",
	} {
		command, args := Expand([]string{text}, []string{text, "z"}, env)
		if command[0] != want || args[0] != want || args[1] != "z" {
			t.Errorf("%s: %v, %v", text, command, args)
		}
	}
	if _, err := ExpandAll("$(A)/$(none)", env); err == nil || err.Error() != `missing value for "none"` {
		t.Error(err)
	}
}
