package plugins

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/quota"
)

// limitedResource is what the configuration limits by default: it may be used only where a quota covers it.
type limitedResource struct {
	APIGroup      string                                     `json:"apiGroup"`
	Resource      string                                     `json:"resource"`
	MatchContains []string                                   `json:"matchContains"` // in names of what is used
	MatchScopes   []corev1.ScopedResourceSelectorRequirement `json:"matchScopes"`
}

// The versions of the configuration, which has another kind in the older ones.
var (
	quotaConfigVersion       = schema.GroupVersion{Group: "apiserver.config.k8s.io", Version: "v1"}
	olderQuotaConfigVersions = []schema.GroupVersion{
		{Group: "resourcequota.admission.k8s.io", Version: "v1beta1"},
		{Group: "resourcequota.admission.k8s.io", Version: "v1alpha1"},
	}
)

func limitedResources(cfg *Config) ([]limitedResource, error) {
	data, err := cfg.control.of("ResourceQuota")
	if err != nil || data == nil {
		return nil, err
	}
	var file struct {
		metav1.TypeMeta  `json:",inline"`
		LimitedResources []limitedResource `json:"limitedResources"`
	}
	strict, err := decode(data, &file, "ResourceQuotaConfiguration", quotaConfigVersion)
	if isOther(err) {
		strict, err = decode(data, &file, "Configuration", olderQuotaConfigVersions...)
	}
	if err := errors.Join(append(strict, err)...); err != nil {
		return nil, err
	}
	var faults field.ErrorList
	for i, l := range file.LimitedResources {
		if l.Resource == "" {
			faults = append(faults, field.Required(field.NewPath("limitedResources").Index(i).Child("resource"), ""))
		}
	}
	return file.LimitedResources, faults.ToAggregate()
}

// need is what quotas have to cover of a write.
type need struct {
	names  []corev1.ResourceName
	scopes []corev1.ScopedResourceSelectorRequirement
}

// needed finds what is limited by default of what a write uses, and of the scopes that hold its object. As in
// kube-apiserver, the scopes of all limited resources count, whichever resource is written.
func needed(limited []limitedResource, a *admission.Attributes, counter quota.Counter, now time.Time) (*need, error) {
	n := &need{}
	for _, l := range limited {
		in, err := counter.Holding(l.MatchScopes, a.Object)
		if err != nil {
			return nil, err
		}
		n.scopes = append(n.scopes, in...)
		if (schema.GroupResource{Group: l.APIGroup, Resource: l.Resource}) != a.Resource.GroupResource() {
			continue
		}
		for name, amount := range counter.Use(a.Object, now) {
			limits := func(part string) bool { return strings.Contains(string(name), part) }
			if amount.Sign() > 0 && !slices.Contains(n.names, name) && slices.ContainsFunc(l.MatchContains, limits) {
				n.names = append(n.names, name)
			}
		}
	}
	return n, nil
}

// coverNames takes what a quota limits out of what is needed.
func (n *need) coverNames(names []corev1.ResourceName) {
	n.names = slices.DeleteFunc(n.names, func(name corev1.ResourceName) bool { return slices.Contains(names, name) })
}

// coverScopes does so with a quota's scopes that hold the object, though others may not.
func (n *need) coverScopes(scopes []corev1.ScopedResourceSelectorRequirement) {
	n.scopes = slices.DeleteFunc(n.scopes, func(s corev1.ScopedResourceSelectorRequirement) bool {
		return slices.ContainsFunc(scopes, func(of corev1.ScopedResourceSelectorRequirement) bool {
			return of.ScopeName == s.ScopeName
		})
	})
}

// missing refuses the write if something is left.
func (n *need) missing(a *admission.Attributes) error {
	if len(n.names) > 0 {
		return admission.Forbidden(a, fmt.Errorf("insufficient quota to consume: %s", quota.ShowNames(n.names)))
	}
	if len(n.scopes) > 0 {
		return fmt.Errorf("insufficient quota to match these scopes: %v", n.scopes)
	}
	return nil
}
