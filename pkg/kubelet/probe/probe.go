// Package probe watches over the health of running containers: startup, readiness and liveness probes by
// command, HTTP, TCP and gRPC. It tells results and events; what follows from them is the engine's affair.
package probe

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// Kind is what a probe is for.
type Kind string

// The kinds of probes, as they are named in events.
const (
	Startup   Kind = "Startup"
	Readiness Kind = "Readiness"
	Liveness  Kind = "Liveness"
)

var kinds = []Kind{Startup, Readiness, Liveness}

// Result is what is known of a container's health.
type Result int

// The results of probing.
const (
	Unknown Result = iota
	Success
	Failure
)

func (r Result) String() string { return [...]string{"unknown", "success", "failure"}[r] }

// Exec runs a command in a container, like cri.Runtime's ExecSync. A command that ran is no error whatever
// its code; one that took longer than timeout is an error for which errors.Is(err,
// context.DeadlineExceeded) holds or whose gRPC code is DeadlineExceeded.
type Exec func(ctx context.Context, containerID string, cmd []string, timeout time.Duration) (output []byte, code int, err error)

// Config is what a Manager works with.
type Config struct {
	Exec  Exec
	Clock clock.WithTicker
	Log   logr.Logger
	// Changed is called when a result of the pod changed; it must not block.
	Changed func(pod types.UID)
	// Event records an event about the container (its name; empty: the pod).
	Event func(pod *corev1.Pod, container, eventType, reason, message string)
	// Jitter answers a number in [0, 1) that spreads the first probes of a kubelet that just started;
	// nil: math/rand/v2's.
	Jitter func() float64
}

// Running is a container that runs now.
type Running struct {
	ID        string
	StartedAt time.Time
	// Started and Ready are what the pod's status says of this same container, so that a restarted kubelet
	// neither repeats startup probes nor takes a healthy container out of service.
	Started, Ready bool
}

// Manager has one worker for each probe of each running container. It is safe for concurrent use.
type Manager struct {
	config  Config
	prober  *prober
	metrics *metrics
	started time.Time

	mu   sync.Mutex
	pods map[types.UID]map[key]*worker
	// results are kept by container, so that an id is enough to ask.
	results map[string]map[Kind]Result
}

type key struct {
	container string
	kind      Kind
}

// New makes a Manager that probes nothing yet.
func New(c Config) *Manager {
	if c.Jitter == nil {
		c.Jitter = rand.Float64
	}
	return &Manager{config: c, prober: newProber(c), metrics: newMetrics(), started: c.Clock.Now(),
		pods: map[types.UID]map[key]*worker{}, results: map[string]map[Kind]Result{}}
}

// Sync tells which containers of the pod run now, by their names, and the pod's address. Workers of other
// containers stop. A container that was replaced by one with another ID starts anew. First results are in
// place when Sync returns: readiness begins as Failure, liveness as Success, startup as Unknown.
func (m *Manager) Sync(pod *corev1.Pod, ip string, running map[string]Running) {
	m.mu.Lock()
	defer m.mu.Unlock()
	workers := m.pods[pod.UID]
	for k, w := range workers {
		if r, ok := running[k.container]; !ok || r.ID != w.running.ID {
			m.stop(workers, k)
		}
	}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			m.syncContainer(pod, c, ip, running)
		}
	}
	for i := range pod.Spec.Containers {
		m.syncContainer(pod, &pod.Spec.Containers[i], ip, running)
	}
}

func (m *Manager) syncContainer(pod *corev1.Pod, c *corev1.Container, ip string, running map[string]Running) {
	r, ok := running[c.Name]
	if !ok {
		return
	}
	for _, kind := range kinds {
		k := key{c.Name, kind}
		spec := Spec(c, kind)
		if spec == nil {
			if m.pods[pod.UID][k] != nil {
				m.stop(m.pods[pod.UID], k) // the caller no longer wants to know
			}
			continue
		}
		target := &target{pod: pod, container: c, ip: ip, spec: spec}
		if w := m.pods[pod.UID][k]; w != nil {
			w.target.Store(target)
			continue
		}
		m.start(k, target, r)
	}
}

// start makes a worker; the caller holds mu.
func (m *Manager) start(k key, t *target, r Running) {
	ctx, cancel := context.WithCancel(context.Background())
	w := &worker{manager: m, kind: k.kind, running: r, cancel: cancel, poke: make(chan struct{}, 1)}
	w.target.Store(t)
	uid := t.pod.UID
	if m.pods[uid] == nil {
		m.pods[uid] = map[key]*worker{}
	}
	m.pods[uid][k] = w
	if m.results[r.ID] == nil {
		m.results[r.ID] = map[Kind]Result{}
	}
	m.results[r.ID][k.kind] = initial(k.kind, r)
	go w.run(ctx)
}

func initial(kind Kind, r Running) Result {
	switch {
	case kind == Liveness, kind == Readiness && r.Ready, kind == Startup && r.Started:
		return Success
	case kind == Readiness:
		return Failure
	}
	return Unknown
}

// stop ends a worker and forgets its result; the caller holds mu.
func (m *Manager) stop(workers map[key]*worker, k key) {
	w := workers[k]
	w.cancel()
	m.metrics.forget(k.kind, w.target.Load())
	delete(workers, k)
	delete(m.results[w.running.ID], k.kind)
	if len(m.results[w.running.ID]) == 0 {
		delete(m.results, w.running.ID)
	}
}

// Result answers what is known of a running container. has is false where it has no such probe, or is not
// known to run.
func (m *Manager) Result(containerID string, k Kind) (r Result, has bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, has = m.results[containerID][k]
	return r, has
}

// Remove ends all probes of a pod.
func (m *Manager) Remove(pod types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.pods[pod] {
		m.stop(m.pods[pod], k)
	}
	delete(m.pods, pod)
}

// Spec is the container's probe of a kind, nil where it has none.
func Spec(c *corev1.Container, k Kind) *corev1.Probe {
	switch k {
	case Startup:
		return c.StartupProbe
	case Readiness:
		return c.ReadinessProbe
	}
	return c.LivenessProbe
}
