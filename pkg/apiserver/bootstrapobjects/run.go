package bootstrapobjects

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// writers is how many objects are made at once: a fresh cluster waits for all of them, and etcd puts
// writes that come together on disk together.
const writers = 32

// Config says what is made.
type Config struct {
	Access resource.Access
	// RBAC: roles and bindings are made, as the RBAC mode needs them.
	RBAC bool
	// Trust is published for those who extend the API; nil where the server accepts no certificates.
	Trust *Trust
	Now   func() time.Time
}

// job makes or restores one object.
type job func(context.Context) error

// Ensure makes what is missing and restores what was taken away. It may be called again after an error.
func Ensure(ctx context.Context, cfg Config) error {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	e := &ensurer{cfg}
	// Namespaces come first, then roles, then their bindings: nobody must find a binding to nothing.
	stages := [][]job{e.namespaces()}
	if cfg.RBAC {
		rbac, err := ReadRBAC()
		if err != nil {
			return err
		}
		stages = append(stages, e.roles(rbac), e.bindings(rbac))
	}
	rest, err := e.rest()
	if err != nil {
		return err
	}
	stages = append(stages, rest)
	for _, jobs := range stages {
		if err := run(ctx, jobs); err != nil {
			return err
		}
	}
	return nil
}

func run(ctx context.Context, jobs []job) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writers)
	for _, j := range jobs {
		g.Go(func() error {
			err := j(ctx)
			if errors.Is(err, resource.ErrNotServed) {
				return nil // of what this server does not have, nothing is made
			}
			return err
		})
	}
	return g.Wait()
}

type ensurer struct{ cfg Config }

// missing makes an object where there is none of its name, and leaves one that there is alone.
func (e *ensurer) missing(r schema.GroupResource, obj resource.Object) job {
	return func(ctx context.Context) error {
		_, err := e.find(ctx, r, obj)
		if !apierrors.IsNotFound(err) {
			return err
		}
		return e.create(ctx, r, obj)
	}
}

// find looks into the cache first; only what is not there is worth a read of etcd.
func (e *ensurer) find(ctx context.Context, r schema.GroupResource, obj resource.Object) (resource.Object, error) {
	found, err := e.cfg.Access.Get(ctx, r, obj.GetNamespace(), obj.GetName())
	if apierrors.IsNotFound(err) {
		return e.cfg.Access.GetLive(ctx, r, obj.GetNamespace(), obj.GetName())
	}
	return found, err
}

func (e *ensurer) create(ctx context.Context, r schema.GroupResource, obj resource.Object) error {
	_, err := e.cfg.Access.Create(ctx, r, obj)
	if apierrors.IsAlreadyExists(err) {
		return nil // another server was faster
	}
	if err != nil {
		return fmt.Errorf("making the bootstrap object %s %q: %w", r, obj.GetName(), err)
	}
	return nil
}

// errUnchanged ends an update that has nothing to write.
var errUnchanged = errors.New("unchanged")

// change writes an object where change says true.
func (e *ensurer) change(ctx context.Context, r schema.GroupResource, obj resource.Object, change func(resource.Object) bool) error {
	_, err := e.cfg.Access.Update(ctx, r, "", obj.GetNamespace(), obj.GetName(), func(o resource.Object) error {
		if !change(o) {
			return errUnchanged
		}
		return nil
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return fmt.Errorf("restoring the bootstrap object %s %q: %w", r, obj.GetName(), err)
	}
	return nil
}
