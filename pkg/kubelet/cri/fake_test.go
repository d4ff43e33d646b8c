package cri_test

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
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

func TestARuntimeThatSaysNothingIsNotWaitedForTooLong(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "silent.sock")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket) // nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c, err := cri.Dial(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Timeout = 10 * time.Millisecond
	if _, err := c.Version(t.Context()); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
}
