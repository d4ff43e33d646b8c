package ownership

import (
	"cmp"
	"errors"
	"slices"
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
	c, err := t.Compare(from, to)
	if err != nil {
		return nil, err
	}
	return c.update(managed, w, sets)
}

func (c *Changes) update(managed []metav1.ManagedFieldsEntry, w *Writer, sets *Sets) ([]metav1.ManagedFieldsEntry, error) {
	owners, err := ownersOf(managed, w.Version, sets)
	if err != nil {
		return nil, err
	}
	seen := c.filtered(w.Filter)
	taken := seen.Modified.Union(seen.Added)
	for _, o := range owners {
		if err := o.lose(taken, seen.Removed); err != nil {
			return nil, err
		}
	}
	own := c.Modified.Union(c.Added)
	if w.Filter != nil {
		own = w.Filter.Filter(own)
	}
	if own = own.Difference(identity()); !own.Empty() {
		if owners, err = take(owners, own, w); err != nil {
			return nil, err
		}
	}
	owners = slices.DeleteFunc(owners, func(o *owner) bool { return o.fields.set.Empty() })
	if owners, err = capped(owners); err != nil {
		return nil, err
	}
	return entries(owners), nil
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

// lose takes from an owner what another has written or removed.
func (o *owner) lose(taken, removed *fieldpath.Set) (err error) {
	set := o.fields.set
	if lost := set.Intersection(taken); !lost.Empty() {
		set = set.Difference(lost)
	}
	if !set.Intersection(removed).Empty() {
		set = set.Difference(removed)
	}
	if set != o.fields.set {
		o.fields, err = write(set)
	}
	return err
}

// take gives the writer its fields.
func take(owners []*owner, own *fieldpath.Set, w *Writer) ([]*owner, error) {
	i := slices.IndexFunc(owners, func(o *owner) bool { return o.is(w) })
	if i < 0 {
		i = len(owners)
		owners = append(owners, &owner{ManagedFieldsEntry: metav1.ManagedFieldsEntry{
			Manager: w.Manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: w.Version, Subresource: w.Subresource,
		}})
	} else if !owners[i].fields.set.Empty() {
		own = own.Union(owners[i].fields.set)
	}
	owners[i].Time = &metav1.Time{Time: w.Now.UTC()}
	var err error
	owners[i].fields, err = write(own)
	return owners, err
}

// identity is what an object is and not what somebody says about it.
func identity() *fieldpath.Set {
	return fieldpath.NewSet(
		fieldpath.MakePathOrDie("apiVersion"), fieldpath.MakePathOrDie("kind"), fieldpath.MakePathOrDie("metadata"),
		fieldpath.MakePathOrDie("metadata", "name"), fieldpath.MakePathOrDie("metadata", "namespace"),
		fieldpath.MakePathOrDie("metadata", "creationTimestamp"), fieldpath.MakePathOrDie("metadata", "selfLink"),
		fieldpath.MakePathOrDie("metadata", "uid"), fieldpath.MakePathOrDie("metadata", "clusterName"),
		fieldpath.MakePathOrDie("metadata", "generation"), fieldpath.MakePathOrDie("metadata", "managedFields"),
		fieldpath.MakePathOrDie("metadata", "resourceVersion"),
	)
}

// capped makes one of the oldest managers where there are too many.
func capped(owners []*owner) ([]*owner, error) {
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
	fields, err := write(set)
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
