package cluster

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhatIsLeftIsCounted(t *testing.T) {
	before := Machine{"process": {"/usr/bin/containerd", "/usr/bin/runc"}, "mount": {"/", "/run"}, "file": nil}
	after := Machine{"process": {"/usr/bin/containerd", "/usr/bin/containerd"}, "mount": {"/", "/"}, "file": {"/etc/cni"}}
	want := []string{"file left behind: /etc/cni (1)", "mount gone: /run (1)", "mount left behind: / (1)", "process left behind: /usr/bin/containerd (1)"}
	if d := cmp.Diff(want, after.Left(before)); d != "" {
		t.Error(d)
	}
	if left := before.Left(before); len(left) != 0 {
		t.Errorf("a machine differs from itself: %q", left)
	}
}

func TestGroupsOfOtherProgramsAreLeftOut(t *testing.T) {
	for group, want := range map[string]bool{
		"/sys/fs/cgroup/system.slice/systemd-udevd.service": false, "/sys/fs/cgroup/dev-mqueue.mount": false, "/sys/fs/cgroup/memory/process_api/7": false,
		"/sys/fs/cgroup/system.slice/kubelet.service": true, "/sys/fs/cgroup/kubepods.slice": true, "/sys/fs/cgroup/cpu/kubepods/besteffort": true,
		"/sys/fs/cgroup/memory/sampan-node1": true, "/sys/fs/cgroup/system.slice/containerd.service": true, "/sys/fs/cgroup/pids/k8s.io/0a1b": true,
	} {
		if got := ofCluster(group); got != want {
			t.Errorf("%s: %t, want %t", group, got, want)
		}
	}
}

func TestTheLastAnswerIsTold(t *testing.T) {
	answer := errors.New("the pod uses nothing")
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	err := Eventually(ctx, func(ctx context.Context) error {
		if tries++; tries == 1 {
			return answer
		}
		cancel() // as where time runs out while a request is under way
		return ctx.Err()
	})
	if !errors.Is(err, answer) {
		t.Errorf("after %d tries the error is %v, want %v", tries, err, answer)
	}
}
