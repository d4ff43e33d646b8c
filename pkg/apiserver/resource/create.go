package resource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/storage"
)

// nameTries is how often a generated name that exists is replaced by another.
const nameTries = 8

// Create stores a new object. obj is decoded and defaulted, and becomes what is stored.
func (s *Store) Create(ctx context.Context, obj Object, w *Write) (Object, error) {
	forgetPast(obj)
	return s.create(ctx, obj, w, func(o Object) (Object, error) { return s.ownedAnew(o, w) })
}

// create runs the rules; own settles field ownership before admission, whose changes nobody owns.
func (s *Store) create(ctx context.Context, obj Object, w *Write, own func(Object) (Object, error)) (Object, error) {
	w.nameOwnersOnce(ctx, obj, "")
	obj, err := own(obj)
	if err != nil {
		return nil, err
	}
	if s.Ending != nil && s.Ending() {
		return nil, apierrors.NewForbidden(s.GroupResource(), w.Name, errors.New("create not allowed while custom resource definition is terminating"))
	}
	if obj, err = s.admit(ctx, w, w.attributes(admission.Create, obj, nil)); err != nil {
		return nil, err
	}
	generated := obj.GetName() == "" && obj.GetGenerateName() != ""
	for try := 1; ; try++ {
		candidate := obj
		if generated {
			obj = obj.DeepCopyObject().(Object) // as it was, for another try
			candidate.SetName(generateName(obj.GetGenerateName()))
		}
		out, err := s.tryCreate(ctx, candidate, w)
		if !generated || !apierrors.IsAlreadyExists(err) || try == nameTries {
			return out, err
		}
	}
}

func (s *Store) tryCreate(ctx context.Context, obj Object, w *Write) (Object, error) {
	s.beginLife(obj, w.Namespace)
	var held allocation
	defer held.end(w)
	if err := s.allocate(ctx, &held, obj, nil, w.DryRun); err != nil {
		return nil, err
	}
	if err := s.prepareAndJudgeNew(ctx, w, obj); err != nil {
		return nil, err
	}
	if s.Complete != nil {
		s.Complete(obj)
	}
	key, err := s.Key(obj.GetNamespace(), obj.GetName())
	if err != nil {
		return nil, err
	}
	if v, err := strconv.ParseUint(obj.GetResourceVersion(), 10, 64); err == nil && v != 0 && !w.DryRun {
		return nil, errors.New("resourceVersion should not be set on objects to be created")
	}
	obj.SetResourceVersion("")
	if w.DryRun {
		switch _, _, err := s.etcd.Get(ctx, key); {
		case err == nil:
			return nil, s.exists(ctx, key, obj)
		case !errors.Is(err, storage.ErrNotFound):
			return nil, s.apiError(err, obj.GetName())
		}
		s.defaultLate(obj)
		return obj, nil
	}
	out, err := s.put(key, obj, w, func(value []byte) (int64, error) { return s.etcd.Create(ctx, key, value, s.ttl(obj)) })
	switch {
	case errors.Is(err, storage.ErrExists):
		return nil, s.exists(ctx, key, obj)
	case err != nil:
		w.unknown = !errors.Is(err, storage.ErrTooLarge)
		return nil, s.apiError(err, obj.GetName())
	}
	held.stood()
	return out, nil
}

// prepareAndJudgeNew is prepareAndJudge for an object that is not there yet.
func (s *Store) prepareAndJudgeNew(ctx context.Context, w *Write, obj Object) error {
	if s.Prepare != nil {
		s.Prepare(ctx, obj, nil)
	}
	if err := s.judge(ctx, obj); err != nil {
		return err
	}
	w.judged = true
	if s.Warn != nil {
		for _, text := range s.Warn(ctx, obj, nil) {
			request.Warn(ctx, text)
		}
	}
	a := w.attributes(admission.Create, obj, nil)
	a.Name = cmp.Or(a.Name, obj.GetName())
	return w.Admission.Validate(ctx, a)
}

// exists words the refusal of a name that is taken, given or made of another; one whose owner is on its way out says so.
func (s *Store) exists(ctx context.Context, key string, obj Object) error {
	refusal := apierrors.NewAlreadyExists(s.GroupResource(), obj.GetName())
	if obj.GetGenerateName() != "" {
		refusal = apierrors.NewGenerateNameConflict(s.GroupResource(), obj.GetName(), 1)
	}
	kv, _, err := s.etcd.Get(ctx, key)
	if err != nil {
		return refusal
	}
	if o, err := s.decode(kv); err == nil && o.GetDeletionTimestamp() != nil {
		refusal.ErrStatus.Message = fmt.Sprintf("object is being deleted: %s", refusal.ErrStatus.Message)
	}
	return refusal
}

// judge refuses a new object with every fault at once.
func (s *Store) judge(ctx context.Context, obj Object) error {
	var errs field.ErrorList
	if s.Validate != nil && s.MetadataLast {
		errs = s.Validate(ctx, obj, nil)
	}
	if len(errs) == 0 {
		errs = s.judgeNewMetadata(obj)
		if s.Validate != nil && !s.MetadataLast {
			errs = append(errs, s.Validate(ctx, obj, nil)...)
		}
	}
	return s.invalid(obj, errs)
}

func (s *Store) invalid(obj Object, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return Invalid(s.Kind.GroupKind(), obj.GetName(), errs)
}
