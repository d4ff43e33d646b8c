package admission

import (
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Forbidden is the usual refusal: 403, naming the object as far as its name is known.
func Forbidden(a *Attributes, err error) error {
	if apierrors.IsForbidden(err) {
		return err
	}
	return apierrors.NewForbidden(a.GroupResource(), objectName(a), err)
}

// GroupResource is what is written to.
func (a *Attributes) GroupResource() schema.GroupResource { return a.Resource.GroupResource() }

// Is says whether the write is to the resource (core group where group is empty) and subresource.
func (a *Attributes) Is(group, resource, subresource string) bool {
	return a.Resource.Group == group && a.Resource.Resource == resource && a.Subresource == subresource
}

func objectName(a *Attributes) string {
	if a.Name != "" {
		return a.Name
	}
	m, err := meta.Accessor(a.Object)
	if err != nil {
		return "Unknown"
	}
	if m.GetName() != "" {
		return m.GetName()
	}
	return m.GetGenerateName()
}
