package proxy

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	proxyconfig "k8s.io/kube-proxy/config/v1alpha1"
)

func TestFieldsOfTheFileWorkOrAreNamed(t *testing.T) {
	for _, c := range []struct {
		text     string
		unheeded []string
		bit      int
		pause    time.Duration
	}{
		// What kubeadm writes, which says nothing but where to find the apiserver, and which networks there are.
		{`bindAddressHardFail: false
clientConnection: {acceptContentTypes: "", burst: 0, contentType: "", kubeconfig: /k, qps: 0}
clusterCIDR: 10.244.0.0/16
configSyncPeriod: 0s
conntrack: {maxPerCore: null, min: null, tcpBeLiberal: false, tcpCloseWaitTimeout: null, udpTimeout: 0s}
detectLocal: {bridgeInterface: "", interfaceNamePrefix: ""}
ipvs: {excludeCIDRs: null, minSyncPeriod: 0s, scheduler: "", strictARP: false}
logging: {flushFrequency: 0, options: {json: {infoBufferSize: "0"}, text: {infoBufferSize: "0"}}, verbosity: 0}
nodePortAddresses: null
oomScoreAdj: null
`, nil, 14, 100 * time.Millisecond},
		{"ipvs: {strictARP: true, minSyncPeriod: 2s}\niptables: {masqueradeBit: 3}\n", []string{"ipvs.strictARP"}, 3, 2 * time.Second},
		{"nftables: {masqueradeBit: 0, minSyncPeriod: 4s}\niptables: {masqueradeBit: 3, minSyncPeriod: 1s}\n", nil, 0, 4 * time.Second},
		{"conntrack: {maxPerCore: 0}\ndetectLocalMode: NodeCIDR\nfeatureGates: {A: true}", []string{"detectLocalMode", "featureGates"}, 14, 100 * time.Millisecond},
	} {
		file := filepath.Join(t.TempDir(), "config.yaml")
		head := "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
		if err := os.WriteFile(file, []byte(head+c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := DefaultConfig()
		cfg.ConfigFile = file
		if err := cfg.load(); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.unheeded, cfg.unheeded); d != "" {
			t.Errorf("%s: without effect (-want +got):\n%s", c.text, d)
		}
		if cfg.MasqueradeBit != c.bit || cfg.MinSyncPeriod != c.pause {
			t.Errorf("%s: bit %d, pause %v", c.text, cfg.MasqueradeBit, cfg.MinSyncPeriod)
		}
	}
}

func TestWhatIsServedBesideMetrics(t *testing.T) {
	cfg, fs := DefaultConfig(), pflag.NewFlagSet("", pflag.ContinueOnError)
	cfg.AddFlags(fs)
	if err := fs.Parse([]string{"--proxy-mode=ipvs"}); err != nil {
		t.Fatal(err)
	}
	h := metricsHandler(cfg, prometheus.NewRegistry())
	profiles := func(h http.Handler) int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/debug/pprof/", nil))
		return w.Code
	}
	with := *cfg
	with.apply(&proxyconfig.KubeProxyConfiguration{EnableProfiling: true})
	if off, on := profiles(h), profiles(metricsHandler(&with, prometheus.NewRegistry())); off != 404 || on != 200 {
		t.Errorf("profiles: %d, and %d where they are switched on", off, on)
	}
	for path, want := range map[string]string{"/proxyMode": "ipvs", "/healthz": "ok", "/flagz": "\nproxy-mode=ipvs\n", "/statusz": "\nkube-proxy statusz\n"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 200 || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %v %s", path, w.Code, w.Header(), w.Body)
		}
	}
}
