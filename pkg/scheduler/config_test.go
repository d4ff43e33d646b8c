package scheduler

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFieldsOfTheFileWorkOrAreNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	err := os.WriteFile(file, []byte(`apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: /k, qps: 50}
leaderElection: {leaderElect: false, resourceLock: leases}
podMaxBackoffSeconds: 3
parallelism: 4
extenders: [{urlPrefix: "http://x"}]
profiles:
- schedulerName: a
  pluginConfig: [{name: NodeResourcesFit, args: {}}]
  plugins: {score: {disabled: [{name: ImageLocality}]}, queueSort: {enabled: [{name: x}]}}
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	c := DefaultConfig()
	c.ConfigFile = file
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	want := []string{"clientConnection.qps", "extenders", "parallelism", "profiles.pluginConfig", "profiles.plugins.queueSort"}
	if d := cmp.Diff(want, c.unheeded); d != "" {
		t.Errorf("without effect (-want +got):\n%s", d)
	}
	if c.Kubeconfig != "/k" || c.LeaderElection.Enabled || c.MaxBackoff != 3*time.Second || len(c.profiles) != 1 {
		t.Errorf("loaded %+v", c)
	}
}
