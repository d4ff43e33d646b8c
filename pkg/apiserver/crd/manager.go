package crd

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/go-logr/logr"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resources/apiextensions"
	"github.com/sampan-project/sampan/pkg/apiserver/webhookclient"
)

// Config is what a Manager works with.
type Config struct {
	Access resource.Access
	// Serve serves a resource, in the place of one of its name; Withdraw ends that. Changed tells that what is
	// described of served ones is other than before.
	Serve    func(r *resource.Resource)
	Withdraw func(r *resource.Resource)
	Changed  func()
	Clients  *webhookclient.Clients // of conversion webhooks
	Clock    clock.WithTicker
	Log      logr.Logger
}

// Manager follows the definitions.
type Manager struct {
	cfg Config

	turn sync.Mutex // held while definitions are brought on: of two that want a name one gets it

	mu     sync.Mutex
	known  map[string]*apiextensionsv1.CustomResourceDefinition // as last seen or written, without schemas
	served map[string]*serving
}

// serving is a definition whose resource is served.
type serving struct {
	crd      *apiextensionsv1.CustomResourceDefinition
	resource *resource.Resource
	opened   func() // lets requests go on
	ending   atomic.Bool
	cleaning atomic.Bool
}

// Start serves what is established, and then follows until ctx ends.
func Start(ctx context.Context, cfg Config) error {
	m := &Manager{cfg: cfg, known: map[string]*apiextensionsv1.CustomResourceDefinition{}, served: map[string]*serving{}}
	synced, err := cfg.Access.Follow(ctx, apiextensions.Definitions, func(obj, gone resource.Object) {
		m.turn.Lock()
		defer m.turn.Unlock()
		if obj == nil {
			m.gone(ctx, gone.GetName())
			return
		}
		if crd, ok := obj.(*apiextensionsv1.CustomResourceDefinition); ok {
			m.sync(ctx, lean(crd))
		}
	})
	if err != nil {
		return fmt.Errorf("following the definitions of custom resources: %w", err)
	}
	select {
	case <-synced:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lean is a definition without its schemas.
func lean(crd *apiextensionsv1.CustomResourceDefinition) *apiextensionsv1.CustomResourceDefinition {
	out := *crd
	out.ManagedFields = nil
	out.Spec.Versions = slices.Clone(crd.Spec.Versions)
	for i := range out.Spec.Versions {
		out.Spec.Versions[i].Schema = nil
	}
	return &out
}

// remember keeps the newest state of a definition, and answers it.
func (m *Manager) remember(crd *apiextensionsv1.CustomResourceDefinition) *apiextensionsv1.CustomResourceDefinition {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.known[crd.Name]; known != nil && known.UID == crd.UID && revision(known) > revision(crd) {
		return known
	}
	m.known[crd.Name] = crd
	return crd
}

func revision(crd *apiextensionsv1.CustomResourceDefinition) int64 {
	n, _ := strconv.ParseInt(crd.ResourceVersion, 10, 64) // the server's own
	return n
}

// sync brings a definition one step on: its names are accepted, its resource is served, its status says so, and a
// definition on its way out loses its objects.
func (m *Manager) sync(ctx context.Context, crd *apiextensionsv1.CustomResourceDefinition) {
	crd = m.remember(crd)
	settled := crd.DeepCopy()
	m.settle(settled)
	if apiextensions.IsTrue(settled, apiextensionsv1.Established) {
		// First, so that who sees the condition finds the resource; who finds the resource sees the condition.
		defer m.serve(settled)()
	}
	if !equality.Semantic.DeepEqual(settled.Status, crd.Status) {
		out, err := m.cfg.Access.Update(ctx, apiextensions.Definitions, "status", "", crd.Name, func(o resource.Object) error {
			m.settle(o.(*apiextensionsv1.CustomResourceDefinition))
			return nil
		})
		if err != nil {
			if !apierrors.IsNotFound(err) && ctx.Err() == nil {
				m.cfg.Log.Error(err, "Writing the status of a definition", "definition", crd.Name)
				go m.later(ctx, crd.Name)
			}
			return
		}
		written := m.remember(lean(out.(*apiextensionsv1.CustomResourceDefinition)))
		if !equality.Semantic.DeepEqual(written.Status.AcceptedNames, crd.Status.AcceptedNames) {
			m.othersOf(ctx, written)
		}
		crd = written
	}
	if crd.DeletionTimestamp != nil {
		m.clean(ctx, crd)
	}
}

// later tries again to bring a definition on: nobody may write it soon, and without a status it seems not to be served.
func (m *Manager) later(ctx context.Context, name string) {
	select {
	case <-ctx.Done():
		return
	case <-m.cfg.Clock.After(retryAfter):
	}
	m.turn.Lock()
	defer m.turn.Unlock()
	m.mu.Lock()
	crd := m.known[name]
	m.mu.Unlock()
	if crd != nil {
		m.sync(ctx, crd)
	}
}

// gone no longer serves a definition, and gives its names to those that wait for them.
func (m *Manager) gone(ctx context.Context, name string) {
	m.mu.Lock()
	crd, s := m.known[name], m.served[name]
	delete(m.known, name)
	delete(m.served, name)
	m.mu.Unlock()
	if s != nil {
		m.cfg.Withdraw(s.resource)
	}
	if crd != nil {
		m.othersOf(ctx, crd)
	}
}

// othersOf looks again at the definitions of a group that wait for names.
func (m *Manager) othersOf(ctx context.Context, crd *apiextensionsv1.CustomResourceDefinition) {
	m.mu.Lock()
	var waiting []*apiextensionsv1.CustomResourceDefinition
	for name, other := range m.known {
		if name != crd.Name && other.Spec.Group == crd.Spec.Group && !apiextensions.IsTrue(other, apiextensionsv1.NamesAccepted) {
			waiting = append(waiting, other)
		}
	}
	m.mu.Unlock()
	for _, other := range waiting {
		m.sync(ctx, other)
	}
}

// serve serves a definition's resource, anew where what it defines has changed. Requests for it wait for opened.
func (m *Manager) serve(crd *apiextensionsv1.CustomResourceDefinition) (opened func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ending := apiextensions.IsTrue(crd, apiextensionsv1.Terminating)
	if s := m.served[crd.Name]; s != nil && s.crd.UID == crd.UID && s.crd.Generation == crd.Generation &&
		equality.Semantic.DeepEqual(s.crd.Status.AcceptedNames, crd.Status.AcceptedNames) {
		if s.ending.Swap(ending) != ending {
			m.cfg.Changed()
		}
		return s.opened
	}
	k := newKind(crd, func() (*apiextensionsv1.CustomResourceDefinition, error) {
		o, err := m.cfg.Access.Get(context.Background(), apiextensions.Definitions, "", crd.Name)
		if err != nil {
			return nil, err
		}
		return o.(*apiextensionsv1.CustomResourceDefinition), nil
	}, m.cfg.Clients)
	if k.stored() == nil || crd.Status.AcceptedNames.Plural == "" {
		return func() {} // validation lets none in
	}
	opening := make(chan struct{})
	s := &serving{crd: crd, opened: sync.OnceFunc(func() { close(opening) })}
	s.ending.Store(ending)
	s.resource = k.resource(s.ending.Load, opening)
	m.served[crd.Name] = s
	m.cfg.Serve(s.resource)
	return s.opened
}

func (m *Manager) now() metav1.Time { return metav1.NewTime(m.cfg.Clock.Now()).Rfc3339Copy() }
