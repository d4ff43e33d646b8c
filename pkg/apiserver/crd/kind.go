// Package crd serves custom resources: it follows the definitions, makes of each a resource like the built-in ones,
// and keeps the definitions' status. Schemas, rules and types are read when an object first needs them, so that a
// definition without objects costs little.
package crd

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/crdschema"
	"github.com/sampan-project/sampan/pkg/apiserver/lazy"
	"github.com/sampan-project/sampan/pkg/apiserver/webhookclient"
)

// kind is what a definition defines, with all its versions.
type kind struct {
	crd      *apiextensionsv1.CustomResourceDefinition // without schemas, which are large: see version
	versions map[string]*version
	convert  converter
}

// version is one version of a kind.
type version struct {
	*apiextensionsv1.CustomResourceDefinitionVersion
	gvk schema.GroupVersionKind

	read       func() (*apiextensions.JSONSchemaProps, error) // the schema, nil for none
	structural func() (*structural.Structural, error)
	validator  func() (*crdschema.Validator, error)
	status     func() (*crdschema.Validator, error) // of the part under status; nil where nothing is said about it
	rules      func() (*cel.Validator, error)
}

// newKind makes the kind of a definition without schemas; schemas reads the whole of it when one is needed.
func newKind(crd *apiextensionsv1.CustomResourceDefinition, schemas func() (*apiextensionsv1.CustomResourceDefinition, error), clients *webhookclient.Clients) *kind {
	k := &kind{crd: crd, versions: map[string]*version{}, convert: newConverter(crd, clients)}
	for i := range crd.Spec.Versions {
		v := &crd.Spec.Versions[i]
		k.versions[v.Name] = newVersion(v, schema.GroupVersionKind{Group: crd.Spec.Group, Version: v.Name, Kind: crd.Status.AcceptedNames.Kind}, schemas)
	}
	return k
}

func newVersion(v *apiextensionsv1.CustomResourceDefinitionVersion, gvk schema.GroupVersionKind, schemas func() (*apiextensionsv1.CustomResourceDefinition, error)) *version {
	out := &version{CustomResourceDefinitionVersion: v, gvk: gvk}
	out.read = func() (*apiextensions.JSONSchemaProps, error) {
		crd, err := schemas()
		if err != nil {
			return nil, fmt.Errorf("reading the schema of %s: %w", gvk, err)
		}
		for i := range crd.Spec.Versions {
			if crd.Spec.Versions[i].Name == v.Name {
				return crdschema.Properties(crd.Spec.Versions[i].Schema)
			}
		}
		return nil, nil
	}
	properties := out.read
	out.structural = lazy.Func(func() (*structural.Structural, error) {
		p, err := properties()
		if err != nil || p == nil {
			return nil, err
		}
		return crdschema.Structural(p)
	})
	out.validator = lazy.Func(func() (*crdschema.Validator, error) {
		p, err := properties()
		if err != nil {
			return nil, err
		}
		return crdschema.NewValidator(p)
	})
	out.status = lazy.Func(func() (*crdschema.Validator, error) {
		p, err := properties()
		if err != nil || p == nil {
			return nil, err
		}
		status, ok := p.Properties["status"]
		if !ok {
			return nil, nil
		}
		return crdschema.NewValidator(&status)
	})
	out.rules = lazy.Func(func() (*cel.Validator, error) {
		s, err := out.structural()
		if err != nil {
			return nil, err
		}
		return cel.NewValidator(s, true, crdschema.CallCost), nil
	})
	return out
}

// hasStatus says whether status is a subresource.
func (v *version) hasStatus() bool { return v.Subresources != nil && v.Subresources.Status != nil }

// scale is how the scale subresource maps, nil where there is none.
func (v *version) scale() *apiextensionsv1.CustomResourceSubresourceScale {
	if v.Subresources == nil {
		return nil
	}
	return v.Subresources.Scale
}

// stored is the version in which objects are written to etcd.
func (k *kind) stored() *version {
	for _, v := range k.versions {
		if v.Storage {
			return v
		}
	}
	return nil // no valid definition
}

// of finds the version that an apiVersion names.
func (k *kind) of(apiVersion string) (*version, error) {
	group, name, _ := strings.Cut(apiVersion, "/")
	if v := k.versions[name]; v != nil && group == k.crd.Spec.Group {
		return v, nil
	}
	return nil, fmt.Errorf("request to convert CR from an invalid group/version: %s", apiVersion)
}

// names are those of all versions.
func (k *kind) names() []string {
	out := make([]string, 0, len(k.versions))
	for name := range k.versions {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
