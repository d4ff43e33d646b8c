package pod

import (
	corev1 "k8s.io/api/core/v1"
)

// planInit brings the init containers forward, one after another, and says whether the containers proper
// may run.
func (p *planner) planInit() bool {
	initialized := p.initialized()
	for i := range p.Pod.Spec.InitContainers {
		c := &p.Pod.Spec.InitContainers[i]
		sidecar := IsSidecar(c)
		now := p.Observed.active(c.Name)
		if initialized {
			if sidecar {
				p.planContainer(c, now, true)
			}
			continue
		}
		if done := p.planOneInit(c, now, sidecar); !done {
			return false
		}
	}
	return true
}

// initialized says whether a container proper was made in this sandbox: what came before it is over, even
// where its traces were removed.
func (p *planner) initialized() bool {
	for i := range p.Pod.Spec.Containers {
		if p.Observed.active(p.Pod.Spec.Containers[i].Name) != nil {
			return true
		}
	}
	return false
}

// planOneInit says whether the next one may start.
func (p *planner) planOneInit(c *corev1.Container, now *Container, sidecar bool) bool {
	if sidecar {
		p.planContainer(c, now, true)
		return now != nil && now.State == Running && !p.Stopping[now.ID] && p.health(now.ID).Started
	}
	switch {
	case now == nil:
		p.start(c.Name, p.Observed.Latest(c.Name)) // an old sandbox's success does not count
	case p.Stopping[now.ID]:
	case now.State == Unknown:
		p.kill(now, "Init container is in unknown state, try killing it before starting a new one")
	case now.State == Running:
		if now.Hash != "" && now.Hash != Hash(c) {
			p.kill(now, "Init container "+c.Name+" definition changed")
		}
	case now.State == Exited && now.ExitCode == 0:
		return true
	case !shouldRestart(p.Pod, c, false, now):
		p.out.StopPod, p.out.Start = true, nil
	default:
		p.start(c.Name, now)
	}
	return false
}
