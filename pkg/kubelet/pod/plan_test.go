package pod

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// specified is a pod with containers named in words: "a", "init:i", "side:s", "debug:d".
func specified(policy corev1.RestartPolicy, names ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "u"}, Spec: corev1.PodSpec{RestartPolicy: policy}}
	always := corev1.ContainerRestartPolicyAlways
	for _, n := range names {
		kind, name, ok := strings.Cut(n, ":")
		if !ok {
			kind, name = "", n
		}
		c := corev1.Container{Name: name, Image: "image"}
		switch kind {
		case "init":
			p.Spec.InitContainers = append(p.Spec.InitContainers, c)
		case "side":
			c.RestartPolicy = &always
			p.Spec.InitContainers = append(p.Spec.InitContainers, c)
		case "debug":
			p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers, corev1.EphemeralContainer{
				EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: name, Image: "image"}})
		default:
			p.Spec.Containers = append(p.Spec.Containers, c)
		}
	}
	return p
}

// observed is what the runtime has, in words, the oldest first: "sandbox", "deadsandbox", "a=running",
// "a=exited:1", "a=created", "a=unknown". Each container is in the sandbox before it. All containers ended a
// minute before noon.
func observed(words ...string) *Observed {
	o := &Observed{}
	attempts := map[string]uint32{}
	at := noon.Add(-time.Hour)
	for i, w := range words {
		at = at.Add(time.Second)
		if strings.HasSuffix(w, "sandbox") {
			s := Sandbox{ID: fmt.Sprintf("s%d", len(o.Sandboxes)), Attempt: uint32(len(o.Sandboxes)), Ready: w == "sandbox", CreatedAt: at}
			if s.Ready {
				s.IPs = []string{"10.0.0.1"}
			}
			o.PutSandbox(s)
			continue
		}
		name, state, _ := strings.Cut(w, "=")
		c := Container{ID: fmt.Sprintf("%s%d", name, i), Name: name, Attempt: attempts[name], SandboxID: o.Sandbox().ID, CreatedAt: at,
			StartedAt: at, Hash: Hash(&corev1.Container{Name: name, Image: "image"}), Image: "image", ImageID: "id"}
		attempts[name]++
		switch state {
		case "running":
			c.State = Running
		case "created":
			c.State = Created
		case "changed":
			c.State, c.Hash = Running, "other"
		case "unknown":
		default:
			c.State, c.FinishedAt = Exited, noon.Add(-time.Minute)
			_, _ = fmt.Sscanf(state, "exited:%d", &c.ExitCode)
		}
		o.Put(c)
	}
	return o
}

// words renders actions as the table writes them.
func words(a Actions) string {
	var out []string
	for _, k := range a.Kill {
		out = append(out, "kill "+k.Container.Name+" ("+k.Message+")")
	}
	if a.StopPod {
		out = append(out, "stop")
	}
	if a.NewSandbox {
		out = append(out, fmt.Sprintf("sandbox %d", a.SandboxAttempt))
	}
	for _, s := range a.Start {
		out = append(out, fmt.Sprintf("start %s %d", s.Name, s.Attempt))
	}
	for _, name := range slices.Sorted(maps.Keys(a.Waiting)) {
		out = append(out, fmt.Sprintf("wait %s %s", name, a.Waiting[name].Sub(noon)))
	}
	return strings.Join(out, ", ")
}

func TestPlan(t *testing.T) {
	const always, onFailure, never = corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever
	waits := Backoff{Delay: 2 * time.Minute, Since: noon.Add(-3 * time.Minute)}
	for _, c := range []struct {
		name     string
		policy   corev1.RestartPolicy
		spec     string
		observed string
		health   map[string]Health // by name
		backoff  map[string]Backoff
		failures map[string]Failure
		want     string
	}{
		{name: "nothing is there: the sandbox comes first", policy: always, spec: "a", want: "sandbox 0"},
		{name: "containers start together", policy: always, spec: "a b", observed: "sandbox", want: "start a 0, start b 0"},
		{name: "all run", policy: always, spec: "a b", observed: "sandbox a=running b=running"},
		{name: "one ended", policy: always, spec: "a b", observed: "sandbox a=running b=exited:0", want: "start b 1"},
		{name: "one ended well and is not needed again", policy: onFailure, spec: "a b", observed: "sandbox a=running b=exited:0"},
		{name: "all ended well", policy: onFailure, spec: "a", observed: "sandbox a=exited:0", want: "stop"},
		{name: "all ended well and were stopped", policy: onFailure, spec: "a", observed: "deadsandbox a=exited:0"},
		{name: "one failed", policy: onFailure, spec: "a", observed: "sandbox a=exited:1", want: "start a 1"},
		{name: "one failed for good", policy: never, spec: "a b", observed: "sandbox a=exited:1 b=running"},
		{name: "a container that was made and never ran is made again", policy: never, spec: "a", observed: "sandbox a=created", want: "start a 1"},
		{name: "lost track", policy: always, spec: "a", observed: "sandbox a=unknown",
			want: "kill a (Container is in unknown state, try killing it before starting a new one)"},
		{name: "waits for its back-off", policy: always, spec: "a b", observed: "sandbox a=exited:1 b=running",
			backoff: map[string]Backoff{"a": waits}, want: "wait a 1m0s"},
		{name: "could not be started and waits", policy: always, spec: "a b", observed: "sandbox b=running",
			failures: map[string]Failure{"a": {RetryAt: noon.Add(time.Second)}}, want: "wait a 1s"},
		{name: "could not be started and tries again", policy: always, spec: "a", observed: "sandbox",
			failures: map[string]Failure{"a": {RetryAt: noon}}, want: "start a 0"},
		{name: "another image", policy: never, spec: "a", observed: "sandbox a=changed", want: "kill a (Container a definition changed, will be restarted)"},
		{name: "not alive", policy: always, spec: "a", observed: "sandbox a=running", health: map[string]Health{"a": {Started: true, Unhealthy: true}},
			want: "kill a (Container a failed liveness probe, will be restarted)"},
		{name: "not alive and not needed again", policy: never, spec: "a", observed: "sandbox a=running",
			health: map[string]Health{"a": {Started: true, Unhealthy: true}}, want: "kill a (Container a failed liveness probe)"},
		{name: "did not come up", policy: always, spec: "a", observed: "sandbox a=running", health: map[string]Health{"a": {Stillborn: true}},
			want: "kill a (Container a failed startup probe, will be restarted)"},

		{name: "init containers go first", policy: always, spec: "init:i init:j a", observed: "sandbox", want: "start i 0"},
		{name: "and are waited for", policy: always, spec: "init:i init:j a", observed: "sandbox i=running"},
		{name: "one after another", policy: always, spec: "init:i init:j a", observed: "sandbox i=exited:0", want: "start j 0"},
		{name: "until the last", policy: always, spec: "init:i init:j a", observed: "sandbox i=exited:0 j=exited:0", want: "start a 0"},
		{name: "one failed and tries again", policy: onFailure, spec: "init:i a", observed: "sandbox i=exited:1", want: "start i 1"},
		{name: "one failed and ends the pod", policy: never, spec: "init:i a", observed: "sandbox i=exited:1", want: "stop"},
		{name: "which stays ended", policy: never, spec: "init:i a", observed: "deadsandbox i=exited:1"},
		{name: "an init container whose traces are gone is not run again", policy: always, spec: "init:i a", observed: "sandbox a=running"},

		{name: "a sidecar starts and lets the next ones follow", policy: always, spec: "side:s init:i a", observed: "sandbox s=running", want: "start i 0"},
		{name: "not before it is up", policy: always, spec: "side:s a", observed: "sandbox s=running", health: map[string]Health{"s": {}}},
		{name: "a sidecar that ended starts again, whatever the policy", policy: never, spec: "side:s a", observed: "sandbox s=exited:0 a=running", want: "start s 1"},
		{name: "a sidecar that fails holds up those after it", policy: never, spec: "side:s a", observed: "sandbox s=exited:1", want: "start s 1"},
		{name: "a sidecar does not keep the pod alive", policy: never, spec: "side:s a", observed: "sandbox s=running a=exited:0", want: "stop"},
		{name: "a sidecar is watched over", policy: never, spec: "side:s a", observed: "sandbox s=running a=running",
			health: map[string]Health{"s": {Started: true, Unhealthy: true}, "a": {Started: true}}, want: "kill s (Init container s failed liveness probe, will be restarted)"},

		{name: "the sandbox died: all starts anew", policy: always, spec: "init:i a", observed: "deadsandbox i=exited:0 a=exited:137", want: "sandbox 1"},
		{name: "in a new one the init containers run again", policy: always, spec: "init:i a",
			observed: "deadsandbox i=exited:0 a=exited:137 sandbox", want: "start i 1"},
		{name: "what still runs of the old one is ended first", policy: always, spec: "a", observed: "deadsandbox a=running", want: "stop, sandbox 1"},
		{name: "a pod that never restarts gets no second sandbox", policy: never, spec: "a", observed: "deadsandbox a=exited:137"},
		{name: "what ended well is not run again in it", policy: onFailure, spec: "a b",
			observed: "deadsandbox a=exited:0 b=exited:137 sandbox", want: "start b 1"},
		{name: "debugging containers start when they come and never again", policy: never, spec: "a debug:d debug:e",
			observed: "sandbox a=running e=exited:1", want: "start d 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := observed(strings.Fields(c.observed)...)
			names := map[string]string{}
			for _, ct := range o.Containers {
				names[ct.ID] = ct.Name
			}
			in := Input{Pod: specified(c.policy, strings.Fields(c.spec)...), Observed: o, Backoff: c.backoff, Failures: c.failures, Now: noon}
			if c.health != nil {
				in.Health = func(id string) Health { return c.health[names[id]] }
			}
			if diff := cmp.Diff(c.want, words(Plan(in))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsBeingStoppedIsLeftAlone(t *testing.T) {
	o := observed("sandbox", "a=running")
	in := Input{Pod: specified(corev1.RestartPolicyAlways, "a"), Observed: o, Now: noon,
		Health: func(string) Health { return Health{Unhealthy: true} }, Stopping: map[string]bool{o.Containers[0].ID: true}}
	if got := words(Plan(in)); got != "" {
		t.Errorf("planned %q", got)
	}
}

func TestContainersMayHaveRestartRulesOfTheirOwn(t *testing.T) {
	p := specified(corev1.RestartPolicyNever, "a", "b")
	never := corev1.ContainerRestartPolicyNever
	p.Spec.Containers[0].RestartPolicy = &never
	p.Spec.Containers[0].RestartPolicyRules = []corev1.ContainerRestartRule{{Action: corev1.ContainerRestartRuleActionRestart,
		ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{42}}}}
	for state, want := range map[string]string{"a=exited:42": "start a 1", "a=exited:1": ""} {
		got := words(Plan(Input{Pod: p, Observed: observed("sandbox", "b=running", state), Now: noon}))
		if got != want {
			t.Errorf("%s: planned %q, not %q", state, got, want)
		}
	}
}

func TestBackoffDoublesAndIsForgotten(t *testing.T) {
	var b Backoff
	now := noon
	var got []time.Duration
	for range 8 {
		if until := b.Until(now); until.After(now) {
			now = until
		}
		b = b.Next(now, now)
		got = append(got, b.Delay)
	}
	want := []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 300 * time.Second, 300 * time.Second, 300 * time.Second}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	later := now.Add(10*time.Minute + time.Second)
	if !b.Until(later).IsZero() || b.Next(later, later).Delay != 10*time.Second {
		t.Error("a container that ran well for ten minutes is still held back")
	}
}
