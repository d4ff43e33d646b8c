package resource

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

// Describe tells admission what it needs to know of the resource.
func (s *Store) Describe(a *admission.Attributes) {
	a.Forms = s.forms
	if s.Default != nil {
		a.Default = func(o runtime.Object) { s.Default(o.(Object)) }
	}
}

// formsOf are the versions in which a resource is served, for those of which there are several.
func formsOf(r *Resource) []admission.Form {
	switch {
	case r.Stored != nil && r.Stored.Convert != nil && len(r.Stored.KnownVersions) > 1:
		return formsOfVersions(r)
	case len(r.Views) == 0:
		return nil
	}
	forms := []admission.Form{{Kind: r.Kind, Resource: r.Kind.GroupVersion().WithResource(r.Plural)}}
	for i := range r.Views {
		v := &r.Views[i]
		forms = append(forms, admission.Form{
			Kind: v.Kind, Resource: v.Kind.GroupVersion().WithResource(r.Plural),
			To:   func(stored runtime.Object) (runtime.Object, error) { return ofKind(v.Kind)(v.From(stored.(Object))) },
			From: func(served runtime.Object) (runtime.Object, error) { return ofKind(r.Kind)(stored(v.To(served))) },
		})
	}
	return forms
}

// ofKind marks what a conversion gives.
func ofKind(kind schema.GroupVersionKind) func(runtime.Object, error) (runtime.Object, error) {
	return func(o runtime.Object, err error) (runtime.Object, error) {
		if err != nil {
			return nil, err
		}
		o.GetObjectKind().SetGroupVersionKind(kind)
		return o, nil
	}
}

func stored(o Object, err error) (runtime.Object, error) { return o, err }

// formsOfVersions are those of a custom kind.
func formsOfVersions(r *Resource) []admission.Form {
	var forms []admission.Form
	for _, version := range r.Stored.KnownVersions {
		kind := r.Kind
		kind.Version = version
		f := admission.Form{Kind: kind, Resource: kind.GroupVersion().WithResource(r.Plural)}
		if version != r.Kind.Version {
			f.To = func(o runtime.Object) (runtime.Object, error) { return r.Stored.Convert(o.(Object), version) }
			f.From = func(o runtime.Object) (runtime.Object, error) { return r.Stored.Convert(o.(Object), r.Kind.Version) }
		}
		forms = append(forms, f)
	}
	return forms
}
