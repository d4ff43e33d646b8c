package validation

import (
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	positive     = "must be greater than zero"
	aloneOncePod = "may not use ReadWriteOncePod with other access modes"
)

// ClaimOptions let stand in a claim what was stored before it was judged.
type ClaimOptions struct {
	// LooseSelector allows label values that could never match.
	LooseSelector bool
	// LooseGroup allows groups of data sources that are no names.
	LooseGroup bool
}

// ClaimOptionsFor finds what an update of old has to bear; old may be nil.
func ClaimOptionsFor(old *corev1.PersistentVolumeClaimSpec) ClaimOptions {
	if old == nil {
		return ClaimOptions{}
	}
	return ClaimOptions{
		LooseSelector: len(LabelSelector(nil, old.Selector, false)) > 0,
		LooseGroup:    old.DataSource != nil && old.DataSource.APIGroup != nil || old.DataSourceRef != nil && old.DataSourceRef.APIGroup != nil,
	}
}

// ClaimSpec judges what a volume claim asks for.
func ClaimSpec(path *field.Path, s *corev1.PersistentVolumeClaimSpec, options ClaimOptions) field.ErrorList {
	var faults field.ErrorList
	if len(s.AccessModes) == 0 {
		faults = append(faults, field.Required(path.Child("accessModes"), "at least 1 access mode is required"))
	}
	if s.Selector != nil {
		faults = append(faults, LabelSelector(path.Child("selector"), s.Selector, options.LooseSelector)...)
	}
	faults = append(faults, accessModes(path.Child("accessModes"), s.AccessModes)...)
	storage := path.Child("resources").Key(string(corev1.ResourceStorage))
	if size, set := s.Resources.Requests[corev1.ResourceStorage]; !set {
		faults = append(faults, field.Required(storage, ""))
	} else if size.Sign() <= 0 {
		faults = append(faults, field.Invalid(storage, size.String(), positive))
	}
	if s.StorageClassName != nil && *s.StorageClassName != "" {
		faults = append(faults, DNSSubdomain(path.Child("storageClassName"), *s.StorageClassName)...)
	}
	faults = append(faults, WhereSet(path.Child("volumeMode"), s.VolumeMode, volumeMode)...)
	faults = append(faults, dataSources(path, s, options)...)
	if s.VolumeAttributesClassName != nil && *s.VolumeAttributesClassName != "" {
		faults = append(faults, DNSSubdomain(path.Child("volumeAttributesClassName"), *s.VolumeAttributesClassName)...)
	}
	return faults
}

// ClaimWarnings warns of storage that ends within a byte.
func ClaimWarnings(path *field.Path, s *corev1.PersistentVolumeClaimSpec) []string {
	w := &warner{}
	w.fraction(path.Child("resources", "requests"), s.Resources.Requests, corev1.ResourceStorage)
	w.fraction(path.Child("resources", "limits"), s.Resources.Limits, corev1.ResourceStorage)
	return w.said
}

// accessModes are those of claims and of volumes.
func accessModes(path *field.Path, modes []corev1.PersistentVolumeAccessMode) field.ErrorList {
	var faults field.ErrorList
	known := []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany, corev1.ReadWriteMany, corev1.ReadWriteOnce, corev1.ReadWriteOncePod}
	pod, other := false, false
	for _, mode := range modes {
		faults = append(faults, OneOfAny(path, mode, known...)...)
		pod = pod || mode == corev1.ReadWriteOncePod
		other = other || mode != corev1.ReadWriteOncePod && slices.Contains(known, mode)
	}
	if pod && other {
		faults = append(faults, field.Forbidden(path, aloneOncePod))
	}
	return faults
}

func volumeMode(path *field.Path, mode corev1.PersistentVolumeMode) field.ErrorList {
	return OneOfAny(path, mode, corev1.PersistentVolumeBlock, corev1.PersistentVolumeFilesystem)
}

// dataSources judges what a volume is to be filled from. Two fields say it, and must say the same.
func dataSources(path *field.Path, s *corev1.PersistentVolumeClaimSpec, options ClaimOptions) field.ErrorList {
	var faults field.ErrorList
	source, ref := s.DataSource, s.DataSourceRef
	if source != nil {
		faults = append(faults, dataSource(path.Child("dataSource"), source.APIGroup, source.Kind, source.Name, options)...)
	}
	if ref == nil {
		return faults
	}
	faults = append(faults, dataSource(path.Child("dataSourceRef"), ref.APIGroup, ref.Kind, ref.Name, options)...)
	elsewhere := ref.Namespace != nil && *ref.Namespace != ""
	if elsewhere {
		faults = append(faults, Invalid(path.Child("dataSourceRef", "namespace"), *ref.Namespace, apivalidation.ValidateNamespaceName(*ref.Namespace, false))...)
	}
	switch {
	case source == nil:
	case elsewhere:
		faults = append(faults, field.Invalid(path, path.Child("dataSource"), "may not be specified when dataSourceRef.namespace is specified"))
	case !reflect.DeepEqual(source.APIGroup, ref.APIGroup) || source.Kind != ref.Kind || source.Name != ref.Name:
		faults = append(faults, field.Invalid(path, path.Child("dataSource"), "must match dataSourceRef"))
	}
	return faults
}

func dataSource(path *field.Path, group *string, kind, name string, options ClaimOptions) field.ErrorList {
	faults := need(path, "name", name, "kind", kind)
	switch {
	case group == nil || *group == "":
		if kind != "PersistentVolumeClaim" {
			faults = append(faults, field.Invalid(path, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup"))
		}
	case !options.LooseGroup:
		faults = append(faults, DNSSubdomain(path.Child("apiGroup"), *group)...)
	}
	return faults
}
