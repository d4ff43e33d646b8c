// Package plugins holds the admission rules that are built in: one file each, and order.go, the list.
package plugins

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilrand "k8s.io/apimachinery/pkg/util/rand"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/policy"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/webhook"
	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/authz/rbac"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// Config is what the rules need and which of them run.
type Config struct {
	Enable, Disable []string // --enable-admission-plugins, --disable-admission-plugins
	File            string   // --admission-control-config-file
	Access          resource.Access
	Kinds           policy.Kinds
	Authorizer      authz.Authorizer
	Roles           *rbac.Index // nil where RBAC is off: nothing can be escalated then
	// How long pods stay on a node that is not ready, or not reachable, in seconds; 0 stands for 300.
	NotReadySeconds, UnreachableSeconds int64

	Webhooks *webhook.Metrics // nil: what webhooks are asked is not counted
	Policies *policy.Metrics  // nil: what policies say is not counted

	Log logr.Logger
	Now func() time.Time   // nil: time.Now
	Rnd func(n int) string // random part of a name; nil: upstream's alphabet

	ctx     context.Context // what follows the cluster ends with it
	control control         // what File says
	faults  []error         // why rules cannot be built
	rules   admission.Chain // what New has made, once that is done: for what a rule itself creates
}

// refuse keeps the server from starting because of a rule that cannot be built, if it cannot.
func (cfg *Config) refuse(name string, err error) {
	if err != nil {
		cfg.faults = append(cfg.faults, fmt.Errorf("couldn't init admission plugin %q: %w", name, err))
	}
}

func (cfg *Config) complete() {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rnd == nil {
		cfg.Rnd = utilrand.String
	}
	cfg.NotReadySeconds = cmp.Or(cfg.NotReadySeconds, defaultTolerationSeconds)
	cfg.UnreachableSeconds = cmp.Or(cfg.UnreachableSeconds, defaultTolerationSeconds)
}

// New makes the chain of the rules that are on: those on by default, and those asked for, without those
// that are switched off. The check against escalation through RBAC is no plugin that could be switched
// off; it comes last, so that it sees what other rules have changed.
// What follows the cluster ends with ctx.
func New(ctx context.Context, cfg Config) ([]admission.Plugin, error) {
	cfg.ctx = ctx
	cfg.complete()
	if err := cfg.known(); err != nil {
		return nil, err
	}
	var err error
	if cfg.control, err = readControl(cfg.File); err != nil {
		return nil, err
	}
	var chain []admission.Plugin
	for _, e := range order {
		asked := slices.Contains(cfg.Enable, e.name)
		if asked && e.build == nil {
			cfg.Log.Info("An admission plugin has nothing to do: the kinds that it is for are not served", "plugin", e.name)
		}
		if e.build == nil || !e.on && !asked || slices.Contains(cfg.Disable, e.name) {
			continue
		}
		p := e.build(&cfg)
		p.Name = e.name
		chain = append(chain, p)
	}
	if cfg.Roles != nil {
		chain = append(chain, rbacEscalation(&cfg))
	}
	cfg.rules.Plugins = chain
	return chain, errors.Join(cfg.faults...)
}

func (cfg *Config) known() error {
	var errs []error
	for _, name := range slices.Concat(cfg.Enable, cfg.Disable) {
		i := slices.IndexFunc(order, func(e entry) bool { return e.name == name })
		switch {
		case i < 0:
			errs = append(errs, fmt.Errorf("admission plugin %q is unknown; known are %s", name, strings.Join(names(), ", ")))
		case order[i].build == nil && slices.Contains(cfg.Enable, name) && !order[i].on:
			errs = append(errs, fmt.Errorf("admission plugin %q is not built into this server; take it out of --enable-admission-plugins", name))
		case slices.Contains(cfg.Enable, name) && slices.Contains(cfg.Disable, name):
			errs = append(errs, fmt.Errorf("admission plugin %q is both enabled and disabled", name))
		}
	}
	return errors.Join(errs...)
}

func names() []string {
	out := make([]string, 0, len(order))
	for _, e := range order {
		out = append(out, e.name)
	}
	slices.Sort(out)
	return out
}

// find reads from the cache, and from etcd where the cache does not know the object: it may be a moment
// behind a client that has just written it.
func find[T resource.Object](ctx context.Context, access resource.Access, r schema.GroupResource, namespace, name string) (T, error) {
	var none T
	obj, err := access.Get(ctx, r, namespace, name)
	if apierrors.IsNotFound(err) {
		obj, err = access.GetLive(ctx, r, namespace, name)
	}
	if errors.Is(err, resource.ErrNotServed) {
		err = apierrors.NewNotFound(r, name)
	}
	if err != nil {
		return none, err
	}
	t, ok := obj.(T)
	if !ok {
		return none, fmt.Errorf("%s %q is stored as %T", r, name, obj)
	}
	return t, nil
}

// list reads all objects of a kind from the cache.
func list[T resource.Object](ctx context.Context, access resource.Access, r schema.GroupResource, namespace string) ([]T, error) {
	objs, err := access.List(ctx, r, namespace)
	if errors.Is(err, resource.ErrNotServed) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := make([]T, 0, len(objs))
	for _, o := range objs {
		if t, ok := o.(T); ok {
			out = append(out, t)
		}
	}
	return out, nil
}
