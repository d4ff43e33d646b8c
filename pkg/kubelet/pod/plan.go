package pod

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Input is all that a plan depends on. It is only read.
type Input struct {
	Pod      *corev1.Pod
	Observed *Observed
	Health   func(containerID string) Health // nil: all are well
	Backoff  map[string]Backoff              // by container
	Failures map[string]Failure              // by container, of the last attempt to start it
	Stopping map[string]bool                 // ids of the containers that are being stopped
	Now      time.Time
}

// Kill is a container to be stopped.
type Kill struct {
	Container Container
	Message   string // says why, for people; "" where the whole pod ends
}

// Start is a container to be started.
type Start struct {
	Name    string
	Attempt uint32
	Ended   time.Time // when the one before it ended; zero for the first
}

// Actions are what is to be done next, in this order: kill, stop the pod, make a sandbox, start. Where a
// sandbox is made nothing is started: the next plan does.
type Actions struct {
	Kill []Kill
	// StopPod ends everything that the pod has running: it is done, or its sandbox must be replaced.
	StopPod bool
	// NewSandbox makes a sandbox with SandboxAttempt, once nothing of the old one runs.
	NewSandbox     bool
	SandboxAttempt uint32
	Start          []Start
	// Waiting are the containers whose start waits for their back-off.
	Waiting map[string]time.Time
}

// WakeAt is when the first of the waiting containers may start; zero where none waits.
func (a *Actions) WakeAt() time.Time {
	var first time.Time
	for _, t := range a.Waiting {
		if first.IsZero() || t.Before(first) {
			first = t
		}
	}
	return first
}

// planner is a plan in the making.
type planner struct {
	Input
	out Actions
}

// Plan decides what is to be done next for a pod that shall run.
func Plan(in Input) Actions {
	p := planner{Input: in, out: Actions{Waiting: map[string]time.Time{}}}
	if !p.sandboxUsable() {
		p.planSandbox()
		return p.out
	}
	p.planEphemeral()
	if p.planInit() {
		p.planRegular()
	}
	return p.out
}

func (p *planner) sandboxUsable() bool {
	s := p.Observed.Sandbox()
	if s == nil || !s.Ready {
		return false
	}
	return p.Pod.Spec.HostNetwork || len(s.IPs) > 0
}

// planSandbox makes a sandbox where something would run in it.
func (p *planner) planSandbox() {
	newest := p.Observed.Sandbox()
	if newest == nil {
		p.out.NewSandbox = len(p.Observed.Alive()) == 0
		p.out.StopPod = !p.out.NewSandbox
		return
	}
	p.out.StopPod = newest.Ready || len(p.Observed.Alive()) > 0
	if !p.somethingToRun() {
		return
	}
	p.out.NewSandbox, p.out.SandboxAttempt = true, newest.Attempt+1
}

// somethingToRun says whether a new sandbox would hold a container: not where all have ended for good.
func (p *planner) somethingToRun() bool {
	created := false
	for i := range p.Pod.Spec.Containers {
		c := &p.Pod.Spec.Containers[i]
		last := p.Observed.Latest(c.Name)
		if last == nil {
			continue
		}
		created = true
		if shouldRestart(p.Pod, c, false, last) {
			return true
		}
	}
	if created {
		// Some ran and none shall again: those that never ran only do where the policy restarts pods.
		return p.Pod.Spec.RestartPolicy != corev1.RestartPolicyNever && p.neverRan()
	}
	for i := range p.Pod.Spec.InitContainers {
		c := &p.Pod.Spec.InitContainers[i]
		last := p.Observed.Latest(c.Name)
		if last != nil && last.State == Exited && last.ExitCode != 0 && !shouldRestart(p.Pod, c, IsSidecar(c), last) {
			return false
		}
	}
	return true
}

func (p *planner) neverRan() bool {
	for i := range p.Pod.Spec.Containers {
		if p.Observed.Latest(p.Pod.Spec.Containers[i].Name) == nil {
			return true
		}
	}
	return false
}

func (p *planner) planEphemeral() {
	for i := range p.Pod.Spec.EphemeralContainers {
		c := &p.Pod.Spec.EphemeralContainers[i]
		if p.Observed.Latest(c.Name) == nil {
			p.start(c.Name, nil)
		}
	}
}

// planRegular starts, restarts and checks the containers proper, and stops the pod once all have ended.
func (p *planner) planRegular() {
	keep := 0
	for i := range p.Pod.Spec.Containers {
		c := &p.Pod.Spec.Containers[i]
		if p.planContainer(c, p.Observed.active(c.Name), false) {
			keep++
		}
	}
	if keep == 0 {
		p.out.StopPod, p.out.Start = true, nil
	}
}

// planContainer brings one container forward and says whether it still has something to do.
func (p *planner) planContainer(c *corev1.Container, now *Container, sidecar bool) bool {
	switch {
	case now == nil:
		last := p.Observed.Latest(c.Name) // of an older sandbox
		if last != nil && !shouldRestart(p.Pod, c, sidecar, last) {
			return false
		}
		p.start(c.Name, last)
		return true
	case p.Stopping[now.ID]:
		return true
	case now.State == Unknown:
		p.kill(now, "Container is in unknown state, try killing it before starting a new one")
		return true
	case now.State == Exited, now.State == Created:
		if !shouldRestart(p.Pod, c, sidecar, now) {
			return false
		}
		p.start(c.Name, now)
		return true
	}
	return p.planRunning(c, now, sidecar)
}

func (p *planner) planRunning(c *corev1.Container, now *Container, sidecar bool) bool {
	kind := "Container"
	if sidecar {
		kind = "Init container"
	}
	h := p.health(now.ID)
	restart := ", will be restarted"
	if !shouldRestart(p.Pod, c, sidecar, &Container{State: Exited, ExitCode: 137}) {
		restart = ""
	}
	switch {
	case now.Hash != "" && now.Hash != Hash(c):
		p.kill(now, fmt.Sprintf("%s %s definition changed, will be restarted", kind, c.Name))
	case h.Unhealthy:
		p.kill(now, fmt.Sprintf("%s %s failed liveness probe%s", kind, c.Name, restart))
	case h.Stillborn:
		p.kill(now, fmt.Sprintf("%s %s failed startup probe%s", kind, c.Name, restart))
	}
	return true
}

func (p *planner) health(id string) Health {
	if p.Health == nil {
		return Health{Started: true, Ready: true}
	}
	return p.Health(id)
}

func (p *planner) kill(c *Container, message string) {
	p.out.Kill = append(p.out.Kill, Kill{Container: *c, Message: message})
}

// start starts a container after last, or has it wait for its back-off.
func (p *planner) start(name string, last *Container) {
	s := Start{Name: name}
	var until time.Time
	if last != nil {
		s.Attempt, s.Ended = last.Attempt+1, last.FinishedAt
		if last.State == Created {
			s.Ended = last.CreatedAt
		}
		until = p.Backoff[name].Until(s.Ended)
	}
	if retry := p.Failures[name].RetryAt; retry.After(until) {
		until = retry
	}
	if until.After(p.Now) {
		p.out.Waiting[name] = until
		return
	}
	p.out.Start = append(p.out.Start, s)
}
