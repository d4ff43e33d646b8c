package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/test/cluster"
)

const (
	runtimeConfig = "/etc/containerd/config.toml"
	runtimeSocket = "unix:///run/containerd/containerd.sock"
)

// state is all of a machine that a cluster could leave changed.
type state struct {
	Survey  cluster.Machine
	Units   []string
	Enabled string // whether containerd starts with the machine
	Config  string // of containerd, as it stands in its file
	Effect  string // of that: whether containerd has systemd make cgroups
}

func look(t *testing.T) state {
	t.Helper()
	survey, err := cluster.Survey()
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(runtimeConfig)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return state{Survey: survey, Units: units(t), Enabled: property(t, "containerd.service", "UnitFileState"), Config: string(config), Effect: runtimeEffect(t)}
}

// runtimeEffect asks the containerd that runs how it makes cgroups.
func runtimeEffect(t *testing.T) (effect string) {
	t.Helper()
	client, err := cri.Dial(runtimeSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	eventually(t, func(ctx context.Context) error {
		status, err := client.Status(ctx, true)
		if err != nil {
			return err
		}
		config := status.Info["config"]
		for _, effect = range []string{`"SystemdCgroup":false`, `"SystemdCgroup":true`} {
			if strings.Contains(config, effect) {
				return nil
			}
		}
		return fmt.Errorf("containerd does not say how it makes cgroups: %s", config)
	})
	return effect
}

// downLeavesNothing: after make down the machine is as it was before make up, and containerd runs as it did.
func downLeavesNothing(t *testing.T, s *suite) {
	if effect := runtimeEffect(t); effect == s.kept.Before.Effect {
		t.Errorf("containerd has %s in the cluster, as before it: nothing shows that it reads its old configuration again", effect)
	}
	out := &cluster.Tee{Line: func(l string) { t.Log(l) }}
	if err := cluster.Make(t.Context(), out, "down"); err != nil {
		t.Fatal(err)
	}
	before, after := s.kept.Before, look(t)
	for _, left := range after.Survey.Left(before.Survey) {
		t.Errorf("after make down: %s", left)
	}
	before.Survey, after.Survey = nil, nil
	if d := cmp.Diff(before, after); d != "" {
		t.Errorf("make down has left this (-before +after):\n%s", d)
	}
	for unit, want := range map[string]string{"kubelet.service": "inactive", "containerd.service": "active"} {
		if got := property(t, unit, "ActiveState"); got != want {
			t.Errorf("%s is %s, want %s", unit, got, want)
		}
	}
	if got := property(t, "kubelet.service", "LoadState"); got != "not-found" {
		t.Errorf("systemd says of kubelet.service that it is %s, want not-found", got)
	}
}
