// Package history keeps a workload's former templates as ControllerRevisions, by which a rollout knows
// which pods are new and an undo what to go back to.
package history

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/kubernetes"
	appslisters "k8s.io/client-go/listers/apps/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/claim"
)

// Subject is what a history is of.
type Subject struct {
	Object     metav1.Object
	GVK        schema.GroupVersionKind
	Selector   labels.Selector
	Template   *corev1.PodTemplateSpec
	Limit      *int32
	Collisions *int32 // the status's collisionCount
	HashLabel  string // label under which a revision names its hash
	Live       func(ctx context.Context) (metav1.Object, error)
}

// Keeper reads and writes histories.
type Keeper struct {
	Client kubernetes.Interface
	Lister appslisters.ControllerRevisionLister
	Store  cache.Store
	Writes *controller.Writes[controller.Key]
}

// Data is the patch that, applied to the subject, brings a template back.
func Data(template *corev1.PodTemplateSpec) ([]byte, error) {
	raw, err := json.Marshal(template)
	if err != nil {
		return nil, fmt.Errorf("encoding a pod template: %w", err)
	}
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, fmt.Errorf("reading a pod template back: %w", err)
	}
	fields["$patch"] = "replace"
	data, err := json.Marshal(map[string]any{"spec": map[string]any{"template": fields}})
	if err != nil {
		return nil, fmt.Errorf("encoding a revision: %w", err)
	}
	return data, nil
}

// Hash names data.
func Hash(data []byte, collisions *int32) string {
	h := fnv.New32()
	h.Write(data)
	if collisions != nil {
		h.Write([]byte(strconv.Itoa(int(*collisions))))
	}
	return rand.SafeEncodeString(strconv.FormatUint(uint64(h.Sum32()), 10))
}

// Sync answers the subject's current revision, which is made or raised to be the newest where needed, and
// the older ones, the oldest first. collided: the name is taken by other data and collisionCount must be raised.
func (k *Keeper) Sync(ctx context.Context, s *Subject) (current *appsv1.ControllerRevision, old []*appsv1.ControllerRevision, collided bool, err error) {
	list, err := k.claim(ctx, s)
	if err != nil {
		return nil, nil, false, err
	}
	data, err := Data(s.Template)
	if err != nil {
		return nil, nil, false, err
	}
	slices.SortFunc(list, func(a, b *appsv1.ControllerRevision) int {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision), a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	next := int64(1)
	for _, r := range list {
		if next <= r.Revision {
			next = r.Revision + 1
		}
		if sameData(r.Data.Raw, data) {
			current = r
		}
	}
	old = slices.DeleteFunc(list, func(r *appsv1.ControllerRevision) bool { return r == current })
	switch {
	case current == nil:
		current, collided, err = k.create(ctx, s, data, next)
	case current.Revision != next-1:
		current, err = k.raise(ctx, s, current, next)
	}
	return current, old, collided, err
}

// sameData compares as values: field order and white space do not matter.
func sameData(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	p, errX := json.Marshal(x)
	q, errY := json.Marshal(y)
	return errX == nil && errY == nil && bytes.Equal(p, q)
}

func (k *Keeper) create(ctx context.Context, s *Subject, data []byte, number int64) (*appsv1.ControllerRevision, bool, error) {
	hash := Hash(data, s.Collisions)
	l := map[string]string{s.HashLabel: hash}
	maps.Copy(l, s.Template.Labels)
	l[s.HashLabel] = hash
	r := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Name: s.Object.GetName() + "-" + hash, Namespace: s.Object.GetNamespace(), Labels: l, Annotations: annotations(s.Object),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(s.Object, s.GVK)},
		},
		Data: runtime.RawExtension{Raw: data}, Revision: number,
	}
	made, err := k.Client.AppsV1().ControllerRevisions(r.Namespace).Create(ctx, r, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		live, err := k.Client.AppsV1().ControllerRevisions(r.Namespace).Get(ctx, r.Name, metav1.GetOptions{})
		if err != nil {
			return nil, false, fmt.Errorf("reading revision %s, whose name is taken: %w", r.Name, err)
		}
		if metav1.IsControlledBy(live, s.Object) && sameData(live.Data.Raw, data) {
			return live, false, nil
		}
		return nil, true, fmt.Errorf("the name %s belongs to another template", r.Name)
	} else if err != nil {
		return nil, false, fmt.Errorf("creating revision %s: %w", r.Name, err)
	}
	k.Writes.Wrote(controller.KeyOf(s.Object), k.Store, made)
	return made, false, nil
}

func annotations(o metav1.Object) map[string]string {
	result := map[string]string{}
	maps.Copy(result, o.GetAnnotations())
	return result
}

func (k *Keeper) raise(ctx context.Context, s *Subject, r *appsv1.ControllerRevision, number int64) (*appsv1.ControllerRevision, error) {
	r = r.DeepCopy()
	r.Revision = number
	written, err := k.Client.AppsV1().ControllerRevisions(r.Namespace).Update(ctx, r, metav1.UpdateOptions{})
	if err != nil {
		return nil, fmt.Errorf("raising revision %s: %w", r.Name, err)
	}
	k.Writes.Wrote(controller.KeyOf(s.Object), k.Store, written)
	return written, nil
}

// CleanUp deletes the oldest revisions beyond the limit, but for those that live names (hashes of pods).
func (k *Keeper) CleanUp(ctx context.Context, s *Subject, old []*appsv1.ControllerRevision, live map[string]bool) error {
	excess := len(old) - int(ptr.Deref(s.Limit, 10))
	for _, r := range old {
		if excess <= 0 {
			return nil
		}
		if live[r.Labels[s.HashLabel]] || live[r.Name] {
			continue
		}
		err := k.Client.AppsV1().ControllerRevisions(r.Namespace).Delete(ctx, r.Name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("deleting revision %s: %w", r.Name, err)
		}
		k.Writes.Deleted(controller.KeyOf(s.Object), k.Store, r)
		excess--
	}
	return nil
}

func (k *Keeper) claim(ctx context.Context, s *Subject) ([]*appsv1.ControllerRevision, error) {
	list, err := k.Lister.ControllerRevisions(s.Object.GetNamespace()).List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("listing revisions: %w", err)
	}
	return (&claim.Claim[*appsv1.ControllerRevision]{
		Owner: s.Object, Kind: s.GVK, Selector: s.Selector, Live: s.Live,
		Patch: func(ctx context.Context, r *appsv1.ControllerRevision, patch []byte) (*appsv1.ControllerRevision, error) {
			written, err := k.Client.AppsV1().ControllerRevisions(r.Namespace).Patch(ctx, r.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
			if err == nil {
				k.Writes.Wrote(controller.KeyOf(s.Object), k.Store, written)
			}
			return written, err
		},
	}).All(ctx, list)
}
