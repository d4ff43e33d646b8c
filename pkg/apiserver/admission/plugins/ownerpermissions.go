package plugins

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// ownerPermissions keeps owner references from doing what their writer may not do: an object with an owner goes with
// it, so only who may delete an object gives it other owners; and an owner waits for a reference that blocks its
// deletion as for a finalizer, so only who may set the owner's finalizers adds one.
func ownerPermissions(cfg *Config) admission.Plugin {
	o := &ownership{cfg}
	return admission.Plugin{On: admission.On(admission.Create, admission.Update), Validate: o.validate}
}

type ownership struct{ cfg *Config }

func (o *ownership) validate(ctx context.Context, a *admission.Attributes) error {
	if a.Is("", "pods", "status") {
		return nil // which changes no owners, whatever old kubelets send
	}
	before, after, known := owners(a)
	if !known || equality.Semantic.DeepEqual(before, after) {
		return nil
	}
	if a.Operation != admission.Create { // who makes an object could have left it
		if may, why := o.may(ctx, a, request.Info{
			Verb: "delete", Namespace: a.ReviewNamespace(), Group: a.Resource.Group, Version: a.Resource.Version,
			Resource: a.Resource.Resource, Subresource: a.Subresource, Name: a.Name,
		}); !may {
			return admission.Forbidden(a, fmt.Errorf("cannot set an ownerRef on a resource you can't delete: %s", why))
		}
	}
	added := newlyBlocking(before, after)
	if len(added) == 0 {
		return nil
	}
	anything := request.Info{
		Verb: "update", Group: "*", Version: "*", Resource: "*", Subresource: "finalizers", Name: "*",
	}
	if may, _ := o.may(ctx, a, anything); may {
		return nil // of whatever kind the owners are, known here or not
	}
	for _, ref := range added {
		if err := o.finalize(ctx, a, ref); err != nil {
			return err
		}
	}
	return nil
}

// finalize refuses a reference to an owner whose finalizers the user may not set, or whose kind is not served.
func (o *ownership) finalize(ctx context.Context, a *admission.Attributes, ref metav1.OwnerReference) error {
	kind := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	r, namespaced, found := o.cfg.Kinds.ResourceOf(kind)
	if !found {
		err := &meta.NoKindMatchError{GroupKind: kind.GroupKind(), SearchedVersions: []string{kind.Version}}
		return admission.Forbidden(a, fmt.Errorf("cannot set blockOwnerDeletion in this case because cannot find "+
			"RESTMapping for APIVersion %s Kind %s: %w", ref.APIVersion, ref.Kind, err))
	}
	asked := request.Info{
		Verb: "update", Group: r.Group, Version: kind.Version, Resource: r.Resource, Subresource: "finalizers", Name: ref.Name,
	}
	if namespaced {
		asked.Namespace = a.ReviewNamespace() // where the owner has to be
	}
	if may, why := o.may(ctx, a, asked); !may {
		return admission.Forbidden(a, fmt.Errorf(
			"cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: %s", why))
	}
	return nil
}

// may asks for a right to a resource; why tells the reason and the error of a refusal.
func (o *ownership) may(ctx context.Context, a *admission.Attributes, asked request.Info) (may bool, why string) {
	asked.IsResource = true
	d, reason, err := o.cfg.Authorizer.Authorize(ctx, a.User, &asked)
	return d == authz.Allow, fmt.Sprintf("%s, %v", reason, err)
}

// owners are those of the object before and after the write; not known where something is written that has no metadata.
func owners(a *admission.Attributes) (before, after []metav1.OwnerReference, known bool) {
	now, err := meta.Accessor(a.Object)
	if err != nil {
		return nil, nil, false
	}
	if a.OldObject != nil {
		old, err := meta.Accessor(a.OldObject)
		if err != nil {
			return nil, nil, false
		}
		before = old.GetOwnerReferences()
	}
	return before, now.GetOwnerReferences(), true
}

// newlyBlocking are the references by which an owner's deletion is blocked, and was not before.
func newlyBlocking(before, after []metav1.OwnerReference) []metav1.OwnerReference {
	was := map[string]bool{}
	for _, ref := range before {
		was[string(ref.UID)] = blocks(ref)
	}
	return slices.DeleteFunc(slices.Clone(after), func(ref metav1.OwnerReference) bool {
		return !blocks(ref) || was[string(ref.UID)]
	})
}

func blocks(ref metav1.OwnerReference) bool {
	return ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion
}
