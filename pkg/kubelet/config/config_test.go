package config

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
)

const head = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"

// load parses a command line and loads what it says.
func load(t *testing.T, args ...string) (*Config, error) {
	t.Helper()
	c := New()
	fs := pflag.NewFlagSet("kubelet", pflag.ContinueOnError)
	c.AddFlags(fs)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	return c.Load()
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestFlagsOverrideDropInsOverrideFileOverrideDefaults(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "config.yaml"), head+
		"maxPods: 50\nclusterDomain: of.file\nclusterDNS: [10.0.0.1, 10.0.0.2]\nsyncFrequency: 0s\nevictionHard: {memory.available: 200Mi}\nauthentication: {x509: {clientCAFile: /ca.crt}}\n")
	write(t, filepath.Join(dir, "conf.d", "10-a.conf"), head+"clusterDomain: of.ten\nevictionHard: {nodefs.available: 5%}\n")
	write(t, filepath.Join(dir, "conf.d", "20-b.conf"), head+"clusterDomain: of.twenty\nmaxPods: 60\n")
	write(t, filepath.Join(dir, "conf.d", "ignored.yaml"), "no configuration")
	c, err := load(t, "--config="+file, "--config-dir="+filepath.Join(dir, "conf.d"), "--max-pods=70",
		"--cluster-dns=10.0.0.9", "--cluster-dns=10.0.0.8,10.0.0.7", "--node-labels=a=b", "--node-labels=node.kubernetes.io/c=d",
		"--register-with-taints=k=v:NoSchedule,x:NoExecute", "--fail-swap-on=false", "--system-reserved=cpu=100m,memory=1Gi", "-v=4")
	if err != nil {
		t.Fatal(err)
	}
	k := c.Kubelet
	for what, pair := range map[string][2]any{
		"flag over drop-in":      {k.MaxPods, int32(70)},
		"later drop-in":          {k.ClusterDomain, "of.twenty"},
		"list of flags":          {k.ClusterDNS, []string{"10.0.0.9", "10.0.0.8", "10.0.0.7"}},
		"default for zero":       {k.SyncFrequency.Duration, time.Minute},
		"merged map":             {k.EvictionHard, map[string]string{"memory.available": "200Mi", "nodefs.available": "5%"}},
		"nested field of file":   {k.Authentication.X509.ClientCAFile, "/ca.crt"},
		"nested default":         {*k.Authentication.Webhook.Enabled, true},
		"pairs":                  {c.NodeLabels, map[string]string{"a": "b", "node.kubernetes.io/c": "d"}},
		"taints":                 {k.RegisterWithTaints, []corev1.Taint{{Key: "k", Value: "v", Effect: "NoSchedule"}, {Key: "x", Effect: "NoExecute"}}},
		"switch":                 {*k.FailSwapOn, false},
		"reserve":                {k.SystemReserved, map[string]string{"cpu": "100m", "memory": "1Gi"}},
		"verbosity":              {c.Logging.Verbosity, 4},
		"default of a directory": {c.RootDir, "/var/lib/kubelet"},
		"default of a threshold": {*k.ImageGCHighThresholdPercent, int32(85)},
		"default report":         {k.NodeStatusReportFrequency.Duration, 5 * time.Minute},
	} {
		if diff := cmp.Diff(pair[1], pair[0]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

func TestMistakesAreToldInOneLine(t *testing.T) {
	for text, want := range map[string]string{
		head + "maxPod: 5\n":                                         `unknown field "maxPod"`,
		head + "maxPods: many\n":                                     "cannot unmarshal string",
		head + "maxPods: 1\nmaxPods: 2\n":                            `key "maxPods" already set`,
		"apiVersion: v1\nkind: Pod\n":                                `kind: KubeletConfiguration`,
		head + "cgroupDriver: docker\n":                              `cgroupDriver (--cgroup-driver) "docker" must be cgroupfs or systemd`,
		head + "evictionHard: {memory.free: 1Gi}\n":                  "is not a signal",
		head + "evictionHard: {memory.available: 120%}\n":            "must be between 0% and 100%",
		head + "systemReserved: {gpu: '1'}\n":                        "must be cpu, memory, ephemeral-storage or pid",
		head + "imageGCLowThresholdPercent: 90\n":                    "must be less than imageGCHighThresholdPercent",
		head + "cgroupsPerQOS: false\n":                              "set enforceNodeAllocatable to [none]",
		head + "authorization: {mode: RBAC}\n":                       "must be AlwaysAllow or Webhook",
		head + "tlsCertFile: /x\n":                                   "must be given together",
		head + "containerLogMaxFiles: 1\n":                           "must be greater than 1",
		head + "enforceNodeAllocatable: [kube-reserved]\n":           "kubeReservedCgroup (--kube-reserved-cgroup)",
		head + "evictionSoft: {memory.available: 1Gi}\n":             "must be a duration for the soft threshold",
		head + "healthzBindAddress: localhost\n":                     "must be an IP address",
		head + "crashLoopBackOff: {maxContainerRestartPeriod: 1h}\n": "must be between 1s and 300s",
	} {
		_, err := load(t, "--config="+write(t, filepath.Join(t.TempDir(), "c.yaml"), text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, want one line with %q", text, err, want)
		}
	}
	for flag, want := range map[string]string{
		"--node-labels=kubernetes.io/role=x": "a node may set",
		"--node-ip=10.0.0.1,10.0.0.2":        "different families",
		"--node-ip=here":                     "is not an IP address",
		"--bootstrap-kubeconfig=/b":          "needs --kubeconfig",
		"--register-with-taints=a=b":         "invalid taint",
		"--config=/does/not/exist":           "--config",
		"--cloud-provider=aws":               "use external",
	} {
		if _, err := load(t, flag); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", flag, err, want)
		}
	}
}

// The list is upstream's help text, cut down to the names.
func TestEveryUpstreamFlagIsAccepted(t *testing.T) {
	names, err := os.ReadFile("testdata/upstream-flags.txt")
	if err != nil {
		t.Fatal(err)
	}
	fs := pflag.NewFlagSet("kubelet", pflag.ContinueOnError)
	New().AddFlags(fs)
	for name := range strings.FieldsSeq(string(names)) {
		if fs.Lookup(name) == nil {
			t.Errorf("--%s is not accepted", name)
		}
	}
}

func TestFlagsWithoutEffectWarn(t *testing.T) {
	c, err := load(t, "--pod-infra-container-image=pause:3.10", "--make-iptables-util-chains", "--cpu-manager-policy=static",
		"--lock-file=/run/lock", "--image-credential-provider-config=/etc/providers", "--maximum-dead-containers=5")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) != 6 {
		t.Errorf("warnings %q, want one for each flag", c.Warnings)
	}
}

func TestFieldsWithoutEffectWarnWhenSet(t *testing.T) {
	for text, want := range map[string][]string{
		"evictionSoft: {memory.available: 1Gi}\nevictionSoftGracePeriod: {memory.available: 1m}\n": {"evictionSoft ", "evictionSoftGracePeriod "},
		"syncFrequency: 10s\nkubeAPIQPS: 5\n":                                                      {"kubeAPIQPS ", "syncFrequency "},
		"syncFrequency: 1m\nkubeAPIQPS: 50\nregistryBurst: 10":                                     nil,
		"memorySwap: {swapBehavior: LimitedSwap}":                                                  {"memorySwap.swapBehavior "},
		"tlsMinVersion: VersionTLS13":                                                              nil,
		"evictionHard: {memory.available: 1Gi}":                                                    {"evictionHard only "},
		"enableProfilingHandler: false\ncpuManagerReconcilePeriod: 1s":                             {"cpuManagerReconcilePeriod "},
	} {
		c, err := load(t, "--config="+write(t, filepath.Join(t.TempDir(), "config.yaml"), head+text))
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Warnings) != len(want) {
			t.Errorf("%q: warnings %q, want one of each of %q", text, c.Warnings, want)
			continue
		}
		for i, w := range want {
			if !strings.HasPrefix(c.Warnings[i], w) {
				t.Errorf("%q: %q, want %q", text, c.Warnings[i], w)
			}
		}
	}
}

func TestFieldsWithoutEffectAreFields(t *testing.T) {
	known := map[string]bool{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[kubeletv1beta1.KubeletConfiguration]()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		known[name] = true
	}
	for name := range fieldsWithoutEffect {
		if !known[name] {
			t.Errorf("%s is no field", name)
		}
	}
}

// TestWhatIsParsedIsReadOrWarnedOf looks for each field of the command line and of the file in the kubelet's sources.
func TestWhatIsParsedIsReadOrWarnedOf(t *testing.T) {
	var sources strings.Builder
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		name := filepath.Base(path)
		bound := filepath.Base(filepath.Dir(path)) == "config" && (name == "flags.go" || name == "validate.go" || name == "defaults.go")
		if err != nil || bound || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		sources.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	fields := append(reflect.VisibleFields(reflect.TypeFor[kubeletv1beta1.KubeletConfiguration]()), reflect.VisibleFields(reflect.TypeFor[Config]())...)
	for _, f := range fields {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Name == "TypeMeta" || f.Name == "MergeDefaultEvictionSettings" || fieldsWithoutEffect[name] != "" {
			continue // the second says what defaults are
		}
		if !regexp.MustCompile(`\.` + f.Name + `\b`).MatchString(sources.String()) {
			t.Errorf("nothing reads %s: let it work, or warn where it is set", f.Name)
		}
	}
}

func TestTLSOfTheFile(t *testing.T) {
	for text, want := range map[string]string{
		"": "303 []", "tlsMinVersion: VersionTLS13": "304 []", "tlsCipherSuites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]": "303 [49199]",
		"tlsMinVersion: VersionTLS9": "tlsMinVersion", "tlsCipherSuites: [NONE]": "choose of TLS_",
	} {
		c, err := load(t, "--config="+write(t, filepath.Join(t.TempDir(), "config.yaml"), head+text))
		got := fmt.Sprint(err)
		if err == nil {
			version, suites, _ := c.TLS()
			got = fmt.Sprintf("%x %v", version, suites)
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// What kubeadm writes must load without a word.
func TestKubeadmsConfigurationIsUnderstood(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "config.yaml"), head+`authentication:
  anonymous: {enabled: false}
  webhook: {cacheTTL: 0s, enabled: true}
  x509: {clientCAFile: /etc/kubernetes/pki/ca.crt}
authorization:
  mode: Webhook
  webhook: {cacheAuthorizedTTL: 0s, cacheUnauthorizedTTL: 0s}
cgroupDriver: systemd
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
containerRuntimeEndpoint: ""
cpuManagerReconcilePeriod: 0s
crashLoopBackOff: {}
evictionPressureTransitionPeriod: 0s
fileCheckFrequency: 0s
healthzBindAddress: 127.0.0.1
healthzPort: 10248
httpCheckFrequency: 0s
imageMaximumGCAge: 0s
imageMinimumGCAge: 0s
logging:
  flushFrequency: 0
  options: {json: {infoBufferSize: "0"}, text: {infoBufferSize: "0"}}
  verbosity: 0
memorySwap: {}
nodeStatusReportFrequency: 0s
nodeStatusUpdateFrequency: 0s
rotateCertificates: true
runtimeRequestTimeout: 0s
shutdownGracePeriod: 0s
shutdownGracePeriodCriticalPods: 0s
staticPodPath: /etc/kubernetes/manifests
streamingConnectionIdleTimeout: 0s
syncFrequency: 0s
volumeStatsAggPeriod: 0s
`)
	c, err := load(t, "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf", "--kubeconfig=/etc/kubernetes/kubelet.conf", "--config="+file)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("warnings %q", c.Warnings)
	}
	if c.Kubelet.ContainerRuntimeEndpoint != "unix:///run/containerd/containerd.sock" || !c.Kubelet.RotateCertificates {
		t.Errorf("endpoint %q, rotation %v", c.Kubelet.ContainerRuntimeEndpoint, c.Kubelet.RotateCertificates)
	}
}

func TestNodeNameIsLowerCase(t *testing.T) {
	c := New()
	c.HostnameOverride = " Node-1 "
	if name, err := c.NodeName(); err != nil || name != "node-1" {
		t.Errorf("got %q, %v", name, err)
	}
	c.HostnameOverride = ""
	if name, err := c.NodeName(); err != nil || !regexp.MustCompile(`^[a-z0-9.-]+$`).MatchString(name) {
		t.Errorf("got %q, %v", name, err)
	}
}
