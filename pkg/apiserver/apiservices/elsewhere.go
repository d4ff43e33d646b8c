package apiservices

import (
	"context"
	"sort"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"

	apiregistrationv1 "github.com/sampan-project/sampan/api/apiregistration/v1"
)

// Elsewhere says whether a group version is served by another server.
func (k *Keeper) Elsewhere(ctx context.Context, gv schema.GroupVersion) (bool, error) {
	o, err := k.Access.Get(ctx, Objects, "", gv.Version+"."+gv.Group)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return o.(*apiregistrationv1.APIService).Spec.Service != nil, nil
}

// Group describes a group of which other servers serve versions, nil where there is none. The version that asks for
// the highest place is preferred, the newer of two that ask for the same.
func (k *Keeper) Group(ctx context.Context, name string) (*metav1.APIGroup, error) {
	all, err := k.Access.List(ctx, Objects, "")
	if err != nil {
		return nil, err
	}
	var of []*apiregistrationv1.APIService
	for _, o := range all {
		if s := o.(*apiregistrationv1.APIService); s.Spec.Group == name && s.Spec.Service != nil {
			of = append(of, s)
		}
	}
	if len(of) == 0 {
		return nil, nil
	}
	sort.Slice(of, func(i, j int) bool {
		a, b := of[i].Spec, of[j].Spec
		if a.VersionPriority != b.VersionPriority {
			return a.VersionPriority > b.VersionPriority
		}
		return version.CompareKubeAwareVersionStrings(a.Version, b.Version) > 0
	})
	g := &metav1.APIGroup{TypeMeta: metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}, Name: name}
	for _, s := range of {
		gv := schema.GroupVersion{Group: name, Version: s.Spec.Version}
		g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version})
	}
	g.PreferredVersion = g.Versions[0]
	return g, nil
}
