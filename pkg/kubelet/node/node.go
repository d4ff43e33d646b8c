// Package node is the machine as the cluster sees it: it registers the Node, keeps its lease and reports
// its status. It knows the machine and the container runtime, and no pods.
package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

// Config is what a Manager works with.
type Config struct {
	Client kubernetes.Interface // nil: nothing is reported, and Node answers what would be
	Name   string
	// Hostname is the machine's name, for the label and the address; empty: Name.
	Hostname   string
	IPs        []net.IP // the node's addresses, the first one first; see DetectIPs
	Labels     map[string]string
	Taints     []corev1.Taint
	ProviderID string
	// ExternalCloud lets a cloud controller complete the node before anything runs on it.
	ExternalCloud bool
	Register      bool // create the Node where there is none
	AttachDetach  bool // volumes are attached by the controller
	Port          int32
	MaxImages     int32 // -1: all

	Runtime cri.Runtime
	// Machine reads the machine; nil: ReadMachine of the usual places, with RootDir's file system.
	Machine func() (Machine, error)
	RootDir string
	Reserve Reserve
	// MaxPods and PodsPerCore (0: no limit) bound the pods.
	MaxPods, PodsPerCore int32

	// Event records an event about the node; see Reference. nil: none.
	Event func(eventType, reason, message string)

	// UpdateEvery is how often the status is computed, ReportEvery how often it is written unchanged,
	// LeaseDuration how long the node counts as alive; zero for 10 s, 5 min, 40 s.
	UpdateEvery, ReportEvery, LeaseDuration time.Duration

	Clock clock.WithTicker
	Log   logr.Logger
}

// Manager reports one node. Its methods are safe for concurrent use.
type Manager struct {
	config   Config
	informer cache.SharedIndexInformer // nil without a client
	poke     chan struct{}

	mu          sync.Mutex
	machine     Machine
	registered  bool
	node        *corev1.Node // as it was last reported, or would be
	runtime     runtimeState
	reported    time.Time
	capacity    corev1.ResourceList
	allocatable corev1.ResourceList
}

// New reads the machine, so that capacity and allocatable are known at once.
func New(c Config) (*Manager, error) {
	c.Hostname = cmp.Or(c.Hostname, c.Name)
	defaultTo(&c.UpdateEvery, 10*time.Second)
	defaultTo(&c.ReportEvery, 5*time.Minute)
	defaultTo(&c.LeaseDuration, 40*time.Second)
	if c.Machine == nil {
		c.Machine = func() (Machine, error) { return ReadMachine(Paths{Root: "/", RootDir: c.RootDir}) }
	}
	m := &Manager{config: c, poke: make(chan struct{}, 1)}
	if err := m.measure(); err != nil {
		return nil, err
	}
	m.node = m.initial()
	m.setStatus(m.node)
	if c.Client != nil {
		m.informer = nodeInformer(c.Client, c.Name)
	}
	return m, nil
}

func defaultTo(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// measure reads the machine and computes what pods may use of it.
func (m *Manager) measure() error {
	machine, err := m.config.Machine()
	if err != nil {
		return fmt.Errorf("measuring the machine: %w", err)
	}
	capacity := machine.Capacity(m.config.MaxPods, m.config.PodsPerCore)
	allocatable, err := m.config.Reserve.Allocatable(capacity)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.machine, m.capacity, m.allocatable = machine, capacity, allocatable
	return nil
}

// Run registers the node, if it should be, and reports until ctx ends.
func (m *Manager) Run(ctx context.Context) {
	if m.config.Client == nil {
		m.follow(ctx)
		return
	}
	m.event(corev1.EventTypeNormal, "Starting", "Starting kubelet.")
	var wg sync.WaitGroup
	wg.Go(func() { m.informer.Run(ctx.Done()) })
	wg.Go(func() {
		if m.config.Register && !m.register(ctx) {
			return
		}
		m.mu.Lock()
		m.registered = true
		m.mu.Unlock()
		wg.Go(func() { m.keepLease(ctx) })
		m.follow(ctx)
	})
	wg.Wait()
}

// follow computes the status, and reports it, regularly and when poked.
func (m *Manager) follow(ctx context.Context) {
	c := m.config
	ticker := c.Clock.NewTicker(c.UpdateEvery)
	defer ticker.Stop()
	for {
		retry := m.update(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		case <-m.poke:
		case <-retry:
		}
	}
}

// update computes and reports once; what it answers fires when a failed report should be repeated.
func (m *Manager) update(ctx context.Context) <-chan time.Time {
	if err := m.measure(); err != nil {
		m.config.Log.Error(err, "The node's capacity stays as it was last reported")
	}
	m.askRuntime(ctx)
	err := m.report(ctx)
	if err == nil || ctx.Err() != nil {
		return nil
	}
	m.config.Log.Error(err, "The node's status was not reported; trying again")
	return m.config.Clock.After(min(m.config.UpdateEvery, 2*time.Second))
}

// Poke has the status computed and, if it changed, reported now.
func (m *Manager) Poke() {
	select {
	case m.poke <- struct{}{}:
	default:
	}
}

// Node is the node as the apiserver last told, or as it would be registered. It must not be changed.
func (m *Manager) Node() *corev1.Node {
	m.mu.Lock()
	own := m.node
	m.mu.Unlock()
	if m.informer == nil {
		return own
	}
	obj, ok, err := m.informer.GetStore().GetByKey(m.config.Name)
	if err != nil || !ok {
		return own
	}
	// The informer may not have seen what was written last.
	if told := obj.(*corev1.Node); told.UID != own.UID || revision(told) >= revision(own) {
		return told
	}
	return own
}

func revision(n *corev1.Node) uint64 {
	r, _ := strconv.ParseUint(n.ResourceVersion, 10, 64)
	return r
}

// Registered says whether the node is known to exist, so that what needs it can start.
func (m *Manager) Registered() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.registered
}

// Capacity is what the machine has.
func (m *Manager) Capacity() corev1.ResourceList {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.capacity.DeepCopy()
}

// Allocatable is what pods may request.
func (m *Manager) Allocatable() corev1.ResourceList {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.allocatable.DeepCopy()
}

// PodsLimit is what pods may use together before the kernel stops them: Allocatable without the eviction
// thresholds taken off, so that eviction comes first. It holds "pid" where pids are reserved.
func (m *Manager) PodsLimit() (corev1.ResourceList, error) {
	m.mu.Lock()
	capacity, maxPID := m.capacity, m.machine.MaxPID
	m.mu.Unlock()
	return m.config.Reserve.PodsLimit(capacity, maxPID)
}

// RecursiveReadOnly says whether a handler of the runtime can make mounts below a mount read-only, as it told when it
// was last asked.
func (m *Manager) RecursiveReadOnly(handler string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, h := range m.runtime.handlers {
		if h.Name == handler {
			return *h.Features.RecursiveReadOnlyMounts
		}
	}
	return false
}

// Reference is the object of events about the node. By custom its UID is the node's name: events of
// before the registration belong to it too.
func Reference(name string) *corev1.ObjectReference {
	return &corev1.ObjectReference{Kind: "Node", Name: name, UID: types.UID(name)}
}

func (m *Manager) event(eventType, reason, message string) {
	if m.config.Event != nil {
		m.config.Event(eventType, reason, message)
	}
}

// runtimeState is what the runtime last said of itself.
type runtimeState struct {
	asked            bool
	version          string
	handlers         []corev1.NodeRuntimeHandler
	runtime, network error
	images           []corev1.ContainerImage
}

func (m *Manager) askRuntime(ctx context.Context) {
	var s runtimeState
	s.asked = true
	if m.config.Runtime != nil {
		s = m.ask(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s.version = cmp.Or(s.version, m.runtime.version)
	if s.images == nil {
		s.images = m.runtime.images
	}
	m.runtime = s
}

func (m *Manager) ask(ctx context.Context) runtimeState {
	s := runtimeState{asked: true}
	status, err := m.config.Runtime.Status(ctx, false)
	if err != nil {
		s.runtime = fmt.Errorf("container runtime is down: %w", err)
		s.network = errors.New("container runtime status check may not have completed yet")
		return s
	}
	seen := map[string]bool{}
	for _, c := range status.GetStatus().GetConditions() {
		seen[c.GetType()] = true
		text := fmt.Sprintf("%s=%v reason:%s message:%s", c.GetType(), c.GetStatus(), c.GetReason(), c.GetMessage())
		switch {
		case c.GetStatus():
		case c.GetType() == cri.RuntimeReady:
			s.runtime = fmt.Errorf("container runtime not ready: %s", text)
		case c.GetType() == cri.NetworkReady:
			s.network = fmt.Errorf("container runtime network not ready: %s", text)
		}
	}
	if !seen[cri.RuntimeReady] && s.runtime == nil {
		s.runtime = errors.New("container runtime not ready: it tells no condition RuntimeReady")
	}
	for _, h := range status.GetRuntimeHandlers() {
		f := h.GetFeatures()
		recursive, user := f.GetRecursiveReadOnlyMounts(), f.GetUserNamespaces()
		s.handlers = append(s.handlers, corev1.NodeRuntimeHandler{Name: h.GetName(),
			Features: &corev1.NodeRuntimeHandlerFeatures{RecursiveReadOnlyMounts: &recursive, UserNamespaces: &user}})
	}
	if v, err := m.config.Runtime.Version(ctx); err == nil {
		s.version = v.GetRuntimeName() + "://" + v.GetRuntimeVersion()
	}
	if images, err := m.config.Runtime.ListImages(ctx, nil); err == nil {
		s.images = nodeImages(images, m.config.MaxImages)
	}
	return s
}
