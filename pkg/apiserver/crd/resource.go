package crd

import (
	"context"
	"fmt"
	"maps"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	kubeversion "k8s.io/apimachinery/pkg/version"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// definition declares one version of a kind.
type definition = resource.Definition[*unstructured.Unstructured]

// resource declares the kind: in the version that is stored, with the others beside it. ending says whether the
// definition is on its way out, opening is closed when it says that the kind is established.
func (k *kind) resource(ending func() bool, opening <-chan struct{}) *resource.Resource {
	main := k.define(k.stored(), ending, opening)
	for _, name := range k.names() {
		if v := k.versions[name]; v.Served && !v.Storage {
			main.Versions = append(main.Versions, k.define(v, ending, opening))
		}
	}
	return resource.Define(*main)
}

func (k *kind) define(v *version, ending func() bool, opening <-chan struct{}) *definition {
	names := k.crd.Status.AcceptedNames
	d := &definition{
		Kind:          v.gvk,
		Plural:        names.Plural,
		Singular:      names.Singular,
		ShortNames:    names.ShortNames,
		Categories:    names.Categories,
		ClusterScoped: k.crd.Spec.Scope == apiextensionsv1.ClusterScoped,
		Internal:      !v.Served,
		Ending:        ending,
		Opening:       opening,
		Deprecated:    k.deprecation(v),
		Verbs:         []string{"delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"},
		Prefix:        k.crd.Spec.Group + "/" + names.Plural,
		New: func() *unstructured.Unstructured {
			u := &unstructured.Unstructured{}
			u.SetGroupVersionKind(v.gvk)
			return u
		},
		NewList: func() runtime.Object {
			l := &unstructured.UnstructuredList{}
			l.SetGroupVersionKind(v.gvk.GroupVersion().WithKind(names.ListKind))
			return l
		},
		FreeFinalizers: true,
		Stored:         &resource.Stored[*unstructured.Unstructured]{Encode: k.encode, Decode: k.decode, Convert: k.as, ConvertOpen: k.openAs, KnownVersions: k.names()},
		Fit: func(obj *unstructured.Unstructured, strict bool) ([]string, error) {
			return k.fit(obj, fitting{paths: strict})
		},
		Default:      k.setDefaults,
		Prepare:      prepare(v),
		Validate:     k.validate(v),
		Warn:         warn,
		Spec:         allButMetadata,
		StrictUpdate: true,
		Columns:      v.columns(),
		Row:          v.row,
		Fields:       v.selected,
		FieldNames:   v.fieldNames(),
		Described:    v.described,
	}
	if v.hasStatus() {
		d.Reset = []string{"status"}
		d.DefaultedLate = true // a status that was taken away has its default when it is read
		d.Subresources = append(d.Subresources, k.statusPart(v))
	}
	if s := v.scale(); s != nil {
		d.Subresources = append(d.Subresources, scalePart(s))
	}
	return d
}

// deprecation is what writers and readers of a version are told, "" for nothing.
func (k *kind) deprecation(v *version) string {
	if !v.Deprecated {
		return ""
	}
	if v.DeprecationWarning != nil {
		return *v.DeprecationWarning
	}
	newest := ""
	for _, other := range k.versions {
		if other.Served && !other.Deprecated && kubeversion.CompareKubeAwareVersionStrings(other.Name, v.Name) > 0 &&
			(newest == "" || kubeversion.CompareKubeAwareVersionStrings(other.Name, newest) > 0) {
			newest = other.Name
		}
	}
	text := fmt.Sprintf("%s/%s %s is deprecated", k.crd.Spec.Group, v.Name, k.crd.Spec.Names.Kind)
	if newest != "" {
		text += fmt.Sprintf("; use %s/%s %s", k.crd.Spec.Group, newest, k.crd.Spec.Names.Kind)
	}
	return text
}

// prepare resets the status where it is a subresource.
func prepare(v *version) func(context.Context, *unstructured.Unstructured, *unstructured.Unstructured) {
	return func(_ context.Context, obj, old *unstructured.Unstructured) {
		if !v.hasStatus() {
			return
		}
		delete(obj.Object, "status")
		if old == nil {
			return
		}
		if status, has := old.Object["status"]; has {
			obj.Object["status"] = runtime.DeepCopyJSONValue(status)
		}
	}
}

// allButMetadata is what counts as a kind's specification.
func allButMetadata(obj *unstructured.Unstructured) any {
	spec := maps.Clone(obj.Object)
	delete(spec, "metadata")
	return spec
}

func (k *kind) statusPart(v *version) resource.Subresource[*unstructured.Unstructured] {
	return resource.Subresource[*unstructured.Unstructured]{
		Name: "status", Kind: v.gvk, Verbs: []string{"get", "patch", "update"},
		Update: &resource.UpdatePart[*unstructured.Unstructured]{
			Prepare: func(_ context.Context, obj, old *unstructured.Unstructured) {
				status, has := obj.Object["status"]
				owners := obj.GetManagedFields()
				*obj = *old.DeepCopy()
				obj.SetManagedFields(owners)
				delete(obj.Object, "status")
				if has {
					obj.Object["status"] = status
				}
			},
			Validate: k.validateStatus(v),
			Reset:    []string{"metadata", "spec"},
		},
	}
}

func scalePart(s *apiextensionsv1.CustomResourceSubresourceScale) resource.Subresource[*unstructured.Unstructured] {
	number := func(path string) func(*unstructured.Unstructured) int32 {
		return func(obj *unstructured.Unstructured) int32 {
			n, _, _ := unstructured.NestedInt64(obj.Object, steps(path)...)
			return int32(n)
		}
	}
	return resource.Subresource[*unstructured.Unstructured]{
		Name: "scale", Kind: autoscalingv1.SchemeGroupVersion.WithKind("Scale"), Verbs: []string{"get", "patch", "update"},
		Scale: &resource.ScalePart[*unstructured.Unstructured]{
			Replicas:       number(s.SpecReplicasPath),
			StatusReplicas: number(s.StatusReplicasPath),
			Selector: func(obj *unstructured.Unstructured) string {
				if s.LabelSelectorPath == nil || *s.LabelSelectorPath == "" {
					return ""
				}
				selector, _, _ := unstructured.NestedString(obj.Object, steps(*s.LabelSelectorPath)...)
				return selector
			},
			SetReplicas: func(obj *unstructured.Unstructured, n int32) {
				// What is in the way of the path is no object, and validation says so.
				_ = unstructured.SetNestedField(obj.Object, int64(n), steps(s.SpecReplicasPath)...)
			},
			Missing: func(obj *unstructured.Unstructured) error {
				_, found, err := unstructured.NestedInt64(obj.Object, steps(s.SpecReplicasPath)...)
				if err == nil && !found {
					err = apierrors.NewInternalError(fmt.Errorf("the spec replicas field %q does not exist", s.SpecReplicasPath))
				}
				return err
			},
			SpecPath: s.SpecReplicasPath[1:],
		},
	}
}
