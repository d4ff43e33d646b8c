package cri_test

import (
	"path/filepath"
	"testing"

	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/cri/critest"
)

func TestFakeKeepsTheContract(t *testing.T) {
	critest.Run(t, critest.Fixture{Runtime: cri.NewFake(clock.RealClock{}, "busybox:test"), Image: "busybox:test",
		Command: []string{"sleep", "1000"}, Absent: "nobody/has:this"})
}

func TestEndpointsAreUnixSockets(t *testing.T) {
	for endpoint, usable := range map[string]bool{
		"unix:///run/containerd/containerd.sock": true, "/run/containerd/containerd.sock": true,
		"containerd.sock": false, "tcp://127.0.0.1:1": false, "": false,
	} {
		c, err := cri.Dial(endpoint)
		if (err == nil) != usable {
			t.Errorf("Dial(%q): %v", endpoint, err)
		}
		if err == nil {
			_ = c.Close()
		}
	}
}

func TestAbsentRuntimeIsUnavailable(t *testing.T) {
	c, err := cri.Dial(filepath.Join(t.TempDir(), "nobody.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Version(t.Context()); !cri.IsUnavailable(err) {
		t.Errorf("no runtime listens, but: %v", err)
	}
}
