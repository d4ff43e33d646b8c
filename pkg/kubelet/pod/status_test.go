package pod

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func facts(p *corev1.Pod, o *Observed) Facts {
	in := Input{Pod: p, Observed: o, Now: noon}
	return Facts{Input: in, RuntimeName: "containerd", HostIPs: []string{"192.0.2.1"}, StartTime: noon}
}

// summary is a status in words: phase; then each container with its state; then the conditions that hold.
func summary(s corev1.PodStatus) string {
	out := []string{string(s.Phase)}
	for _, list := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses} {
		for _, c := range list {
			text := c.Name
			switch {
			case c.State.Running != nil:
				text += " running"
			case c.State.Waiting != nil:
				text += " " + c.State.Waiting.Reason
			case c.State.Terminated != nil:
				text += " " + c.State.Terminated.Reason
			}
			if c.LastTerminationState.Terminated != nil {
				text += " after " + c.LastTerminationState.Terminated.Reason
			}
			out = append(out, text)
		}
	}
	var hold []string
	for _, c := range s.Conditions {
		if c.Status == corev1.ConditionTrue {
			hold = append(hold, string(c.Type))
		}
	}
	return strings.Join(append(out, strings.Join(hold, "+")), "; ")
}

func TestStatus(t *testing.T) {
	const always, onFailure, never = corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever
	const all = "PodReadyToStartContainers+Initialized+Ready+ContainersReady+PodScheduled"
	for _, c := range []struct {
		name     string
		policy   corev1.RestartPolicy
		spec     string
		observed string
		change   func(*Facts)
		want     string
	}{
		{name: "fresh", policy: always, spec: "a", want: "Pending; a ContainerCreating; Initialized+PodScheduled"},
		{name: "fresh, with init containers", policy: always, spec: "init:i a", observed: "sandbox",
			want: "Pending; i PodInitializing; a PodInitializing; PodReadyToStartContainers+PodScheduled"},
		{name: "initializing", policy: always, spec: "init:i a", observed: "sandbox i=running",
			want: "Pending; i running; a PodInitializing; PodReadyToStartContainers+PodScheduled"},
		{name: "running", policy: always, spec: "init:i a", observed: "sandbox i=exited:0 a=running", want: "Running; i Completed; a running; " + all},
		{name: "one of two runs", policy: always, spec: "a b", observed: "sandbox a=running",
			want: "Pending; a running; b ContainerCreating; PodReadyToStartContainers+Initialized+PodScheduled"},
		{name: "not ready", policy: always, spec: "a", observed: "sandbox a=running", change: func(f *Facts) {
			f.Health = func(string) Health { return Health{Started: true} }
		}, want: "Running; a running; PodReadyToStartContainers+Initialized+PodScheduled"},
		{name: "restarted", policy: always, spec: "a", observed: "sandbox a=exited:1 a=running", want: "Running; a running after Error; " + all},
		{name: "crash loop", policy: always, spec: "a", observed: "sandbox a=exited:1", change: func(f *Facts) {
			f.Failures = map[string]Failure{"a": {Reason: CrashLoopBackOff}}
		}, want: "Running; a CrashLoopBackOff after Error; PodReadyToStartContainers+Initialized+PodScheduled"},
		{name: "image missing", policy: always, spec: "a", observed: "sandbox", change: func(f *Facts) {
			f.Failures = map[string]Failure{"a": {Reason: "ErrImagePull"}}
		}, want: "Pending; a ErrImagePull; PodReadyToStartContainers+Initialized+PodScheduled"},
		{name: "succeeded", policy: onFailure, spec: "a", observed: "deadsandbox a=exited:0", want: "Succeeded; a Completed; Initialized+PodScheduled"},
		{name: "failed once, to be tried again", policy: onFailure, spec: "a", observed: "sandbox a=exited:1",
			want: "Running; a Error; PodReadyToStartContainers+Initialized+PodScheduled"},
		{name: "failed", policy: never, spec: "a b", observed: "deadsandbox a=exited:0 b=exited:1", want: "Failed; a Completed; b Error; Initialized+PodScheduled"},
		{name: "init failed", policy: never, spec: "init:i a", observed: "deadsandbox i=exited:1", want: "Failed; i Error; a PodInitializing; PodScheduled"},
		{name: "sidecars do not count", policy: never, spec: "side:s a", observed: "deadsandbox s=exited:137 a=exited:0",
			want: "Succeeded; s Error; a Completed; Initialized+PodScheduled"},
		{name: "deleted and ended well", policy: always, spec: "a", observed: "deadsandbox a=exited:0",
			change: func(f *Facts) { f.Ending, f.Ended = true, true }, want: "Succeeded; a Completed; Initialized+PodScheduled"},
		{name: "deleted and killed", policy: always, spec: "a", observed: "deadsandbox a=exited:137",
			change: func(f *Facts) { f.Ending, f.Ended = true, true }, want: "Failed; a Error; Initialized+PodScheduled"},
		{name: "deleted before it ran", policy: always, spec: "a",
			change: func(f *Facts) { f.Ending, f.Ended = true, true }, want: "Failed; a ContainerStatusUnknown; Initialized+PodScheduled"},
		{name: "given up", policy: always, spec: "a", observed: "sandbox a=running", change: func(f *Facts) {
			f.Failed = &Reason{Reason: "DeadlineExceeded"}
		}, want: "Failed; a running; PodReadyToStartContainers+Initialized+PodScheduled"},
		{name: "an end is final", policy: always, spec: "a", observed: "sandbox a=running", change: func(f *Facts) {
			f.Pod.Status.Phase = corev1.PodFailed
		}, want: "Failed; a running; PodReadyToStartContainers+Initialized+PodScheduled"},
		{name: "the runtime lost a running container", policy: always, spec: "a", observed: "sandbox", change: func(f *Facts) {
			f.Pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "a", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
		}, want: "Running; a ContainerCreating after ContainerStatusUnknown; PodReadyToStartContainers+Initialized+PodScheduled"},
		{name: "a gate is closed", policy: always, spec: "a", observed: "sandbox a=running", change: func(f *Facts) {
			f.Pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "x/y"}}
		}, want: "Running; a running; PodReadyToStartContainers+Initialized+ContainersReady+PodScheduled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := facts(specified(c.policy, strings.Fields(c.spec)...), observed(strings.Fields(c.observed)...))
			if c.change != nil {
				c.change(&f)
			}
			if diff := cmp.Diff(c.want, summary(Status(f))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStatusKeepsWhatItOnceKnew(t *testing.T) {
	p := specified(corev1.RestartPolicyAlways, "a")
	f := facts(p, observed("sandbox", "a=exited:1", "a=running"))
	f.Observed.Containers[1].Message = "why"
	first := Status(f)
	if got := first.ContainerStatuses[0].LastTerminationState.Terminated.Message; got != "why" {
		t.Fatalf("message %q", got)
	}
	if first.PodIP != "10.0.0.1" || first.HostIP != "192.0.2.1" || !first.StartTime.Equal(&metav1.Time{Time: noon}) || first.QOSClass != corev1.PodQOSBestEffort {
		t.Errorf("%+v", first)
	}
	// The old container's traces are removed, an hour passes, another writes a condition.
	p.Status = first
	p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: "x/y", Status: corev1.ConditionTrue})
	f.Observed.Drop(f.Observed.Containers[1].ID)
	f.Now = noon.Add(time.Hour)
	if diff := cmp.Diff(p.Status, Status(f)); diff != "" {
		t.Errorf("without news the status changed:\n%s", diff)
	}
}

func TestQOS(t *testing.T) {
	res := func(request, limit string) corev1.ResourceRequirements {
		list := func(s string) corev1.ResourceList {
			if s == "" {
				return nil
			}
			return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(s), corev1.ResourceMemory: resource.MustParse(s)}
		}
		return corev1.ResourceRequirements{Requests: list(request), Limits: list(limit)}
	}
	for _, c := range []struct {
		a, b corev1.ResourceRequirements
		want corev1.PodQOSClass
	}{
		{res("", ""), res("", ""), corev1.PodQOSBestEffort},
		{res("1", ""), res("", ""), corev1.PodQOSBurstable},
		{res("1", "1"), res("1", "1"), corev1.PodQOSGuaranteed},
		{res("", "1"), res("1", "1"), corev1.PodQOSGuaranteed},
		{res("1", "2"), res("1", "1"), corev1.PodQOSBurstable},
		{res("1", "1"), res("", ""), corev1.PodQOSBurstable},
	} {
		p := specified(corev1.RestartPolicyAlways, "a", "b")
		p.Spec.Containers[0].Resources, p.Spec.Containers[1].Resources = c.a, c.b
		if got := QOS(p); got != c.want {
			t.Errorf("%v and %v: %s, not %s", c.a, c.b, got, c.want)
		}
	}
}
