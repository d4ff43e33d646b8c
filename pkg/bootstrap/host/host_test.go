package host

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMountsBelowAreListedDeepestFirst(t *testing.T) {
	info := `22 1 0:1 / / rw - ext4 /dev/a rw
30 22 0:2 / /var/lib/kubelet rw - tmpfs t rw
31 30 0:3 / /var/lib/kubelet/pods/a\040b rw - tmpfs t rw
32 31 0:4 / /var/lib/kubelet/pods/a\040b/c rw - tmpfs t rw
33 22 0:5 / /var/lib/kubelet2 rw - tmpfs t rw
34 22 0:6 / /run/netns/cni-1 rw - nsfs nsfs rw
`
	got := mountsUnder(info, []string{"/var/lib/kubelet"}, []string{"/run/netns/cni-1"})
	want := []mount{{34, "/run/netns/cni-1"}, {32, "/var/lib/kubelet/pods/a b/c"}, {31, "/var/lib/kubelet/pods/a b"}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(mount{})); d != "" {
		t.Error(d)
	}
}

func TestShimsAreKnownByTheirSocket(t *testing.T) {
	args := []string{"/usr/bin/containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", "x", "-address", "/run/a.sock", ""}
	if !isShim(args, "/run/a.sock") || isShim(args, "/run/b.sock") || isShim([]string{"sh"}, "") {
		t.Error("shims are told apart wrongly")
	}
}

func TestAProcessIsWaitedForAndStopped(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }()
	p, ok := FindProcess(cmd.Process.Pid)
	if !ok || !p.Running() {
		t.Fatal("a process that runs is not found")
	}
	file := filepath.Join(t.TempDir(), "pid")
	if err := p.WriteFile(file); err != nil {
		t.Fatal(err)
	}
	if again, ok := ReadProcess(file); !ok || again != p {
		t.Errorf("read back %v, want %v", again, p)
	}
	if err := (Process{PID: p.PID, Start: "1"}).Stop(t.Context(), time.Second); err != nil || !p.Running() {
		t.Errorf("another process with that id was stopped: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if p.Wait(ctx) == nil {
		t.Error("waiting ended before the process")
	}
	if err := p.Stop(t.Context(), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if _, ok := ReadProcess(file); ok {
		t.Error("it runs on")
	}
}

func TestAPortThatIsTakenIsSeenAtEveryAddress(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	for _, address := range []string{"", "127.0.0.1"} {
		if !Listening(address, port) {
			t.Errorf("%q is free at %d, which is taken", address, port)
		}
	}
	_ = l.Close()
	if Listening("", port) {
		t.Error("a port that was given back is taken")
	}
}
