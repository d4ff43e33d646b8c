package ownership

import (
	"cmp"
	"encoding/binary"
	"errors"
	"reflect"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// maxUpdaters is how many managers an object remembers that did not apply; older ones become one.
const maxUpdaters = 10

// ErrEntries says that managed fields are not of the one version at hand, or not as this package writes them.
var ErrEntries = errors.New("managed fields of another form or version")

// Writer is who writes, and what cannot be owned by this kind of write.
type Writer struct {
	Manager     string
	Subresource string
	Version     string           // group and version of the object
	Filter      fieldpath.Filter // leaves out what the write resets; may be nil
	Now         time.Time
}

// owner is a manager and its fields.
type owner struct {
	metav1.ManagedFieldsEntry
	fields *known
}

func (o *owner) is(w *Writer) bool {
	return o.Manager == w.Manager && o.Operation == metav1.ManagedFieldsOperationUpdate && o.APIVersion == w.Version && o.Subresource == w.Subresource
}

// Update gives the managed fields of an object after a write that made it of another: of the one stored, or on
// create of an empty one. managed are those that the write began with; they are not changed. What has none though
// it exists stays without.
func (t *Type) Update(from, to metav1.Object, managed []metav1.ManagedFieldsEntry, w *Writer, sets *Sets) ([]metav1.ManagedFieldsEntry, error) {
	if len(managed) == 0 && from.GetUID() != "" {
		return nil, nil
	}
	owners, err := ownersOf(managed, w.Version, sets)
	if err != nil {
		return nil, err
	}
	c := comparisons.Get().(*comparison)
	defer c.free()
	c.node(t.root, there(reflect.ValueOf(from)), there(reflect.ValueOf(to)))
	if c.err != nil {
		return nil, c.err
	}
	at := slices.IndexFunc(owners, func(o *owner) bool { return o.is(w) })
	done, err := c.outcome(t, owners, endOfUpdate, at, w, sets, func(c *Changes) (*outcome, error) { return c.outcome(owners, w, sets) })
	if err != nil {
		return nil, err
	}
	for i, o := range owners {
		o.fields = done.owners[i]
	}
	owners = take(owners, done.own, w)
	owners = slices.DeleteFunc(owners, func(o *owner) bool { return o.fields.empty })
	if owners, err = capped(owners, sets); err != nil {
		return nil, err
	}
	return entries(owners), nil
}

// comparisons are kept for their buffers.
var comparisons = sync.Pool{New: func() any { return &comparison{} }}

func (c *comparison) free() {
	*c = comparison{path: c.path[:0], at: c.at[:0], trail: c.trail[:0]}
	comparisons.Put(c)
}

// outcome is what the owners have after what the walk has found, computed once for all objects of the type to which
// the same happens: by the end of the trail, which says whether it was updated or applied, and by the owner at a place, -1
// for a new one.
func (c *comparison) outcome(t *Type, owners []*owner, end byte, at int, w *Writer, sets *Sets,
	compute func(*Changes) (*outcome, error)) (*outcome, error) {
	trail := c.trail
	deed := appendText(appendText(append(trail, end), w.Version), w.Subresource)
	deed = binary.AppendVarint(deed, int64(at))
	for _, o := range owners {
		deed = binary.BigEndian.AppendUint64(deed, o.fields.id)
	}
	c.trail = deed // which may have grown
	if done := sets.outcomeOf(t, deed); done != nil {
		return done, nil
	}
	changes, err := changesOf(trail)
	if err != nil {
		return nil, err
	}
	done, err := compute(changes)
	if err == nil {
		sets.keep(t, deed, done)
	}
	return done, err
}

func (c *Changes) outcome(owners []*owner, w *Writer, sets *Sets) (*outcome, error) {
	seen := c.filtered(w.Filter)
	taken := seen.Modified.Union(seen.Added)
	done := &outcome{owners: make([]*known, len(owners))}
	var err error
	for i, o := range owners {
		if done.owners[i], err = o.fields.without(taken, seen.Removed, sets); err != nil {
			return nil, err
		}
	}
	own := c.Modified.Union(c.Added)
	if w.Filter != nil {
		own = w.Filter.Filter(own)
	}
	if own = own.Difference(identity()); own.Empty() {
		return done, nil
	}
	if i := slices.IndexFunc(owners, func(o *owner) bool { return o.is(w) }); i >= 0 && !done.owners[i].empty {
		own = own.Union(done.owners[i].set)
	}
	done.own, err = sets.write(own)
	return done, err
}

func (c *Changes) filtered(f fieldpath.Filter) *Changes {
	if f == nil {
		return c
	}
	return &Changes{Added: f.Filter(c.Added), Modified: f.Filter(c.Modified), Removed: f.Filter(c.Removed)}
}

func ownersOf(managed []metav1.ManagedFieldsEntry, version string, sets *Sets) ([]*owner, error) {
	owners := make([]*owner, 0, len(managed)+1)
	for _, e := range managed {
		if e.APIVersion != version || e.FieldsType != "FieldsV1" || e.Operation != metav1.ManagedFieldsOperationApply && e.Operation != metav1.ManagedFieldsOperationUpdate {
			return nil, ErrEntries
		}
		if slices.ContainsFunc(owners, func(o *owner) bool {
			return o.Manager == e.Manager && o.Operation == e.Operation && o.Subresource == e.Subresource
		}) {
			return nil, ErrEntries
		}
		text := []byte("{}")
		if e.FieldsV1 != nil {
			text = e.FieldsV1.Raw
		}
		fields, err := sets.read(text)
		if err != nil {
			return nil, err
		}
		owners = append(owners, &owner{ManagedFieldsEntry: e, fields: fields})
	}
	return owners, nil
}

// without is what is left when another has written or removed some of it.
func (k *known) without(taken, removed *fieldpath.Set, sets *Sets) (*known, error) {
	set := k.set
	if lost := set.Intersection(taken); !lost.Empty() {
		set = set.Difference(lost)
	}
	if !set.Intersection(removed).Empty() {
		set = set.Difference(removed)
	}
	if set == k.set {
		return k, nil
	}
	return sets.write(set)
}

// take gives the writer its fields; nil for none that would be its own.
func take(owners []*owner, own *known, w *Writer) []*owner {
	if own == nil {
		return owners
	}
	i := slices.IndexFunc(owners, func(o *owner) bool { return o.is(w) })
	if i < 0 {
		i = len(owners)
		owners = append(owners, &owner{ManagedFieldsEntry: metav1.ManagedFieldsEntry{
			Manager: w.Manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: w.Version, Subresource: w.Subresource,
		}})
	}
	owners[i].Time, owners[i].fields = &metav1.Time{Time: w.Now.UTC()}, own
	return owners
}

// identity is what an object is and not what somebody says about it.
var identity = sync.OnceValue(func() *fieldpath.Set {
	return fieldpath.NewSet(
		fieldpath.MakePathOrDie("apiVersion"), fieldpath.MakePathOrDie("kind"), fieldpath.MakePathOrDie("metadata"),
		fieldpath.MakePathOrDie("metadata", "name"), fieldpath.MakePathOrDie("metadata", "namespace"),
		fieldpath.MakePathOrDie("metadata", "creationTimestamp"), fieldpath.MakePathOrDie("metadata", "selfLink"),
		fieldpath.MakePathOrDie("metadata", "uid"), fieldpath.MakePathOrDie("metadata", "clusterName"),
		fieldpath.MakePathOrDie("metadata", "generation"), fieldpath.MakePathOrDie("metadata", "managedFields"),
		fieldpath.MakePathOrDie("metadata", "resourceVersion"),
	)
})

// capped makes one of the oldest managers where there are too many.
func capped(owners []*owner, sets *Sets) ([]*owner, error) {
	var updaters []*owner
	for _, o := range owners {
		if o.Operation == metav1.ManagedFieldsOperationUpdate {
			updaters = append(updaters, o)
		}
	}
	if len(updaters) <= maxUpdaters {
		return owners, nil
	}
	slices.SortFunc(updaters, func(a, b *owner) int {
		return cmp.Or(cmp.Compare(seconds(a.Time), seconds(b.Time)), cmp.Compare(a.Manager, b.Manager), cmp.Compare(a.Subresource, b.Subresource))
	})
	const ancient = "ancient-changes"
	merge := updaters[:len(updaters)-maxUpdaters+1]
	set := merge[0].fields.set
	for _, o := range merge[1:] {
		set = set.Union(o.fields.set)
	}
	fields, err := sets.write(set)
	if err != nil {
		return nil, err
	}
	last := merge[len(merge)-1]
	kept := slices.DeleteFunc(owners, func(o *owner) bool { return slices.Contains(merge, o) })
	return append(kept, &owner{fields: fields, ManagedFieldsEntry: metav1.ManagedFieldsEntry{
		Manager: ancient, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: last.APIVersion, Time: last.Time,
	}}), nil
}

func seconds(t *metav1.Time) int64 {
	if t == nil {
		return 0
	}
	return t.Unix()
}

// entries writes the owners down in the order in which the API shows them.
func entries(owners []*owner) []metav1.ManagedFieldsEntry {
	if len(owners) == 0 {
		return nil
	}
	out := make([]metav1.ManagedFieldsEntry, len(owners))
	for i, o := range owners {
		out[i] = o.ManagedFieldsEntry
		out[i].FieldsType, out[i].FieldsV1 = "FieldsV1", &metav1.FieldsV1{Raw: o.fields.text}
	}
	slices.SortFunc(out, func(a, b metav1.ManagedFieldsEntry) int {
		return cmp.Or(cmp.Compare(a.Operation, b.Operation), cmp.Compare(seconds(a.Time), seconds(b.Time)),
			cmp.Compare(a.Manager, b.Manager), cmp.Compare(a.APIVersion, b.APIVersion), cmp.Compare(a.Subresource, b.Subresource))
	})
	return out
}
