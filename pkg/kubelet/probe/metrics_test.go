package probe

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
)

// measured is what the manager counted: results by their names, and how many durations were observed.
func measured(t *testing.T, m *Manager) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range metric.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			out[f.GetName()+"/"+labels["probe_type"]+"/"+labels["result"]] += metric.GetCounter().GetValue() + float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return out
}

func TestProbesAreCountedUntilTheirContainerIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, m := newWorld()
		p := pod(corev1.Container{ReadinessProbe: command("ready", func(p *corev1.Probe) { p.PeriodSeconds = 10 })})
		m.Sync(p, "10.0.0.1", map[string]Running{"app": {ID: "c1", StartedAt: time.Now()}})
		after(31 * time.Second)
		w.set("ready", 1)
		after(20 * time.Second)
		n := float64(w.count("ready"))
		want := map[string]float64{
			"prober_probe_total/Readiness/successful": n - 2, "prober_probe_total/Readiness/failed": 2,
			"prober_probe_duration_seconds/Readiness/": n - 2,
		}
		if diff := cmp.Diff(want, measured(t, m)); diff != "" || n < 4 {
			t.Errorf("after %v probes, of which 2 failed (-want +got):\n%s", n, diff)
		}
		m.Remove(p.UID)
		synctest.Wait()
		if diff := cmp.Diff(map[string]float64{}, measured(t, m)); diff != "" {
			t.Errorf("after the pod was removed (-want +got):\n%s", diff)
		}
	})
}
