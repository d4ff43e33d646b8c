package resource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/storage"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// Delete removes an object, or begins its removal where finalizers, a grace period or its kind ask for
// time. It answers the object's last or present state, and whether it is gone.
func (s *Store) Delete(ctx context.Context, w *Write, options *metav1.DeleteOptions) (Object, bool, error) {
	key, err := s.Key(w.Namespace, w.Name)
	if err != nil {
		return nil, false, err
	}
	own := *options
	options = &own
	for live := false; ; live = true {
		old, _, err := s.present(ctx, key, w, live)
		if err != nil {
			return nil, false, err
		}
		w.judged = false // hooks may change what is left
		out, gone, err := s.tryDelete(ctx, key, w, old, options)
		var conflict *storage.ConflictError
		switch {
		case err == nil && !gone && !live && out.GetResourceVersion() == old.GetResourceVersion() && !s.isCurrent(ctx, key, old):
			continue // nothing was written, so that nothing has told whether the state was old
		case err == nil:
			return out, gone, nil
		case errors.As(err, &conflict) && ctx.Err() == nil:
			continue
		case !live && !w.unknown && !s.isCurrent(ctx, key, old):
			continue
		}
		return nil, false, err
	}
}

func (s *Store) tryDelete(ctx context.Context, key string, w *Write, old Object, options *metav1.DeleteOptions) (Object, bool, error) {
	if err := s.deletePreconditions(old, w.Name, options); err != nil {
		return nil, false, err
	}
	revision, err := strconv.ParseInt(old.GetResourceVersion(), 10, 64)
	if err != nil {
		return nil, false, apierrors.NewInternalError(fmt.Errorf("the version of %s: %w", key, err))
	}
	obj := s.copyToDelete(old)
	now, pending, err := s.beginDeletion(ctx, obj, options)
	if err != nil || pending {
		return obj, false, err // what goes on was admitted when it began
	}
	if err := s.admitDeletion(ctx, w, obj, old, options); err != nil {
		return nil, false, err
	}
	if w.DryRun {
		return obj, now, nil
	}
	if !now {
		if sameButTimes(obj, old) {
			return obj, false, nil // on its way already
		}
		if _, err := s.writeDeleted(ctx, key, revision, obj, w); err != nil {
			return nil, false, s.writeError(err, w)
		}
		return obj, false, nil
	}
	var last *watchcache.Entry
	announced := s.Grace != nil && !sameButTimes(obj, old)
	if announced {
		// Who watches a kind that ends gracefully sees that it is deleted before it is gone.
		if revision, err = s.writeDeleted(ctx, key, revision, obj, w); err != nil {
			return nil, false, s.writeError(err, w)
		}
		obj, last, w.Stored = shallow(obj), w.Stored, nil // the cache keeps what was announced; its version is all that changes now
		// Should another write come between, it is still this object that goes, in whatever version.
		uid := old.GetUID()
		options.Preconditions = &metav1.Preconditions{UID: &uid}
	}
	deleted, err := s.etcd.Delete(ctx, key, revision)
	if err != nil {
		err = s.writeError(err, w)
		if announced && apierrors.IsNotFound(err) {
			return obj, true, nil // whom it was announced to was quicker
		}
		return nil, false, err
	}
	s.gone(ctx, obj)
	obj.SetResourceVersion(strconv.FormatInt(deleted, 10))
	if last != nil {
		w.Stored, _ = s.Cached.At(last, deleted)
	}
	return obj, true, nil
}

func (s *Store) admitDeletion(ctx context.Context, w *Write, obj, old Object, options *metav1.DeleteOptions) error {
	a := w.attributes(admission.Delete, nil, old)
	if !w.Unnamed { // of a collection's each object has options of its own, which admission does not see
		a.Options = s.settled(options, obj, old)
	}
	if err := w.Admission.Admit(ctx, a); err != nil {
		return err
	}
	return w.Admission.Validate(ctx, a)
}

// settled are the options of a deletion as admission sees them: with the time that the object is given to end, and, for a
// kind that ends in steps, with the uid that it has.
func (s *Store) settled(options *metav1.DeleteOptions, obj, old Object) *metav1.DeleteOptions {
	shown := options.DeepCopy()
	if s.Grace != nil && old.GetDeletionTimestamp() == nil {
		shown.GracePeriodSeconds = obj.GetDeletionGracePeriodSeconds()
	}
	if uid := old.GetUID(); s.endsInSteps() {
		if shown.Preconditions == nil {
			shown.Preconditions = &metav1.Preconditions{}
		}
		shown.Preconditions.UID = &uid
	}
	return shown
}

// copyToDelete copies an object as far as its deletion changes it.
func (s *Store) copyToDelete(o Object) Object {
	if s.BeforeDelete != nil || s.DefaultedLate {
		return o.DeepCopyObject().(Object)
	}
	return shallow(o) // metadata alone, in which nothing is changed in its place
}

// writeDeleted stores an object that has been marked, and answers its revision.
func (s *Store) writeDeleted(ctx context.Context, key string, revision int64, obj Object, w *Write) (int64, error) {
	if _, err := s.put(key, obj, w, func(value []byte) (int64, error) { return s.rewrite(ctx, key, value, revision, obj) }); err != nil {
		return 0, err
	}
	return strconv.ParseInt(obj.GetResourceVersion(), 10, 64)
}

func (s *Store) deletePreconditions(old Object, name string, options *metav1.DeleteOptions) error {
	p := options.Preconditions
	if p == nil {
		return nil
	}
	conflict := func(what string, want, have any, happened string) error {
		if s.endsInSteps() {
			return apierrors.NewConflict(s.GroupResource(), name, fmt.Errorf("Precondition failed: %s in precondition: %v, %s in object meta: %v", what, want, what, have))
		}
		return apierrors.NewConflict(schema.GroupResource{Group: s.Kind.Group, Resource: s.Kind.Kind}, name,
			fmt.Errorf("the %s in the precondition (%v) does not match the %s in record (%v). The object might have been %s", what, want, what, have, happened))
	}
	if p.UID != nil && *p.UID != old.GetUID() {
		return conflict("UID", *p.UID, old.GetUID(), "deleted and then recreated")
	}
	if p.ResourceVersion != nil && *p.ResourceVersion != old.GetResourceVersion() {
		return conflict("ResourceVersion", *p.ResourceVersion, old.GetResourceVersion(), "modified")
	}
	return nil
}

// endsInSteps says that the kind has a subresource which finishes deletions (namespaces/finalize): it then
// judges preconditions itself, in other words.
func (s *Store) endsInSteps() bool {
	return slices.ContainsFunc(s.Subresources, func(sub Subresource[Object]) bool { return sub.Update != nil && sub.Update.Deletes != nil })
}

// beginDeletion marks an object as on its way out; now says that nothing keeps it, pending that an earlier deletion
// goes on as it is.
func (s *Store) beginDeletion(ctx context.Context, obj Object, options *metav1.DeleteOptions) (now, pending bool, err error) {
	if s.BeforeDelete != nil {
		pending = obj.GetDeletionTimestamp() != nil
		finish, err := s.BeforeDelete(ctx, obj)
		if err == nil && !finish && !pending && s.Held != nil { // of a definition's dependents nothing is noted
			obj.SetFinalizers(s.propagationFinalizers(obj, options))
		}
		if err != nil || !finish {
			return false, pending, err
		}
	}
	graceful, pending := s.beginGrace(obj, options.GracePeriodSeconds)
	if pending {
		return false, true, nil
	}
	obj.SetFinalizers(s.propagationFinalizers(obj, options))
	waits := len(obj.GetFinalizers()) > 0
	if !graceful {
		if waits && obj.GetDeletionTimestamp() == nil {
			s.markDeleted(obj, 0)
		}
		return !waits, false, nil
	}
	return !waits && *obj.GetDeletionGracePeriodSeconds() == 0, false, nil
}

// beginGrace settles how long an object of a kind that ends gracefully may take: graceful says that it is marked with
// a time, pending that the one that it has stands, and that with it all that an earlier deletion asked for.
func (s *Store) beginGrace(obj Object, asked *int64) (graceful, pending bool) {
	if s.Grace == nil {
		return false, false
	}
	if asked != nil && *asked < 0 {
		asked = new(int64(1))
	}
	if obj.GetDeletionTimestamp() == nil {
		s.markDeleted(obj, s.Grace(obj, asked))
		return true, false
	}
	has := obj.GetDeletionGracePeriodSeconds()
	switch {
	case has == nil || *has == 0:
		return false, false
	case asked == nil || *asked >= *has:
		return false, true
	}
	s.shorten(obj, *has, *asked)
	return true, false
}

// markDeleted begins a deletion.
func (s *Store) markDeleted(obj Object, grace int64) {
	t := metav1.NewTime(s.clock.Now().Add(time.Duration(grace) * time.Second)).Rfc3339Copy()
	obj.SetDeletionTimestamp(&t)
	obj.SetDeletionGracePeriodSeconds(&grace)
	if obj.GetGeneration() > 0 {
		obj.SetGeneration(obj.GetGeneration() + 1)
	}
}

// shorten gives an object that is ending less time, counted from when its deletion began. Where that is over the node
// is still left a second to end it in, unless it was asked for none.
func (s *Store) shorten(obj Object, was, grace int64) {
	now := metav1.NewTime(s.clock.Now()).Rfc3339Copy()
	end := metav1.NewTime(obj.GetDeletionTimestamp().Add(time.Duration(grace-was) * time.Second))
	if end.Before(&now) {
		end, grace = now, min(grace, 1)
	}
	obj.SetDeletionTimestamp(&end)
	obj.SetDeletionGracePeriodSeconds(&grace)
}

// NoPropagation is the DefaultPropagation of a kind whose objects never wait for the garbage collector, whatever a
// deletion asks for.
const NoPropagation metav1.DeletionPropagation = "Unsupported"

// propagationFinalizers keeps an object until the garbage collector has treated its dependents as the
// request asks.
func (s *Store) propagationFinalizers(obj Object, options *metav1.DeleteOptions) []string {
	has := obj.GetFinalizers()
	wants := map[string]bool{
		metav1.FinalizerOrphanDependents: s.wantsOrphan(obj, options), metav1.FinalizerDeleteDependents: s.wantsForeground(obj, options),
	}
	kept := slices.DeleteFunc(slices.Clone(has), func(f string) bool {
		wanted, ours := wants[f]
		return ours && !wanted
	})
	for _, f := range []string{metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents} {
		if wants[f] && !slices.Contains(has, f) {
			kept = append(kept, f)
		}
	}
	return kept
}

func (s *Store) wantsOrphan(obj Object, o *metav1.DeleteOptions) bool {
	switch {
	case s.DefaultPropagation == NoPropagation:
		return false
	case o.OrphanDependents != nil:
		return *o.OrphanDependents
	case o.PropagationPolicy != nil:
		return *o.PropagationPolicy == metav1.DeletePropagationOrphan
	case slices.Contains(obj.GetFinalizers(), metav1.FinalizerOrphanDependents):
		return true
	case slices.Contains(obj.GetFinalizers(), metav1.FinalizerDeleteDependents):
		return false
	}
	return s.DefaultPropagation == metav1.DeletePropagationOrphan
}

func (s *Store) wantsForeground(obj Object, o *metav1.DeleteOptions) bool {
	switch {
	case s.DefaultPropagation == NoPropagation:
		return false
	case o.OrphanDependents != nil:
		return s.Held != nil && !*o.OrphanDependents
	case o.PropagationPolicy != nil:
		return *o.PropagationPolicy == metav1.DeletePropagationForeground
	}
	return slices.Contains(obj.GetFinalizers(), metav1.FinalizerDeleteDependents) &&
		!slices.Contains(obj.GetFinalizers(), metav1.FinalizerOrphanDependents)
}
