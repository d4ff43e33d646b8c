package ownership

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// ErrNotOrdinary says that an apply is for the library: it has a fault that must be told, meets a conflict, gives up
// fields that it had, or holds what the library treats in ways of its own.
var ErrNotOrdinary = errors.New("not an ordinary apply")

// Apply merges what w wants, an object of the same kind and version as YAML decodes it, into obj, and settles who owns
// what. obj is a copy of the live object, or a new one that does not exist yet; after an error it may be changed in
// part.
func (t *Type) Apply(obj metav1.Object, wanted map[string]any, w *Writer, force bool, sets *Sets) error {
	managed := obj.GetManagedFields()
	if len(managed) == 0 && obj.GetUID() != "" {
		return ErrNotOrdinary // what it has becomes the fields of a manager of its own
	}
	owners, err := ownersOf(managed, w.Version, sets)
	if err != nil {
		return err
	}
	m := merges.Get().(*merge)
	defer m.free()
	v := reflect.ValueOf(obj)
	if err := m.node(t.root, v, true, wanted); err != nil {
		return err
	}
	at := slices.IndexFunc(owners, func(o *owner) bool {
		return o.Manager == w.Manager && o.Operation == metav1.ManagedFieldsOperationApply && o.Subresource == w.Subresource
	})
	done, err := m.outcome(t, owners, endOfApply, at, w, sets, func(c *Changes) (*outcome, error) {
		return c.applied(t, owners, at, w, sets)
	})
	if err != nil {
		return err
	}
	if done.beyond || done.conflict && !force {
		return ErrNotOrdinary
	}
	obj.SetManagedFields(entries(applied(owners, at, done, m.changed, w)))
	return nil
}

// applied gives the owners what they have after an apply by the one at a place, -1 for a new one.
func applied(owners []*owner, at int, done *outcome, changed bool, w *Writer) []*owner {
	for i, o := range owners {
		o.fields = done.owners[i]
	}
	if at < 0 && done.own != nil {
		at = len(owners)
		owners = append(owners, &owner{ManagedFieldsEntry: metav1.ManagedFieldsEntry{
			Manager: w.Manager, Operation: metav1.ManagedFieldsOperationApply, APIVersion: w.Version, Subresource: w.Subresource,
		}})
	}
	if done.own != nil {
		owners[at].fields = done.own
		if changed {
			owners[at].Time = &metav1.Time{Time: w.Now.UTC()}
		}
	}
	return slices.DeleteFunc(owners, func(o *owner) bool { return o.fields.empty })
}

// merges are kept for their buffers.
var merges = sync.Pool{New: func() any { return &merge{} }}

func (m *merge) free() {
	*m = merge{comparison: comparison{path: m.path[:0], at: m.at[:0], trail: m.trail[:0]}}
	merges.Put(m)
}

// applied says what the owners have after an apply by the one at a place.
func (c *Changes) applied(t *Type, owners []*owner, at int, w *Writer, sets *Sets) (*outcome, error) {
	own := c.Owned
	if w.Filter != nil {
		own = w.Filter.Filter(own)
	}
	seen := c.filtered(w.Filter)
	taken := seen.Modified.Union(seen.Added)
	done := &outcome{owners: make([]*known, len(owners))}
	for i, o := range owners {
		switch other, err := typed.ReconcileFieldSetWithSchema(o.fields.set, t.schema); {
		case err != nil:
			return nil, fmt.Errorf("the managed fields of %s: %w", o.Manager, err)
		case other != nil: // written by another version, for which something else was atomic
			return &outcome{beyond: true}, nil
		}
		if done.owners[i] = o.fields; i == at {
			if !o.fields.set.Difference(own).Empty() {
				return &outcome{beyond: true}, nil // what it gives up may have to go
			}
			continue
		}
		var err error
		if done.owners[i], err = o.fields.without(taken, fieldpath.NewSet(), sets); err != nil {
			return nil, err
		}
		done.conflict = done.conflict || done.owners[i] != o.fields
	}
	var err error
	if done.own, err = sets.write(own.Difference(identity())); err != nil {
		return nil, err
	}
	if done.own.empty && at < 0 {
		done.own = nil
	}
	return done, nil
}
