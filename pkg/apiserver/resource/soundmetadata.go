package resource

import (
	"strings"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/names"
)

// hasSoundMetadata says that judgeNewMetadata would find no fault, at a part of its cost. What is unusual is for that
// to judge.
func (s *Store) hasSoundMetadata(o Object) bool {
	return s.hasSoundName(o) && o.GetGeneration() >= 0 && soundLabels(o.GetLabels()) && soundAnnotations(o.GetAnnotations()) &&
		soundOwners(o.GetOwnerReferences()) && s.hasSoundFinalizers(o) && soundManagers(o.GetManagedFields())
}

// changedSoundly says that judgeChangedMetadata would find no fault in an object that hasSoundMetadata.
func changedSoundly(o, old Object) bool {
	created, was := o.GetCreationTimestamp(), old.GetCreationTimestamp()
	return old.GetDeletionTimestamp() == nil && o.GetDeletionTimestamp() == nil &&
		old.GetDeletionGracePeriodSeconds() == nil && o.GetDeletionGracePeriodSeconds() == nil &&
		o.GetResourceVersion() != "" && o.GetGeneration() >= old.GetGeneration() && created.Equal(&was) &&
		o.GetName() == old.GetName() && o.GetNamespace() == old.GetNamespace() && o.GetUID() == old.GetUID()
}

// hasSoundName judges by the kind's own rule, which for most asks for a subdomain of DNS.
func (s *Store) hasSoundName(o Object) bool {
	name, base := o.GetName(), o.GetGenerateName()
	if !names.IsSubdomain(name) || base != "" && !names.IsSubdomain(strings.TrimSuffix(base, "-")) {
		return false
	}
	if s.ValidateName != nil && (len(s.ValidateName(name, false)) > 0 || base != "" && len(s.ValidateName(base, true)) > 0) {
		return false
	}
	if s.ClusterScoped {
		return o.GetNamespace() == ""
	}
	return names.IsLabel(o.GetNamespace())
}

func soundLabels(labels map[string]string) bool {
	for key, value := range labels {
		if !names.IsKey(key) || !names.IsValue(value) {
			return false
		}
	}
	return true
}

func soundAnnotations(annotations map[string]string) bool {
	size := 0
	for key, value := range annotations {
		if size += len(key) + len(value); !names.IsKey(key) {
			return false
		}
	}
	return size <= apivalidation.TotalAnnotationSizeLimitB
}

func soundOwners(owners []metav1.OwnerReference) bool {
	return len(owners) == 0 || len(apivalidation.ValidateOwnerReferences(owners, field.NewPath(""))) == 0
}

func (s *Store) hasSoundFinalizers(o Object) bool {
	all := o.GetFinalizers()
	if len(all) == 0 {
		return true
	}
	at := field.NewPath("")
	return len(apivalidation.ValidateFinalizers(all, at)) == 0 && len(s.judgeFinalizers(o, at)) == 0
}

func soundManagers(all []metav1.ManagedFieldsEntry) bool {
	for i := range all {
		e := &all[i]
		if e.Operation != metav1.ManagedFieldsOperationUpdate && e.Operation != metav1.ManagedFieldsOperationApply || e.FieldsType != "FieldsV1" ||
			len(e.Manager) > metav1validation.FieldManagerMaxLength || !names.IsPrintable(e.Manager) ||
			len(e.Subresource) > metav1validation.MaxSubresourceNameLength {
			return false
		}
	}
	return true
}
