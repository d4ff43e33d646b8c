// Package pod decides: what is to be done next for a pod, and what its status is, from what it shall be and
// what the runtime has of it. It is pure. It does no I/O, owns no clock and must not know who carries out
// what it decides.
package pod

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// State is how far a container has come.
type State int

// The states of a container in the runtime.
const (
	Unknown State = iota // the runtime has lost track of it
	Created
	Running
	Exited
)

// Container is one container as the runtime has it.
type Container struct {
	ID, Name, SandboxID string
	Attempt             uint32 // how many of the same name came before
	State               State
	Hash                string // of the specification that it was made from
	Image, ImageID      string
	LogPath             string

	CreatedAt, StartedAt, FinishedAt time.Time

	// Of the end: the exit code, the runtime's reason, and the termination message.
	ExitCode        int32
	Reason, Message string
}

// Sandbox is one sandbox as the runtime has it.
type Sandbox struct {
	ID        string
	Attempt   uint32
	Ready     bool
	CreatedAt time.Time
	IPs       []string
}

// Observed is all that the runtime has of a pod, newest first.
type Observed struct {
	Sandboxes  []Sandbox
	Containers []Container
}

// Sort brings o into its order: newest first.
func (o *Observed) Sort() {
	slices.SortStableFunc(o.Sandboxes, func(a, b Sandbox) int { return b.CreatedAt.Compare(a.CreatedAt) })
	slices.SortStableFunc(o.Containers, func(a, b Container) int {
		if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
			return c
		}
		return int(b.Attempt) - int(a.Attempt)
	})
}

// Sandbox is the newest sandbox, nil where there is none.
func (o *Observed) Sandbox() *Sandbox {
	if len(o.Sandboxes) == 0 {
		return nil
	}
	return &o.Sandboxes[0]
}

// Latest is the newest container of a name, whatever sandbox it is in; nil where there is none.
func (o *Observed) Latest(name string) *Container {
	for i := range o.Containers {
		if o.Containers[i].Name == name {
			return &o.Containers[i]
		}
	}
	return nil
}

// active is the newest container of a name in the newest sandbox.
func (o *Observed) active(name string) *Container {
	c := o.Latest(name)
	if s := o.Sandbox(); c == nil || s == nil || c.SandboxID != s.ID {
		return nil
	}
	return c
}

// previous is the container that came before the newest of its name.
func (o *Observed) previous(name string) *Container {
	seen := false
	for i := range o.Containers {
		if o.Containers[i].Name != name {
			continue
		}
		if seen {
			return &o.Containers[i]
		}
		seen = true
	}
	return nil
}

// Alive lists the containers that are not known to have ended.
func (o *Observed) Alive() []*Container {
	var alive []*Container
	for i := range o.Containers {
		if o.Containers[i].State == Running || o.Containers[i].State == Unknown {
			alive = append(alive, &o.Containers[i])
		}
	}
	return alive
}

// Put replaces what is known of a container, or adds it.
func (o *Observed) Put(c Container) {
	for i := range o.Containers {
		if o.Containers[i].ID == c.ID {
			o.Containers[i] = c
			return
		}
	}
	o.Containers = slices.Insert(o.Containers, 0, c)
	o.Sort()
}

// PutSandbox replaces what is known of a sandbox, or adds it.
func (o *Observed) PutSandbox(s Sandbox) {
	for i := range o.Sandboxes {
		if o.Sandboxes[i].ID == s.ID {
			o.Sandboxes[i] = s
			return
		}
	}
	o.Sandboxes = slices.Insert(o.Sandboxes, 0, s)
	o.Sort()
}

// Drop forgets a container or a sandbox.
func (o *Observed) Drop(id string) {
	o.Containers = slices.DeleteFunc(o.Containers, func(c Container) bool { return c.ID == id })
	o.Sandboxes = slices.DeleteFunc(o.Sandboxes, func(s Sandbox) bool { return s.ID == id })
}

// Clone copies o, so that it can be read while the original changes.
func (o *Observed) Clone() Observed {
	return Observed{Sandboxes: slices.Clone(o.Sandboxes), Containers: slices.Clone(o.Containers)}
}

// Health is what the probes say of one running container.
type Health struct {
	Started   bool // its startup probe has succeeded, or it has none
	Ready     bool // its readiness probe succeeds, or it has none
	Unhealthy bool // its liveness probe has failed
	Stillborn bool // its startup probe has failed
}

// Failure is why a container could not be started, and when that shall be tried again.
type Failure struct {
	Reason, Message string
	RetryAt         time.Time
}

// IsSidecar says whether an init container keeps running beside the others.
func IsSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// Find answers the container of a name, of all three kinds, nil where there is none.
func Find(p *corev1.Pod, name string) *corev1.Container {
	for i := range p.Spec.InitContainers {
		if p.Spec.InitContainers[i].Name == name {
			return &p.Spec.InitContainers[i]
		}
	}
	for i := range p.Spec.Containers {
		if p.Spec.Containers[i].Name == name {
			return &p.Spec.Containers[i]
		}
	}
	for i := range p.Spec.EphemeralContainers {
		if p.Spec.EphemeralContainers[i].Name == name {
			c := corev1.Container(p.Spec.EphemeralContainers[i].EphemeralContainerCommon)
			return &c
		}
	}
	return nil
}
