package proxy

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/proxy/model"
	"github.com/sampan-project/sampan/pkg/proxy/nftables"
)

// memory is a Kernel that remembers.
type memory struct {
	syncs [][2]model.Rules
	fail  int // that many syncs fail
	again bool
}

func (m *memory) Sync(_ context.Context, r [2]model.Rules) (bool, error) {
	if m.fail > 0 {
		m.fail--
		return false, errors.New("busy")
	}
	m.syncs = append(m.syncs, r)
	return m.again, nil
}

func (m *memory) Cleanup(context.Context) error { return nil }

func run(t *testing.T, k *memory, test func(p *Proxy)) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{
			Kernel: k, DropStale: func(_, _ [2]model.Rules) error { return nil }, Node: "n", Clock: clock.RealClock{}, Log: logr.Discard(),
			Metrics: NewMetrics(prometheus.NewRegistry()), Pause: 100 * time.Millisecond, Repeat: time.Hour,
		})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		synctest.Wait()
		test(p)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func svc(name, ip string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Spec: corev1.ServiceSpec{
		ClusterIP: ip, ClusterIPs: []string{ip}, Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}}}}
}

func TestBurstOfChangesCostsTwoSyncs(t *testing.T) {
	k := &memory{}
	run(t, k, func(p *Proxy) {
		time.Sleep(time.Second) // of the test's clock: past the first pause
		synctest.Wait()
		first := len(k.syncs)
		p.SetService(svc("a", "10.96.0.1"), nil)
		synctest.Wait()
		for range 50 {
			p.SetService(svc("b", "10.96.0.2"), nil)
			synctest.Wait()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := len(k.syncs) - first; got != 2 {
			t.Errorf("%d syncs, want one at once and one for the rest", got)
		}
		if last := k.syncs[len(k.syncs)-1][v4].Ports; len(last) != 2 {
			t.Errorf("%d ports", len(last))
		}
	})
}

func TestFailedSyncIsTriedAgain(t *testing.T) {
	k := &memory{fail: 3}
	run(t, k, func(p *Proxy) {
		if !p.LastSync().IsZero() {
			t.Error("counts as synced")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(k.syncs) != 1 || p.LastSync().IsZero() {
			t.Errorf("%d syncs", len(k.syncs))
		}
	})
}

func TestDrainingBackendsAreLookedAtAgain(t *testing.T) {
	k := &memory{again: true}
	run(t, k, func(*Proxy) {
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(k.syncs) < 4 {
			t.Errorf("%d syncs in a minute", len(k.syncs))
		}
	})
}

func TestHealthzWaitsForTheFirstSync(t *testing.T) {
	k := &memory{fail: 1}
	run(t, k, func(p *Proxy) {
		get := func() (int, string) {
			w := httptest.NewRecorder()
			healthHandler(p).ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
			return w.Code, w.Body.String()
		}
		if code, _ := get(); code != 503 {
			t.Errorf("%d before the first sync", code)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if code, body := get(); code != 200 || !strings.Contains(body, "lastUpdated") {
			t.Errorf("%d %s", code, body)
		}
	})
}

func TestConfigRefusesWhatItCannotRead(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"a network":     {func(c *Config) { c.ClusterCIDR = "10.0.0.0" }, `--cluster-cidr holds "10.0.0.0": write networks like`},
		"a bit":         {func(c *Config) { c.MasqueradeBit = 32 }, "use 0 to 31"},
		"port networks": {func(c *Config) { c.NodePortAddresses = []string{"x"} }, "--nodeport-addresses"},
	} {
		cfg := DefaultConfig()
		c.change(cfg)
		if _, err := cfg.options(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := OpenKernel("iptables", nftables.Options{}, "", logr.Discard()); err == nil {
		t.Error("an unknown mode was taken")
	}
}
