// Package claim decides which objects belong to a controller's object, and makes it so: what its
// selector matches and nobody controls is adopted, what it controls and no longer matches is let go.
package claim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Claim is one owner's claim on objects of type T.
type Claim[T metav1.Object] struct {
	Owner    metav1.Object
	Kind     schema.GroupVersionKind
	Selector labels.Selector
	// Live reads the owner from the apiserver. Before the first adoption it shows whether the owner is
	// still the same and is not being deleted, which a cache may not know yet.
	Live func(ctx context.Context) (metav1.Object, error)
	// Patch applies a strategic merge patch to an object.
	Patch func(ctx context.Context, obj T, patch []byte) (T, error)
}

// Decision is what becomes of one object.
type Decision int

// The decisions.
const (
	Ignore Decision = iota
	Keep
	Adopt
	Release
)

// Decide is the rule. ownerGoing and objGoing: that a deletion has begun.
func Decide(ref *metav1.OwnerReference, owner types.UID, matches, ownerGoing, objGoing bool) Decision {
	switch {
	case ref != nil && ref.UID != owner:
		return Ignore
	case ref != nil && matches:
		return Keep
	case ref != nil && ownerGoing:
		return Ignore
	case ref != nil:
		return Release
	case matches && !ownerGoing && !objGoing:
		return Adopt
	}
	return Ignore
}

// All answers those of list that belong to the owner, after adopting and releasing what must be.
func (c *Claim[T]) All(ctx context.Context, list []T) ([]T, error) {
	var mine []T
	var errs []error
	checked := false
	for _, obj := range list {
		matches := c.Selector.Matches(labels.Set(obj.GetLabels()))
		switch Decide(metav1.GetControllerOfNoCopy(obj), c.Owner.GetUID(), matches, c.Owner.GetDeletionTimestamp() != nil, obj.GetDeletionTimestamp() != nil) {
		case Keep:
			mine = append(mine, obj)
		case Adopt:
			if !checked {
				if err := c.mayAdopt(ctx); err != nil {
					return mine, err
				}
				checked = true
			}
			adopted, err := c.Patch(ctx, obj, c.adoption(obj))
			if err == nil {
				mine = append(mine, adopted)
			} else if !apierrors.IsNotFound(err) {
				errs = append(errs, fmt.Errorf("adopting %s: %w", obj.GetName(), err))
			}
		case Release:
			_, err := c.Patch(ctx, obj, c.release(obj))
			// Invalid: the object has no such owner any more, or its uid is another.
			if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsInvalid(err) {
				errs = append(errs, fmt.Errorf("releasing %s: %w", obj.GetName(), err))
			}
		}
	}
	return mine, errors.Join(errs...)
}

func (c *Claim[T]) mayAdopt(ctx context.Context) error {
	live, err := c.Live(ctx)
	if err != nil {
		return fmt.Errorf("reading %s before it adopts: %w", c.Owner.GetName(), err)
	}
	if live.GetUID() != c.Owner.GetUID() {
		return fmt.Errorf("%s is another now (uid %s, not %s)", c.Owner.GetName(), live.GetUID(), c.Owner.GetUID())
	}
	if live.GetDeletionTimestamp() != nil {
		return fmt.Errorf("%s is being deleted and adopts nothing", c.Owner.GetName())
	}
	return nil
}

func (c *Claim[T]) adoption(obj T) []byte {
	return encode(map[string]any{"metadata": map[string]any{
		"uid":             obj.GetUID(),
		"ownerReferences": []metav1.OwnerReference{*metav1.NewControllerRef(c.Owner, c.Kind)},
	}})
}

func (c *Claim[T]) release(obj T) []byte {
	return encode(map[string]any{"metadata": map[string]any{
		"uid":             obj.GetUID(),
		"ownerReferences": []map[string]any{{"$patch": "delete", "uid": c.Owner.GetUID()}},
	}})
}

// encode cannot fail: patches are maps, strings and API types.
func encode(patch any) []byte {
	data, err := json.Marshal(patch)
	if err != nil {
		panic(err)
	}
	return data
}
