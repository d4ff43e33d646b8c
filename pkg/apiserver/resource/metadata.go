package resource

import (
	"k8s.io/apimachinery/pkg/api/equality"
	"math/rand/v2"
	"reflect"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Random name suffixes: letters that make no words, as many as kube-apiserver appends, and the length to
// which the part before is cut.
const (
	suffixLetters = "bcdfghjklmnpqrstvwxz2456789"
	suffixLength  = 5
	longestBase   = 63 - suffixLength
)

func generateName(base string) string {
	b := []byte(base[:min(len(base), longestBase)])
	for range suffixLength {
		b = append(b, suffixLetters[rand.IntN(len(suffixLetters))])
	}
	return string(b)
}

// forgetPast takes off what only the server decides, so that nobody comes to own it.
func forgetPast(o Object) {
	o.SetCreationTimestamp(metav1.Time{})
	o.SetUID("")
	o.SetDeletionTimestamp(nil)
	o.SetDeletionGracePeriodSeconds(nil)
	o.SetSelfLink("")
}

// beginLife sets what the server alone decides of a new object's metadata.
func (s *Store) beginLife(o Object, namespace string) {
	o.SetCreationTimestamp(metav1.NewTime(s.clock.Now().UTC()).Rfc3339Copy())
	o.SetUID(uuid.NewUUID())
	o.SetDeletionTimestamp(nil)
	o.SetDeletionGracePeriodSeconds(nil)
	o.SetSelfLink("")
	if !s.ClusterScoped {
		o.SetNamespace(namespace)
	}
	o.SetGeneration(0)
	if s.Spec != nil {
		o.SetGeneration(1)
	}
}

// keepIdentity gives an updated object the metadata that an update cannot change.
func (s *Store) keepIdentity(o, old Object) {
	o.SetGeneration(old.GetGeneration())
	o.SetSelfLink("")
	if o.GetUID() == "" {
		o.SetUID(old.GetUID())
	}
	o.SetCreationTimestamp(old.GetCreationTimestamp())
	if o.GetDeletionTimestamp() == nil {
		o.SetDeletionTimestamp(old.GetDeletionTimestamp())
	}
	if o.GetDeletionGracePeriodSeconds() == nil {
		o.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	}
	if o.GetResourceVersion() == "" {
		o.SetResourceVersion(old.GetResourceVersion())
	}
}

// raiseGeneration counts changes of the spec.
func (s *Store) raiseGeneration(o, old Object) {
	if s.Spec != nil && !reflect.DeepEqual(s.Spec(o), s.Spec(old)) {
		o.SetGeneration(old.GetGeneration() + 1)
	}
}

// nameRule is the kind's own, or that of DNS subdomains.
func (s *Store) nameRule() apivalidation.ValidateNameFunc {
	if s.ValidateName != nil {
		return s.ValidateName
	}
	return apivalidation.NameIsDNSSubdomain
}

// judgeMetadata collects the faults of an object's metadata. old is nil on create.
func (s *Store) judgeMetadata(o, old Object) field.ErrorList {
	at := field.NewPath("metadata")
	if old != nil {
		faults := apivalidation.ValidateFinalizers(o.GetFinalizers(), at.Child("finalizers"))
		return append(faults, apivalidation.ValidateObjectMetaAccessorUpdate(o, old, at)...)
	}
	return apivalidation.ValidateObjectMetaAccessor(o, !s.ClusterScoped, s.nameRule(), at)
}

// sameButTimes says whether two objects differ at most in the times of their managedFields.
func sameButTimes(a, b Object) bool {
	one, two := a.GetManagedFields(), b.GetManagedFields()
	if len(one) != len(two) {
		return false
	}
	without := make([]metav1.ManagedFieldsEntry, len(one))
	for i := range one {
		without[i] = one[i]
		without[i].Time = two[i].Time
	}
	a.SetManagedFields(without)
	version := a.GetResourceVersion()
	a.SetResourceVersion(b.GetResourceVersion())
	same := equality.Semantic.DeepEqual(a, b)
	a.SetManagedFields(one)
	a.SetResourceVersion(version)
	return same
}
