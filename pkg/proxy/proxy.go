// Package proxy makes a node's kernel carry connections to services to their backends. What the rules
// should be is a pure function (package model) of Services and EndpointSlices; a Kernel makes them so.
package proxy

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/proxy/model"
)

// Proxy follows services and endpoint slices and keeps the kernel in step. Its inputs may be called from
// several goroutines; nothing reaches the kernel before Run.
type Proxy struct {
	kernel  Kernel
	drop    func(before, after [2]model.Rules) error
	clock   clock.WithTicker
	log     logr.Logger
	metrics *Metrics
	onSync  func()        // after each change of the rules; nil for nothing
	pause   time.Duration // least time between two syncs, so that a burst of changes costs one
	repeat  time.Duration // a sync at least this often, in case another program changed the kernel

	mu      sync.Mutex
	state   *model.State
	changed chan struct{} // has room for one
	synced  time.Time
	applied [2]model.Rules
}

// Options are what a Proxy is made of.
type Options struct {
	Kernel Kernel
	// DropStale ends the flows that a change of rules leaves behind.
	DropStale     func(before, after [2]model.Rules) error
	Node          string
	Clock         clock.WithTicker
	Log           logr.Logger
	Metrics       *Metrics
	Pause, Repeat time.Duration
}

// New makes a proxy for a node.
func New(o Options) *Proxy {
	return &Proxy{
		kernel: o.Kernel, drop: o.DropStale, clock: o.Clock, log: o.Log, metrics: o.Metrics, pause: o.Pause, repeat: o.Repeat,
		state: model.NewState(o.Node), changed: make(chan struct{}, 1),
	}
}

// SetService takes over a service's state.
func (p *Proxy) SetService(s, _ *corev1.Service) {
	p.change(func(st *model.State) { st.Services[types.NamespacedName{Namespace: s.Namespace, Name: s.Name}] = s })
}

// RemoveService forgets a service.
func (p *Proxy) RemoveService(s *corev1.Service) {
	p.change(func(st *model.State) {
		delete(st.Services, types.NamespacedName{Namespace: s.Namespace, Name: s.Name})
	})
}

// SetSlice takes over an endpoint slice's state.
func (p *Proxy) SetSlice(s, _ *discoveryv1.EndpointSlice) {
	service, ok := model.ServiceOf(s)
	if !ok {
		return
	}
	p.change(func(st *model.State) {
		if st.Slices[service] == nil {
			st.Slices[service] = map[string]*model.Slice{}
		}
		st.Slices[service][s.Name] = model.NewSlice(s, st.Node)
	})
}

// RemoveSlice forgets an endpoint slice.
func (p *Proxy) RemoveSlice(s *discoveryv1.EndpointSlice) {
	service, ok := model.ServiceOf(s)
	if !ok {
		return
	}
	p.change(func(st *model.State) {
		delete(st.Slices[service], s.Name)
		if len(st.Slices[service]) == 0 {
			delete(st.Slices, service)
		}
	})
}

func (p *Proxy) change(f func(*model.State)) {
	p.mu.Lock()
	f(p.state)
	p.mu.Unlock()
	p.wake()
}

func (p *Proxy) wake() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// Run keeps the kernel in step until ctx ends. Call it once the inputs have seen the whole cluster:
// rules that are missing only because their service was not heard of yet would cut connections.
func (p *Proxy) Run(ctx context.Context) error {
	p.wake()
	retry, repeat := time.Second, p.repeat
	for {
		timer := p.clock.NewTimer(repeat)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-p.changed:
		case <-timer.C():
		}
		timer.Stop()
		wait := p.pause
		again, err := p.sync(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			p.log.Error(err, "The kernel's rules could not be brought up to date; trying again", "in", retry)
			wait, retry = retry, min(2*retry, 30*time.Second)
			p.wake()
		default:
			retry, repeat = time.Second, p.repeat
			if again {
				repeat = min(repeat, drainCheck)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.clock.After(wait):
		}
	}
}

// drainCheck is the pause before looking again whether a removed backend's connections have ended.
const drainCheck = 15 * time.Second

// sync brings the kernel up to date once.
func (p *Proxy) sync(ctx context.Context) (again bool, err error) {
	start := p.clock.Now()
	p.mu.Lock()
	rules := [2]model.Rules{p.state.Rules(false), p.state.Rules(true)}
	p.mu.Unlock()
	again, err = p.kernel.Sync(ctx, rules)
	if err == nil {
		err = p.drop(p.applied, rules)
	}
	if err != nil {
		p.metrics.failed()
		return again, err
	}
	p.mu.Lock()
	p.synced, p.applied = p.clock.Now(), rules
	p.mu.Unlock()
	p.metrics.synced(start, p.clock.Now())
	if p.onSync != nil {
		p.onSync()
	}
	return again, nil
}

// LastSync is when the kernel was last known to be up to date; zero before the first time.
func (p *Proxy) LastSync() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.synced
}

// LocalBackends counts a service's backends on this node, for load balancers that ask.
func (p *Proxy) LocalBackends(service types.NamespacedName) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := map[string]bool{}
	for _, rules := range p.applied {
		for i := range rules.Ports {
			for _, b := range rules.Ports[i].Any {
				if rules.Ports[i].Service == service && b.Local {
					seen[b.Address.String()] = true
				}
			}
		}
	}
	return len(seen)
}

// HealthPorts lists the services that load balancers ask this node about, by port.
func (p *Proxy) HealthPorts() map[uint16]types.NamespacedName {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[uint16]types.NamespacedName{}
	for _, rules := range p.applied {
		for i := range rules.Ports {
			if port := rules.Ports[i].HealthPort; port != 0 {
				out[port] = rules.Ports[i].Service
			}
		}
	}
	return out
}
