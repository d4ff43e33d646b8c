package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	proxyconfig "k8s.io/kube-proxy/config/v1alpha1"
)

func TestReadConfigTakesOnlyItsOwnKindAndKnownFields(t *testing.T) {
	kind := proxyconfig.SchemeGroupVersion.WithKind("KubeProxyConfiguration")
	file := filepath.Join(t.TempDir(), "config.yaml")
	for _, c := range []struct{ text, fault string }{
		{"apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: ipvs\n", ""},
		{"apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmood: ipvs\n", `unknown field "mood"`},
		{"apiVersion: kubeproxy.config.k8s.io/v1beta1\nkind: KubeProxyConfiguration\n", "use kubeproxy.config.k8s.io/v1alpha1 KubeProxyConfiguration"},
		{"apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: Other\n", "holds kubeproxy.config.k8s.io/v1alpha1 Other"},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadConfig[proxyconfig.KubeProxyConfiguration](file, kind)
		switch {
		case c.fault == "" && (err != nil || got.Mode != "ipvs"):
			t.Errorf("%q: %v", c.text, err)
		case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
			t.Errorf("%q: %v, want %q", c.text, err, c.fault)
		}
	}
	if _, err := ReadConfig[proxyconfig.KubeProxyConfiguration](file+"x", kind); err == nil || !strings.Contains(err.Error(), "--config") {
		t.Errorf("a file that is not there: %v", err)
	}
}
