package resource

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/storage"
)

// Change makes a new state from the old one, which it must not change. old is the zero object with no
// resourceVersion where the object does not exist and may be created.
type Change func(ctx context.Context, old Object) (Object, error)

// Update writes a changed object, or only the part that a subresource may change. create lets an object
// that is not there come into being. It answers whether it did.
//
// When another write comes between, the change is made anew on what that one left, unless the client named
// the version it had seen: then it is refused.
func (s *Store) Update(ctx context.Context, w *Write, part *UpdatePart[Object], create bool, change Change) (Object, bool, error) {
	key, err := s.Key(w.Namespace, w.Name)
	if err != nil {
		return nil, false, err
	}
	for live := false; ; live = true {
		old, err := s.current(ctx, key, w, live)
		if apierrors.IsNotFound(err) && create {
			out, err := s.createByUpdate(ctx, w, change)
			if apierrors.IsAlreadyExists(err) && ctx.Err() == nil {
				continue // it came into being meanwhile
			}
			return out, true, err
		}
		if err != nil {
			return nil, false, err
		}
		out, err := s.tryUpdate(ctx, key, w, part, old, change)
		var conflict *storage.ConflictError
		switch {
		case err == nil && !live && (w.DryRun || out == old) && !s.isCurrent(ctx, key, old):
			continue // nothing was written, so that nothing has told whether the state was old
		case err == nil:
			return out, false, nil
		case errors.As(err, &conflict) && ctx.Err() == nil:
			continue
		case !live && !w.unknown && !s.isCurrent(ctx, key, old):
			continue // what was refused was judged by an old state
		}
		return nil, false, err
	}
}

// isCurrent says whether what came from the cache is what etcd holds.
func (s *Store) isCurrent(ctx context.Context, key string, o Object) bool {
	kv, _, err := s.etcd.Get(ctx, key)
	return err == nil && strconv.FormatInt(kv.ModRevision, 10) == o.GetResourceVersion()
}

func (s *Store) createByUpdate(ctx context.Context, w *Write, change Change) (Object, error) {
	obj, err := change(ctx, s.New())
	if err != nil {
		return nil, err
	}
	switch uid := obj.GetUID(); {
	case uid != "" && w.Applied:
		return nil, apierrors.NewConflict(s.GroupResource(), w.Name,
			fmt.Errorf("uid mismatch: the provided object specified uid %s, and no existing object was found", uid))
	case w.UID != "":
		return nil, s.anotherUID(w, "")
	}
	obj.SetResourceVersion("")
	if s.Default != nil {
		s.Default(obj)
	}
	return s.create(ctx, obj, w, func(o Object) (Object, error) { return s.ownedAnew(o, w) })
}

// tryUpdate makes one attempt. A *storage.ConflictError asks for another.
func (s *Store) tryUpdate(ctx context.Context, key string, w *Write, part *UpdatePart[Object], old Object, change Change) (Object, error) {
	revision, err := strconv.ParseInt(old.GetResourceVersion(), 10, 64)
	if err != nil {
		return nil, apierrors.NewInternalError(fmt.Errorf("the version of %s: %w", key, err))
	}
	obj, err := s.changed(ctx, w, part, old, change)
	if err != nil {
		return nil, err
	}
	var held allocation
	defer held.end(w)
	if part == nil {
		if err := s.allocate(ctx, &held, obj, old, w.DryRun); err != nil {
			return nil, err
		}
	}
	if err := s.prepareAndJudge(ctx, w, part, obj, old); err != nil {
		return nil, err
	}
	if s.Complete != nil {
		s.Complete(obj)
	}
	if sameButTimes(obj, old) {
		if obj.SetManagedFields(old.GetManagedFields()); s.isStored(obj, w) {
			held.stands = !w.DryRun
			return old, nil // nothing would change: the version stays
		}
	}
	if w.DryRun {
		s.defaultLate(obj)
		return obj, nil
	}
	if s.finished(obj) && (part == nil || part.Deletes == nil || part.Deletes(obj)) {
		if _, err := s.etcd.Delete(ctx, key, revision); err != nil {
			return nil, s.writeError(err, w)
		}
		held.stands = true
		s.gone(ctx, obj)
		return obj, nil
	}
	out, err := s.put(key, obj, w, func(value []byte) (int64, error) { return s.rewrite(ctx, key, value, revision, obj) })
	if err != nil {
		return nil, s.writeError(err, w)
	}
	held.stood()
	return out, nil
}

// changed makes the new state that the client wants, settles who owns its fields, and lets admission change it.
func (s *Store) changed(ctx context.Context, w *Write, part *UpdatePart[Object], old Object, change Change) (Object, error) {
	if w.UID != "" && w.UID != old.GetUID() {
		return nil, s.anotherUID(w, old.GetUID())
	}
	obj, err := change(ctx, old)
	if err != nil {
		return nil, err
	}
	if s.Default != nil {
		s.Default(obj)
	}
	if obj, err = s.settle(ctx, w, part, obj, old); err != nil {
		return nil, err
	}
	// Admission sees the version that the client named, and may name another.
	return obj, s.precondition(obj, old, w)
}

// writeError lets conflicts through for another attempt.
func (s *Store) writeError(err error, w *Write) error {
	var conflict *storage.ConflictError
	var form *formError
	switch refused := errors.As(err, &conflict); {
	case refused && conflict.Current != nil:
		return err
	case !refused && !errors.Is(err, storage.ErrTooLarge) && !errors.As(err, &form):
		w.unknown = true
	}
	return s.apiError(err, w.Name)
}

// precondition refuses a change that was made from another version than is stored.
func (s *Store) precondition(obj, old Object, w *Write) error {
	seen, have := uint64(0), old.GetResourceVersion()
	if v := obj.GetResourceVersion(); v != "" {
		var err error
		if seen, err = strconv.ParseUint(v, 10, 64); err != nil {
			return err
		}
	}
	switch {
	case seen == 0 && s.StrictUpdate:
		return apierrors.NewInvalid(schema.GroupKind{Group: s.Kind.Group, Kind: s.Plural}, w.Name, field.ErrorList{
			field.Invalid(field.NewPath("metadata").Child("resourceVersion"), 0, "must be specified for an update"),
		})
	case seen != 0 && strconv.FormatUint(seen, 10) != have:
		return s.modified(w.Name)
	}
	obj.SetResourceVersion(have)
	return nil
}

// anotherUID refuses a PUT that means an object that is no longer, or not yet, the one of its name.
func (s *Store) anotherUID(w *Write, have types.UID) error {
	return apierrors.NewConflict(s.GroupResource(), w.Name, fmt.Errorf("StorageError: invalid object, Code: 4, Key: %s, "+
		"ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: %s, UID in object meta: %s",
		s.KeyPrefix(w.Namespace)+w.Name, w.UID, have))
}

// settle settles who owns which fields, and then lets admission change the object: nobody owns what it
// changes.
func (s *Store) settle(ctx context.Context, w *Write, part *UpdatePart[Object], obj, old Object) (Object, error) {
	w.nameOwnersOnce(ctx, obj, "")
	if !w.Applied {
		var err error
		if obj, err = s.owned(old, obj, w); err != nil {
			return nil, err
		}
	}
	return s.admit(ctx, w, w.attributes(admission.Update, obj, old))
}

// brokenOwners is the warning of managedFields that admission has spoilt.
const brokenOwners = ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating admission controller; please fix your requests: %v"

// admit lets admission change an object. It may also say who owns its fields, if what it says can be read.
func (s *Store) admit(ctx context.Context, w *Write, a *admission.Attributes) (Object, error) {
	managed := a.Object.(Object).GetManagedFields()
	if err := w.Admission.Admit(ctx, a); err != nil {
		return nil, err
	}
	obj := a.Object.(Object)
	switch ns := obj.GetNamespace(); {
	case s.ClusterScoped && ns != "":
		obj.SetNamespace("")
	case s.ClusterScoped || ns == w.Namespace:
	case ns == "":
		obj.SetNamespace(w.Namespace)
	default:
		return nil, apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	if s.Fit != nil && a.Passes != nil && a.Passes.Again { // of custom objects goes what their schema does not know
		if _, err := s.Fit(obj, false); err != nil {
			return nil, apierrors.NewInternalError(err)
		}
	}
	if after := obj.GetManagedFields(); !equality.Semantic.DeepEqual(after, managed) {
		if err := managedfields.ValidateManagedFields(after); err != nil {
			obj.SetManagedFields(managed)
			request.Warn(ctx, fmt.Sprintf(brokenOwners, err))
		}
	}
	w.nameOwnersOnce(ctx, obj, afterAdmission)
	if s.Default != nil {
		s.Default(obj)
	}
	return obj, nil
}

func (s *Store) prepareAndJudge(ctx context.Context, w *Write, part *UpdatePart[Object], obj, old Object) error {
	s.keepIdentity(obj, old)
	validate, warn := s.Validate, s.Warn
	if part != nil {
		validate, warn = part.Validate, part.Warn
		if part.Prepare != nil {
			part.Prepare(ctx, obj, old)
		}
	} else if s.Prepare != nil {
		s.Prepare(ctx, obj, old)
	}
	whole := part == nil
	counts := whole || part.Counts
	same := s.Spec != nil && (s.Shares && isOne(s.Spec(obj), s.Spec(old)) || counts && reflect.DeepEqual(s.Spec(obj), s.Spec(old)))
	// Equal quantities are written in several ways, and so is nothing.
	if s.Spec != nil && counts && !same && (s.DistinguishesEmpty || !equality.Semantic.DeepEqual(s.Spec(obj), s.Spec(old))) {
		obj.SetGeneration(old.GetGeneration() + 1)
	}
	w.judged = w.judged && same
	errs := s.judgeChangedMetadata(obj, old, part != nil)
	if validate != nil {
		errs = append(errs, validate(withJudged(ctx, w.judged), obj, old)...)
	}
	if err := s.invalid(obj, errs); err != nil {
		return err
	}
	w.judged = same && (w.judged || whole)
	if warn != nil {
		for _, text := range warn(ctx, obj, old) {
			request.Warn(ctx, text)
		}
	}
	return w.Admission.Validate(ctx, w.attributes(admission.Update, obj, old))
}

// finished says that an object on its way out waits for nothing more.
func (s *Store) finished(o Object) bool {
	if o.GetDeletionTimestamp() == nil || len(o.GetFinalizers()) > 0 || s.Held != nil && s.Held(o) {
		return false
	}
	grace := o.GetDeletionGracePeriodSeconds()
	if s.Grace != nil && grace != nil && *grace > 0 {
		return false
	}
	return true
}

// gone gives back what the object held outside of its key.
func (s *Store) gone(ctx context.Context, o Object) {
	if s.Deleted != nil {
		s.Deleted(context.WithoutCancel(ctx), o)
	}
}
