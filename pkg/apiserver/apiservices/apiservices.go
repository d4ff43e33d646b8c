// Package apiservices keeps the objects that say who serves which group version: one for each that this server
// serves itself, built in or defined by users, and for those of other servers whether they can be reached.
package apiservices

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	apiregistrationv1 "github.com/sampan-project/sampan/api/apiregistration/v1"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// The label of the objects that are kept here, and its values: made at each start, and kept always.
const (
	managedLabel = "kube-aggregator.kubernetes.io/automanaged"
	onStart      = "onstart"
	always       = "true"
)

// The place that groups of custom resources have among others.
const (
	customGroupPriority   = 1000
	customVersionPriority = 100
)

// retry is how long what failed waits for its next try.
const retry = time.Second

// Objects names the resource.
var Objects = schema.GroupResource{Group: apiregistrationv1.GroupName, Resource: "apiservices"}

var (
	definitions = schema.GroupResource{Group: apiextensionsv1.GroupName, Resource: "customresourcedefinitions"}
	services    = schema.GroupResource{Resource: "services"}
	endpoints   = schema.GroupResource{Group: discoveryv1.GroupName, Resource: "endpointslices"}
)

// Local is a group version that is built in.
type Local struct {
	Group, Version                 string
	GroupPriority, VersionPriority int32
}

// Config is what is kept, and with what.
type Config struct {
	Access resource.Access
	Locals []Local
	// Changed is called when an object has changed.
	Changed func()
	Clock   clock.WithTicker
	Log     logr.Logger
}

// Keeper keeps the objects.
type Keeper struct {
	Config

	mu      sync.Mutex
	defined map[string][]Local // what each established definition serves, for definitions are large to read again
}

// New makes a Keeper.
func New(cfg Config) *Keeper { return &Keeper{Config: cfg, defined: map[string][]Local{}} }

func (l Local) object(managed string) *apiregistrationv1.APIService {
	return &apiregistrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: l.Version + "." + l.Group, Labels: map[string]string{managedLabel: managed}},
		Spec: apiregistrationv1.APIServiceSpec{Group: l.Group, Version: l.Version,
			GroupPriorityMinimum: l.GroupPriority, VersionPriority: l.VersionPriority},
	}
}

// EnsureLocals makes the objects of what is built in, and restores them where nobody has taken them over. They
// are written at once: etcd puts what comes together on disk together.
func (k *Keeper) EnsureLocals(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range k.Locals {
		g.Go(func() error { return k.ensure(ctx, l.object(onStart)) })
	}
	return g.Wait()
}

var errUnchanged = errors.New("unchanged")

func (k *Keeper) ensure(ctx context.Context, want *apiregistrationv1.APIService) error {
	have, err := k.Access.Get(ctx, Objects, "", want.Name)
	if apierrors.IsNotFound(err) {
		if _, err = k.Access.Create(ctx, Objects, want); err == nil {
			return nil
		}
		if !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("making the APIService %q: %w", want.Name, err)
		}
		return nil
	}
	if err != nil || !outdated(have.(*apiregistrationv1.APIService), want) {
		return err
	}
	_, err = k.Access.Update(ctx, Objects, "", "", want.Name, func(o resource.Object) error {
		have := o.(*apiregistrationv1.APIService)
		if !outdated(have, want) {
			return errUnchanged
		}
		have.Spec = *want.Spec.DeepCopy()
		have.Labels[managedLabel] = want.Labels[managedLabel]
		return nil
	})
	if err != nil && !errors.Is(err, errUnchanged) && !apierrors.IsNotFound(err) {
		return fmt.Errorf("restoring the APIService %q: %w", want.Name, err)
	}
	return nil
}

// outdated says whether an object that is still kept here is not as it should be.
func outdated(have, want *apiregistrationv1.APIService) bool {
	managed := have.Labels[managedLabel]
	if managed != onStart && managed != always {
		return false
	}
	s := have.Spec
	return s.Service != nil || s.Group != want.Spec.Group || s.Version != want.Spec.Version ||
		s.GroupPriorityMinimum != want.Spec.GroupPriorityMinimum || s.VersionPriority != want.Spec.VersionPriority
}

// Run keeps the objects of custom resources and the conditions, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	wake := func(resource.Object, resource.Object) {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	for r, f := range map[schema.GroupResource]func(obj, gone resource.Object){
		services: wake, endpoints: wake,
		definitions: func(obj, gone resource.Object) {
			if k.learn(obj, gone) {
				wake(obj, gone)
			}
		},
		Objects: func(obj, gone resource.Object) {
			k.Changed()
			wake(obj, gone)
		},
	} {
		synced, err := k.Access.Follow(ctx, r, f)
		if err != nil {
			return fmt.Errorf("following %s: %w", r, err)
		}
		select {
		case <-synced:
		case <-ctx.Done():
			return nil
		}
	}
	for {
		var again <-chan time.Time
		if err := errors.Join(k.custom(ctx), k.conditions(ctx)); err != nil && ctx.Err() == nil {
			k.Log.Error(err, "Keeping APIServices; will be tried again")
			again = k.Clock.After(retry)
		}
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
			return nil
		}
	}
}

// custom makes the objects of custom resources' group versions, and removes those of ones that are no longer served.
func (k *Keeper) custom(ctx context.Context) error {
	wanted := k.wanted()
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if err := k.ensure(ctx, wanted[name]); err != nil {
			return err
		}
	}
	all, err := k.Access.List(ctx, Objects, "")
	if err != nil {
		return err
	}
	for _, o := range all {
		if o.GetLabels()[managedLabel] != always || wanted[o.GetName()] != nil {
			continue
		}
		uid := o.GetUID()
		err := k.Access.Delete(ctx, Objects, "", o.GetName(), &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("removing the APIService %q: %w", o.GetName(), err)
		}
	}
	return nil
}

// learn takes note of what a definition serves, and says whether that is news.
func (k *Keeper) learn(obj, gone resource.Object) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if obj == nil {
		_, had := k.defined[gone.GetName()]
		delete(k.defined, gone.GetName())
		return had
	}
	d, is := obj.(*apiextensionsv1.CustomResourceDefinition)
	if !is {
		return false
	}
	var serves []Local
	if slices.ContainsFunc(d.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
		return c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
	}) {
		for _, v := range d.Spec.Versions {
			if l := (Local{d.Spec.Group, v.Name, customGroupPriority, customVersionPriority}); v.Served && !k.builtIn(l) {
				serves = append(serves, l)
			}
		}
	}
	if slices.Equal(serves, k.defined[d.Name]) {
		return false
	}
	k.defined[d.Name] = serves
	return true
}

// wanted gives the objects of the group versions that established definitions serve, by name.
func (k *Keeper) wanted() map[string]*apiregistrationv1.APIService {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := map[string]*apiregistrationv1.APIService{}
	for _, serves := range k.defined {
		for _, l := range serves {
			out[l.Version+"."+l.Group] = l.object(always)
		}
	}
	return out
}

func (k *Keeper) builtIn(l Local) bool {
	return slices.ContainsFunc(k.Locals, func(b Local) bool { return b.Group == l.Group && b.Version == l.Version })
}
