package core

import (
	"cmp"
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
	"github.com/sampan-project/sampan/pkg/defaults"
)

// PersistentVolumeClaim declares claims to volumes.
func PersistentVolumeClaim() *resource.Resource {
	return resource.Define(resource.Definition[*corev1.PersistentVolumeClaim]{
		Kind:          corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"),
		Plural:        "persistentvolumeclaims",
		ShortNames:    []string{"pvc"},
		ReturnDeleted: true,
		WholeUpdate:   true,
		DefaultedLate: true, // a new claim is stored without a phase
		Default: func(c *corev1.PersistentVolumeClaim) {
			c.Status.Phase = cmp.Or(c.Status.Phase, corev1.ClaimPending)
			defaults.Claim(&c.Spec)
			defaults.Resources(c.Status.Capacity)
			defaults.Resources(c.Status.AllocatedResources)
		},
		Prepare: func(_ context.Context, c, old *corev1.PersistentVolumeClaim) {
			if old == nil {
				c.Status = corev1.PersistentVolumeClaimStatus{}
				settleSources(&c.Spec, nil)
				return
			}
			c.Status = *old.Status.DeepCopy()
			settleSources(&c.Spec, &old.Spec)
		},
		Validate: func(_ context.Context, c, old *corev1.PersistentVolumeClaim) field.ErrorList {
			at := field.NewPath("spec")
			if old == nil {
				return validation.ClaimSpec(at, &c.Spec, validation.ClaimOptions{})
			}
			faults := validation.ClaimSpec(at, &c.Spec, validation.ClaimOptionsFor(&old.Spec))
			return append(faults, claimStays(c, old)...)
		},
		Warn:    warnClaim,
		Reset:   []string{"status"},
		Columns: claimColumns(),
		Row:     claimRow,
		Subresources: []resource.Subresource[*corev1.PersistentVolumeClaim]{resource.Status(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"), resource.UpdatePart[*corev1.PersistentVolumeClaim]{
			Prepare: func(_ context.Context, c, old *corev1.PersistentVolumeClaim) { c.Spec = *old.Spec.DeepCopy() },
			Validate: func(_ context.Context, c, _ *corev1.PersistentVolumeClaim) field.ErrorList {
				return validateClaimStatus(c)
			},
		})},
	})
}

// settleSources lets the two fields that say what fills a volume agree. The older one once took anything
// and meant nothing by it: what is neither a claim nor a snapshot is forgotten there.
func settleSources(s, old *corev1.PersistentVolumeClaimSpec) {
	if ref := s.DataSourceRef; ref != nil && ref.Namespace != nil && *ref.Namespace != "" && (old == nil || old.DataSourceRef == nil) {
		s.DataSourceRef = nil // sources in other namespaces are not switched on
	}
	had := old != nil && (old.DataSource != nil || old.DataSourceRef != nil)
	if !had && s.DataSourceRef == nil && !fillsVolumes(s.DataSource) {
		s.DataSource = nil
	}
	switch source, ref := s.DataSource, s.DataSourceRef; {
	case source != nil && ref == nil:
		s.DataSourceRef = &corev1.TypedObjectReference{APIGroup: copyOf(source.APIGroup), Kind: source.Kind, Name: source.Name}
	case source == nil && ref != nil && (ref.Namespace == nil || *ref.Namespace == ""):
		s.DataSource = &corev1.TypedLocalObjectReference{APIGroup: copyOf(ref.APIGroup), Kind: ref.Kind, Name: ref.Name}
	}
}

func fillsVolumes(source *corev1.TypedLocalObjectReference) bool {
	if source == nil {
		return false
	}
	group := ptr.Deref(source.APIGroup, "")
	return source.Kind == "PersistentVolumeClaim" && group == "" || source.Kind == "VolumeSnapshot" && group == "snapshot.storage.k8s.io"
}

func copyOf[T any](value *T) *T {
	if value == nil {
		return nil
	}
	c := *value
	return &c
}

func warnClaim(_ context.Context, c, _ *corev1.PersistentVolumeClaim) []string {
	var warnings []string
	if _, old := c.Annotations[corev1.BetaStorageClassAnnotation]; old {
		warnings = append(warnings, oldClassAnnotation)
	}
	return append(warnings, validation.ClaimWarnings(field.NewPath("spec"), &c.Spec)...)
}

// validateClaimStatus judges what a driver reports of a claim's volume and of its growth.
func validateClaimStatus(c *corev1.PersistentVolumeClaim) field.ErrorList {
	at := field.NewPath("status")
	var faults field.ErrorList
	if len(c.Spec.AccessModes) == 0 {
		faults = append(faults, field.Required(field.NewPath("Spec", "accessModes"), ""))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Status.Capacity)) {
		faults = append(faults, validation.BasicQuantity(at.Child("capacity").Key(string(name)), c.Status.Capacity[name])...)
	}
	statuses := at.Child("allocatedResourceStatuses")
	for _, name := range slices.Sorted(maps.Keys(c.Status.AllocatedResourceStatuses)) {
		faults = append(faults, claimResource(statuses, name)...)
		states := []corev1.ClaimResourceStatus{corev1.PersistentVolumeClaimControllerResizeInProgress, corev1.PersistentVolumeClaimControllerResizeInfeasible,
			corev1.PersistentVolumeClaimNodeResizeInProgress, corev1.PersistentVolumeClaimNodeResizeInfeasible, corev1.PersistentVolumeClaimNodeResizePending}
		if !slices.Contains(states, c.Status.AllocatedResourceStatuses[name]) {
			faults = append(faults, field.NotSupported(statuses, name, shown(states))) // the name, not the state, is what clients are shown
		}
	}
	allocated := at.Child("allocatedResources")
	for _, name := range slices.Sorted(maps.Keys(c.Status.AllocatedResources)) {
		if bad := claimResource(allocated, name); len(bad) > 0 {
			faults = append(faults, bad...)
			continue
		}
		faults = append(faults, validation.BasicQuantity(allocated.Key(string(name)), c.Status.AllocatedResources[name])...)
	}
	return faults
}

func shown[T ~string](list []T) []string {
	var out []string
	for _, v := range list {
		out = append(out, string(v))
	}
	return out
}

// claimResource refuses names of Kubernetes' own resources other than storage.
func claimResource(at *field.Path, name corev1.ResourceName) field.ErrorList {
	if faults := validation.QualifiedName(at, string(name)); len(faults) > 0 {
		return faults
	}
	if name != corev1.ResourceStorage && validation.IsNativeResource(name) {
		return field.ErrorList{field.NotSupported(at, string(name), []corev1.ResourceName{corev1.ResourceStorage})}
	}
	return nil
}
