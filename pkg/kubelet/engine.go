// Package kubelet is the node's agent: it runs the pods that the apiserver binds to the node, and static
// pods of a directory, through a container runtime. Here the parts below it are put together, and every pod
// has its worker; what is to be done for a pod is decided in pkg/kubelet/pod.
package kubelet

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/image"
	"github.com/sampan-project/sampan/pkg/kubelet/probe"
	"github.com/sampan-project/sampan/pkg/kubelet/runtime"
	"github.com/sampan-project/sampan/pkg/kubelet/status"
)

// Volumes are what pods' volumes are made with.
type Volumes interface {
	Setup(ctx context.Context, p *corev1.Pod) error
	RefreshAt(pod types.UID) time.Time
	Teardown(ctx context.Context, pod types.UID) error
	OnDisk() ([]types.UID, error)
}

// Registrar is told which pods' ConfigMaps and Secrets are to be at hand.
type Registrar interface {
	Register(p *corev1.Pod)
	Unregister(pod types.UID)
}

// Cgroups are the node's control groups, as far as they are to be tidied up.
type Cgroups interface {
	Remove(pod types.UID) error
	OnDisk() ([]types.UID, error)
}

// EngineConfig is what an Engine works with.
type EngineConfig struct {
	CRI         cri.Runtime
	Runtime     *runtime.Manager
	Images      *image.Manager
	Status      *status.Manager
	Volumes     Volumes
	Objects     Registrar
	Cgroups     Cgroups
	Probes      *probe.Manager
	Node        func() *corev1.Node // nil: not known (yet)
	HostIPs     func() []string
	RuntimeName string // "containerd"
	MaxDead     int    // containers of one name that have ended and are kept
	MaxPods     int64
	// UnsafeSysctls are those that pods may set here beside the safe ones, or beginnings of them that end in *.
	UnsafeSysctls []string
	// RoomChanged, which may be nil, is told of the pods that take up room on the node whenever they change.
	RoomChanged func(pods []*corev1.Pod)
	// Gone, which may be nil, is told of every pod of which nothing is left.
	Gone  func(p *corev1.Pod)
	Event func(p *corev1.Pod, container, eventType, reason, message string)
	Clock clock.WithTicker
	Log   logr.Logger
}

// Engine runs pods. Its methods may be called from several goroutines.
type Engine struct {
	EngineConfig
	ctx    context.Context
	all    sync.WaitGroup
	tidied atomic.Int64 // when Tidy last looked at everything, in nanoseconds since 1970

	mu      sync.Mutex
	workers map[types.UID]*worker
	owners  map[string]types.UID              // by the id of a sandbox or container
	waiters map[string]map[chan struct{}]bool // of ends, by the id of a container
	found   map[types.UID]*runtime.Known      // what the runtime had when the engine started
	adopted bool
}

// NewEngine makes an Engine. Its workers end with ctx; the containers keep running.
func NewEngine(ctx context.Context, c EngineConfig) *Engine {
	e := &Engine{EngineConfig: c, ctx: ctx, workers: map[types.UID]*worker{}, owners: map[string]types.UID{}, waiters: map[string]map[chan struct{}]bool{}}
	e.tidied.Store(c.Clock.Now().UnixNano())
	return e
}

// Adopt looks at what the runtime has, before the first pod is set. What belongs to no pod is ended by
// EndOrphans, once all pods are known.
func (e *Engine) Adopt(ctx context.Context) error {
	found, err := e.Runtime.List(ctx)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.found, e.adopted = found, true
	return nil
}

// Set tells of a pod that is to run, or that has changed.
func (e *Engine) Set(p *corev1.Pod, static bool) {
	w := e.worker(p.UID)
	w.tell(func(m *mail) {
		if m.gone { // it is still ending from before
			m.again, m.static = p, static
			return
		}
		m.pod, m.static = p, static
	})
}

// Delete tells that a pod is gone from its source.
func (e *Engine) Delete(p *corev1.Pod) {
	e.mu.Lock()
	w := e.workers[p.UID]
	e.mu.Unlock()
	if w != nil {
		w.tell(func(m *mail) { m.pod, m.gone, m.again = p, true, nil })
	}
}

// Wake has a pod looked at again: a probe's result changed.
func (e *Engine) Wake(uid types.UID) { e.tell(uid, func(*mail) {}) }

// Refresh has a pod's volumes and failed starts tried again: an object that it refers to changed.
func (e *Engine) Refresh(uids []types.UID) {
	for _, uid := range uids {
		e.tell(uid, func(m *mail) { m.refresh = true })
	}
}

func (e *Engine) tell(uid types.UID, change func(*mail)) {
	e.mu.Lock()
	w := e.workers[uid]
	e.mu.Unlock()
	if w != nil {
		w.tell(change)
	}
}

// worker is the pod's, started where there is none.
func (e *Engine) worker(uid types.UID) *worker {
	w, _ := e.newWorker(uid)
	return w
}

// newWorker is the pod's worker, and whether it was started for this call.
func (e *Engine) newWorker(uid types.UID) (*worker, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if w := e.workers[uid]; w != nil {
		return w, false
	}
	w := newWorker(e, uid)
	// The runtime has nothing of a pod of which it had nothing at the start.
	w.seen = e.adopted && e.found[uid] == nil
	delete(e.found, uid)
	e.workers[uid] = w
	e.all.Add(1)
	go w.run(e.ctx)
	return w, true
}

// drop forgets a worker that has ended, and has those look again that wait for its name.
func (e *Engine) drop(w *worker) {
	e.mu.Lock()
	delete(e.workers, w.uid)
	for id, uid := range e.owners {
		if uid == w.uid {
			delete(e.owners, id)
		}
	}
	var same []*worker
	for _, other := range e.workers {
		if other.isNamed(w.pod.Namespace, w.pod.Name) {
			same = append(same, other)
		}
	}
	e.mu.Unlock()
	for _, other := range same {
		other.tell(func(*mail) {})
	}
}

// Own notes whose a sandbox or container is, so that what is heard of it finds its pod.
func (e *Engine) Own(uid types.UID, id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.owners[id] = uid
}

// Wait returns when all workers have returned, which they do when the engine's context ends.
func (e *Engine) Wait() { e.all.Wait() }

// Has says whether anything of a pod is left on this node, as far as is known.
func (e *Engine) Has(uid types.UID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.workers[uid] != nil || e.found[uid] != nil
}

// predecessor says whether another pod of the same name still has something running here.
func (e *Engine) predecessor(w *worker) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, other := range e.workers {
		if other != w && other.isNamed(w.pod.Namespace, w.pod.Name) && other.isEnding() {
			return true
		}
	}
	for _, known := range e.found {
		if known.Pod.Namespace == w.pod.Namespace && known.Pod.Name == w.pod.Name {
			return true
		}
	}
	return false
}
