package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/flannel-io/flannel/pkg/subnet"
)

func TestFlagsAreThoseOfTheUsualManifest(t *testing.T) {
	o, err := parse([]string{"--ip-masq", "--kube-subnet-mgr", "--healthz-port=8081", "--iface=eth1", "--iface=10.0.0.1", "-v=2"})
	if err != nil {
		t.Fatal(err)
	}
	if !o.masquerade || !o.forward || o.healthzPort != 8081 || o.interfaces.String() != "eth1,10.0.0.1" || o.subnetFile != "/run/flannel/subnet.env" {
		t.Errorf("options %+v", o)
	}
	for _, wrong := range []string{"--kube-subnet-mgr=false", "argument", "--no-such-flag"} {
		if _, err := parse([]string{wrong}); err == nil {
			t.Errorf("%s was accepted", wrong)
		}
	}
}

func TestRulesByIptablesAreRefused(t *testing.T) {
	if err := supported(&subnet.Config{}); err == nil || !strings.Contains(err.Error(), `"EnableNFTables": true`) {
		t.Errorf("error %v, want one that says what to set", err)
	}
	if err := supported(&subnet.Config{EnableNFTables: true}); err != nil {
		t.Error(err)
	}
}

func TestReadinessWaitsUntilTheNodeIsConnected(t *testing.T) {
	var ready atomic.Bool
	ask := func(path string) int {
		w := httptest.NewRecorder()
		health(&ready).ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Code
	}
	if alive, code := ask("/healthz"), ask("/readyz"); alive != http.StatusOK || code != http.StatusServiceUnavailable {
		t.Errorf("at first: /healthz %d, /readyz %d", alive, code)
	}
	ready.Store(true)
	if code := ask("/readyz"); code != http.StatusOK {
		t.Errorf("connected: /readyz %d", code)
	}
}

func TestMissingKubeconfigIsNamed(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "kubeconfig")
	if err := run(t.Context(), options{kubeconfig: missing}); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("error %v, want one that names %s", err, missing)
	}
}
