package containerd

import (
	"context"
	"errors"
	"slices"
	"testing"

	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

// verbose tells of each pod what containerd does where it is asked for all.
type verbose struct{ *cri.Fake }

func (v verbose) PodSandboxStatus(ctx context.Context, id string, all bool) (*cri.PodSandboxStatusResponse, error) {
	r, err := v.Fake.PodSandboxStatus(ctx, id, all)
	if err == nil && all {
		r.Info = map[string]string{"info": `{"pid":0,"runtimeSpec":{"linux":{"namespaces":[{"type":"pid"},{"type":"network","path":"/var/run/netns/cni-` + id + `"}]}}}`}
	}
	return r, err
}

func TestNamespacesOfPodsThatStayAreTold(t *testing.T) {
	fake := cri.NewFake(clock.RealClock{})
	var ids []string
	for _, name := range []string{"a", "b"} {
		id, err := fake.RunPodSandbox(t.Context(), &cri.PodSandboxConfig{Metadata: &cri.PodSandboxMetadata{Name: name}}, "")
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	busy := errors.New("busy")
	fake.Fail = func(call, id string) error {
		if call == "StopPodSandbox" && id == ids[1] {
			return busy
		}
		return nil
	}
	n, held, err := removePods(t.Context(), verbose{fake})
	if n != 2 || !slices.Equal(held, []string{"/var/run/netns/cni-" + ids[1]}) || !errors.Is(err, busy) {
		t.Errorf("of %d pods %q are held: %v", n, held, err)
	}
	fake.Fail = nil
	if n, held, err := removePods(t.Context(), verbose{fake}); n != 1 || len(held) > 0 || err != nil {
		t.Errorf("of %d pods that were left %q are held: %v", n, held, err)
	}
	for _, info := range []string{"", "{}", `{"runtimeSpec":{"linux":{"namespaces":[{"type":"network"}]}}}`} {
		if got := networkOf(info); len(got) > 0 {
			t.Errorf("%s names %q", info, got)
		}
	}
}
