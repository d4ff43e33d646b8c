// Package garbagecollector deletes objects whose owners are gone, and carries out the three ways in
// which an owner can go: in the background, after its dependents (foreground), or without them (orphan).
package garbagecollector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/sampan-project/sampan/pkg/controller"
)

type reconciler struct {
	*controller.Loop[types.UID]
	env    *controller.Env
	meta   metadata.Interface
	events record.EventRecorder
	graph  *graph
	kinds  *kinds

	mu     sync.Mutex
	absent map[ownerKey]time.Time // owners that were lately found not to exist
}

// ownerKey: a uid names an owner only together with where the dependent looks for it.
type ownerKey struct {
	uid       types.UID
	namespace string
	kind      string
	name      string
}

// absentFor is how long an owner that does not exist need not be asked for again. Uids do not come back.
const absentFor = 10 * time.Minute

// New makes the controller. Its keys are uids.
func New(env *controller.Env, workers int) (controller.Runner, error) {
	r := &reconciler{env: env, meta: env.Metadata, events: env.Events("garbage-collector-controller"), graph: newGraph(), absent: map[ownerKey]time.Time{}}
	r.kinds = &kinds{
		env: env, meta: env.Metadata, handle: r.handler, now: make(chan struct{}, 1),
		byKind: map[schema.GroupKind]map[string]kindInfo{}, followed: map[schema.GroupVersionResource]followed{},
	}
	r.Loop = controller.New(env, "garbage_collector_attempt_to_delete", workers, r.reconcile)
	r.NeedsSynced(r.kinds.hasSynced)
	return controller.Group{r.kinds, r.Loop}, nil
}

func (r *reconciler) handler(kind schema.GroupVersionKind, resource schema.GroupVersionResource) cache.ResourceEventHandler {
	apiVersion, name := kind.ToAPIVersionAndKind()
	definitions := resource.GroupResource() == schema.GroupResource{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"}
	set := func(obj any) {
		if o, ok := obj.(metav1.Object); ok {
			r.addAll(r.graph.set(seen{resource, apiVersion, name, o}))
		}
		if definitions {
			r.kinds.ask()
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, obj any) { set(obj) },
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if o, ok := obj.(metav1.Object); ok {
				r.addAll(r.graph.remove(o.GetUID()))
			}
			if definitions {
				r.kinds.ask()
			}
		},
	}
}

func (r *reconciler) addAll(list []types.UID) {
	for _, uid := range list {
		r.Add(uid)
	}
}

func (r *reconciler) reconcile(ctx context.Context, uid types.UID) (controller.Result, error) {
	v, dependents, ok := r.graph.view(uid)
	if !ok || v.virtual {
		return controller.Result{}, nil // dependents of a virtual owner are looked at themselves
	}
	if v.deleting && !v.foreground && !v.orphaning || r.graph.settled(&v) {
		return controller.Result{}, nil
	}
	client := r.meta.Resource(v.resource).Namespace(v.namespace)
	live, err := client.Get(ctx, v.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && live.UID != uid {
		r.addAll(r.graph.remove(uid)) // its deletion's event is on the way or was missed
		return controller.Result{}, nil
	} else if err != nil {
		return controller.Result{}, fmt.Errorf("reading %s %s/%s: %w", v.kind, v.namespace, v.name, err)
	}
	switch {
	case live.DeletionTimestamp != nil && slices.Contains(live.Finalizers, metav1.FinalizerOrphanDependents):
		return controller.Result{}, r.orphan(ctx, &v, live, dependents)
	case live.DeletionTimestamp != nil && slices.Contains(live.Finalizers, metav1.FinalizerDeleteDependents):
		return controller.Result{}, r.awaitDependents(ctx, &v, live, dependents)
	case live.DeletionTimestamp != nil:
		return controller.Result{}, nil
	}
	return controller.Result{}, r.judge(ctx, &v, live, dependents)
}

// orphan frees the dependents and then lets the owner go.
func (r *reconciler) orphan(ctx context.Context, v *vertex, live *metav1.PartialObjectMetadata, dependents []vertex) error {
	var errs []error
	for i := range dependents {
		if err := r.dropOwners(ctx, &dependents[i], v.uid); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("freeing the dependents of %s %s/%s: %w", v.kind, v.namespace, v.name, err)
	}
	return r.dropFinalizer(ctx, v, live, metav1.FinalizerOrphanDependents)
}

// awaitDependents lets the owner go when no dependent holds it up, and else has those looked at.
func (r *reconciler) awaitDependents(ctx context.Context, v *vertex, live *metav1.PartialObjectMetadata, dependents []vertex) error {
	blocked := false
	for i := range dependents {
		if dependents[i].blocks(v.uid) {
			blocked = true
		}
		if !dependents[i].deleting {
			r.Add(dependents[i].uid)
		}
	}
	if blocked {
		return nil
	}
	return r.dropFinalizer(ctx, v, live, metav1.FinalizerDeleteDependents)
}

// judge deletes an object none of whose owners lives, or frees it of those that do not.
func (r *reconciler) judge(ctx context.Context, v *vertex, live *metav1.PartialObjectMetadata, dependents []vertex) error {
	if len(live.OwnerReferences) == 0 {
		return nil
	}
	solid := 0
	var gone, waiting []types.UID
	for _, ref := range live.OwnerReferences {
		owner, err := r.owner(ctx, v, ref)
		switch {
		case err != nil:
			return err
		case owner == nil:
			gone = append(gone, ref.UID)
		case owner.DeletionTimestamp != nil && slices.Contains(owner.Finalizers, metav1.FinalizerDeleteDependents):
			waiting = append(waiting, ref.UID)
		default:
			solid++
		}
	}
	switch {
	case solid > 0 && len(gone)+len(waiting) == 0:
		return nil
	case solid > 0:
		return r.dropOwners(ctx, v, append(gone, waiting...)...)
	case len(waiting) > 0 && len(dependents) > 0:
		for i := range dependents {
			if dependents[i].foreground { // a circle of owners that wait for each other would wait for ever
				if err := r.unblock(ctx, v, live); err != nil {
					return err
				}
				break
			}
		}
		return r.delete(ctx, v, live, metav1.DeletePropagationForeground)
	case slices.Contains(live.Finalizers, metav1.FinalizerOrphanDependents):
		return r.delete(ctx, v, live, metav1.DeletePropagationOrphan)
	case slices.Contains(live.Finalizers, metav1.FinalizerDeleteDependents):
		return r.delete(ctx, v, live, metav1.DeletePropagationForeground)
	}
	return r.delete(ctx, v, live, metav1.DeletePropagationBackground)
}

// owner reads an owner where the dependent's reference says that it is; nil: there is none.
func (r *reconciler) owner(ctx context.Context, v *vertex, ref metav1.OwnerReference) (*metav1.PartialObjectMetadata, error) {
	info, err := r.kinds.find(schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind))
	if err != nil {
		r.kinds.ask()
		return nil, fmt.Errorf("the owner of %s %s/%s is of an unknown kind, so that it is left alone: %w", v.kind, v.namespace, v.name, err)
	}
	key := ownerKey{uid: ref.UID, kind: ref.APIVersion + "/" + ref.Kind, name: ref.Name}
	if info.namespaced {
		if v.namespace == "" {
			r.warn(v, ref)
			// A namespaced owner of an object of the cluster cannot be found: whether it lives is not known.
			return &metav1.PartialObjectMetadata{}, nil
		}
		key.namespace = v.namespace
	}
	if r.isAbsent(key) {
		return nil, nil
	}
	owner, err := r.meta.Resource(info.resource).Namespace(key.namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && owner.UID != ref.UID {
		if known, _, ok := r.graph.view(ref.UID); ok && !known.virtual && known.namespace != key.namespace && known.namespace != "" {
			r.warn(v, ref)
		}
		r.noteAbsent(key)
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading owner %s %s/%s: %w", ref.Kind, key.namespace, ref.Name, err)
	}
	return owner, nil
}

func (r *reconciler) warn(v *vertex, ref metav1.OwnerReference) {
	object := &corev1.ObjectReference{APIVersion: v.apiVersion, Kind: v.kind, Namespace: v.namespace, Name: v.name, UID: v.uid}
	r.events.Eventf(object, corev1.EventTypeWarning, "OwnerRefInvalidNamespace", "ownerRef [%s/%s, namespace: %s, name: %s, uid: %s] does not exist in namespace %q",
		ref.APIVersion, ref.Kind, v.namespace, ref.Name, ref.UID, v.namespace)
}

func (r *reconciler) isAbsent(k ownerKey) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.absent[k]
	return ok && r.env.Clock.Since(at) < absentFor
}

func (r *reconciler) noteAbsent(k ownerKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.env.Clock.Now()
	if len(r.absent) >= 500 {
		for key, at := range r.absent {
			if now.Sub(at) >= absentFor || len(r.absent) >= 500 {
				delete(r.absent, key)
			}
		}
	}
	r.absent[k] = now
}

func (r *reconciler) delete(ctx context.Context, v *vertex, live *metav1.PartialObjectMetadata, policy metav1.DeletionPropagation) error {
	err := r.meta.Resource(v.resource).Namespace(v.namespace).Delete(ctx, v.name, metav1.DeleteOptions{
		PropagationPolicy: &policy, Preconditions: &metav1.Preconditions{UID: &v.uid, ResourceVersion: &live.ResourceVersion},
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting %s %s/%s, whose owners are gone: %w", v.kind, v.namespace, v.name, err)
	}
	return nil
}

// patch changes metadata, on the condition that the object is still as it was read.
func (r *reconciler) patch(ctx context.Context, v *vertex, live *metav1.PartialObjectMetadata, fields map[string]any) error {
	fields["uid"], fields["resourceVersion"] = live.UID, live.ResourceVersion
	data, err := json.Marshal(map[string]any{"metadata": fields})
	if err != nil {
		return fmt.Errorf("encoding a patch: %w", err)
	}
	_, err = r.meta.Resource(v.resource).Namespace(v.namespace).Patch(ctx, v.name, types.MergePatchType, data, metav1.PatchOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("patching %s %s/%s: %w", v.kind, v.namespace, v.name, err)
	}
	return nil
}

func (r *reconciler) dropFinalizer(ctx context.Context, v *vertex, live *metav1.PartialObjectMetadata, name string) error {
	left := slices.DeleteFunc(slices.Clone(live.Finalizers), func(f string) bool { return f == name })
	return r.patch(ctx, v, live, map[string]any{"finalizers": left})
}

// dropOwners removes references to owners from an object.
func (r *reconciler) dropOwners(ctx context.Context, v *vertex, owners ...types.UID) error {
	live, err := r.meta.Resource(v.resource).Namespace(v.namespace).Get(ctx, v.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && live.UID != v.uid {
		return nil
	} else if err != nil {
		return fmt.Errorf("reading %s %s/%s: %w", v.kind, v.namespace, v.name, err)
	}
	left := slices.DeleteFunc(slices.Clone(live.OwnerReferences), func(o metav1.OwnerReference) bool { return slices.Contains(owners, o.UID) })
	if len(left) == len(live.OwnerReferences) {
		return nil
	}
	return r.patch(ctx, v, live, map[string]any{"ownerReferences": left})
}

// unblock makes the object hold up none of its owners any more.
func (r *reconciler) unblock(ctx context.Context, v *vertex, live *metav1.PartialObjectMetadata) error {
	refs := slices.Clone(live.OwnerReferences)
	for i := range refs {
		refs[i].BlockOwnerDeletion = nil
	}
	if err := r.patch(ctx, v, live, map[string]any{"ownerReferences": refs}); err != nil {
		return err
	}
	again, err := r.meta.Resource(v.resource).Namespace(v.namespace).Get(ctx, v.name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading %s %s/%s: %w", v.kind, v.namespace, v.name, err)
	}
	*live = *again
	return nil
}
