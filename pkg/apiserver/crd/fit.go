package crd

import (
	"fmt"

	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// fitting says how an object is made to fit its schema.
type fitting struct {
	paths  bool // those of unknown fields are asked for
	repair bool // what is wrong with metadata is dropped instead of refused: old servers let it in
}

// fit takes away what the schema of the object's version does not know, and nulls where there may be none, as
// reading JSON into a Go type does for built-in kinds.
func (k *kind) fit(u *unstructured.Unstructured, how fitting) (unknown []string, err error) {
	apiVersion, named, err := unstructured.NestedString(u.Object, "apiVersion")
	if err != nil {
		return nil, err
	}
	kindName, _, err := unstructured.NestedString(u.Object, "kind")
	if err != nil {
		return nil, err
	}
	meta, hasMeta, unknown, err := objectmeta.GetObjectMetaWithOptions(u.Object,
		objectmeta.ObjectMetaOptions{DropMalformedFields: how.repair, ReturnUnknownFieldPaths: how.paths})
	if err != nil {
		return nil, err
	}
	v, err := k.of(apiVersion)
	if err == nil && kindName == v.gvk.Kind {
		pruned, err := k.prune(u, v, how)
		if err != nil {
			return nil, err
		}
		unknown = append(unknown, pruned...)
		if how.repair && hasMeta && meta.Generation == 0 {
			meta.Generation = 1
		}
	}
	if named { // pruning knows nothing of these
		u.SetAPIVersion(apiVersion)
	}
	if kindName != "" {
		u.SetKind(kindName)
	}
	if hasMeta {
		err = objectmeta.SetObjectMeta(u.Object, meta)
	} else {
		err = nil
	}
	return unknown, err
}

func (k *kind) prune(u *unstructured.Unstructured, v *version, how fitting) (unknown []string, err error) {
	s, err := v.structural()
	if err != nil {
		return nil, err
	}
	if !k.crd.Spec.PreserveUnknownFields {
		unknown = pruning.PruneWithOptions(u.Object, s, true, structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: how.paths})
		defaulting.PruneNonNullableNullsWithoutDefaults(u.Object, s)
	}
	fault, embedded := objectmeta.CoerceWithOptions(nil, u.Object, s, false,
		objectmeta.CoerceOptions{DropInvalidFields: how.repair, ReturnUnknownFieldPaths: how.paths})
	if fault != nil {
		return nil, fault
	}
	return append(unknown, embedded...), nil
}

// setDefaults fills in what the schema of the object's version says.
func (k *kind) setDefaults(u *unstructured.Unstructured) {
	v, err := k.of(u.GetAPIVersion())
	if err != nil {
		return
	}
	if s, err := v.structural(); err == nil && s != nil {
		defaulting.Default(u.Object, s)
	}
}

// decode reads an object of any version.
func (k *kind) decode(value []byte) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(value); err != nil {
		return nil, fmt.Errorf("reading a stored %s: %w", k.crd.Status.AcceptedNames.Kind, err)
	}
	if _, err := k.of(u.GetAPIVersion()); err != nil {
		return nil, err
	}
	if _, err := k.fit(u, fitting{repair: true}); err != nil {
		return nil, err
	}
	k.setDefaults(u)
	return u, nil
}

// encode writes an object in the version that is stored.
func (k *kind) encode(u *unstructured.Unstructured) ([]byte, error) {
	u, err := k.as(u, k.stored().Name)
	if err != nil {
		return nil, err
	}
	return u.MarshalJSON()
}

// as gives an object another version.
func (k *kind) as(u *unstructured.Unstructured, name string) (*unstructured.Unstructured, error) {
	out, err := k.openAs(u, name)
	if err == nil && out != u {
		_, err = k.fit(out, fitting{})
	}
	return out, err
}

// openAs is as, with what the version does not know.
func (k *kind) openAs(u *unstructured.Unstructured, name string) (*unstructured.Unstructured, error) {
	if _, err := k.of(u.GetAPIVersion()); err != nil {
		return nil, err
	}
	v := k.versions[name]
	if v == nil {
		return nil, fmt.Errorf("request to convert CR to an invalid group/version: %s/%s", k.crd.Spec.Group, name)
	}
	apiVersion := v.gvk.GroupVersion().String()
	if u.GetAPIVersion() == apiVersion {
		return u, nil
	}
	return k.convert.to(u, apiVersion)
}
