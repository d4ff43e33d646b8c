package resource

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
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

// beginLife sets what the server alone decides of a new object's metadata. A kind without generations keeps
// the one that its client gave.
func (s *Store) beginLife(o Object, namespace string) {
	forgetPast(o)
	o.SetCreationTimestamp(metav1.NewTime(s.clock.Now().UTC()).Rfc3339Copy())
	o.SetUID(uuid.NewUUID())
	if !s.ClusterScoped {
		o.SetNamespace(namespace)
	}
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
	if was := old.GetDeletionTimestamp(); was != nil {
		o.SetDeletionTimestamp(was)
	}
	if o.GetDeletionGracePeriodSeconds() == nil {
		o.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
	}
	if o.GetResourceVersion() == "" {
		o.SetResourceVersion(old.GetResourceVersion())
	}
}

// nameRule is the kind's own, or that of DNS subdomains.
func (s *Store) nameRule() apivalidation.ValidateNameFunc {
	if s.ValidateName != nil {
		return s.ValidateName
	}
	return apivalidation.NameIsDNSSubdomain
}

// judgeNewMetadata collects the faults of a new object's metadata.
func (s *Store) judgeNewMetadata(o Object) field.ErrorList {
	if s.hasSoundMetadata(o) {
		return nil
	}
	return s.faultsOfMetadata(o)
}

func (s *Store) faultsOfMetadata(o Object) field.ErrorList {
	at := field.NewPath("metadata")
	return append(apivalidation.ValidateObjectMetaAccessor(o, !s.ClusterScoped, s.nameRule(), at), s.judgeFinalizers(o, at)...)
}

// judgeChangedMetadata collects the faults of an updated object's metadata. They are judged for all kinds, and
// then by most kinds themselves: what is wrong is told as often. part says that a subresource is written.
func (s *Store) judgeChangedMetadata(o, old Object, part bool) field.ErrorList {
	if s.hasSoundMetadata(o) && changedSoundly(o, old) {
		return nil
	}
	return s.faultsOfChangedMetadata(o, old, part)
}

func (s *Store) faultsOfChangedMetadata(o, old Object, part bool) field.ErrorList {
	at := field.NewPath("metadata")
	errs := apivalidation.ValidateObjectMetaAccessor(o, !s.ClusterScoped, path.ValidatePathSegmentName, at)
	change := apivalidation.ValidateObjectMetaAccessorUpdate(o, old, at)
	errs = append(errs, change...)
	if s.MetadataLast {
		return errs
	}
	errs = append(append(errs, change...), s.judgeFinalizers(o, at)...)
	if s.WholeUpdate && !part {
		errs = append(errs, s.faultsOfMetadata(o)...)
	}
	return errs
}

// judgeFinalizers refuses names without a domain that are not Kubernetes' own.
func (s *Store) judgeFinalizers(o Object, at *field.Path) (errs field.ErrorList) {
	if s.FreeFinalizers {
		return nil
	}
	for i, name := range o.GetFinalizers() {
		switch {
		case strings.Contains(name, "/"), name == string(corev1.FinalizerKubernetes),
			name == metav1.FinalizerOrphanDependents, name == metav1.FinalizerDeleteDependents:
		default:
			errs = append(errs, field.Invalid(at.Child("finalizers").Index(i), name, "name is neither a standard finalizer name nor is it fully qualified"))
		}
	}
	return errs
}

// Warnings of owners that stand twice.
const (
	ownersTwice = ".metadata.ownerReferences contains duplicate entries%s; API server dedups owner references in 1.20+, " +
		"and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: %s"
	afterAdmission = " after mutating admission happens"
)

// nameOwnersOnce takes out owner references that stand twice, and warns of them. when says at what time they
// were found, in the words of the warning: of a patch only after admission.
func (w *Write) nameOwnersOnce(ctx context.Context, o Object, when string) {
	if _, patch := w.Options.(*metav1.PatchOptions); patch && when == "" {
		return
	}
	refs := o.GetOwnerReferences()
	var once []metav1.OwnerReference
	var again []string
	for _, r := range refs {
		if slices.ContainsFunc(once, func(have metav1.OwnerReference) bool { return equality.Semantic.DeepEqual(have, r) }) {
			again = append(again, string(r.UID))
			continue
		}
		once = append(once, r)
	}
	if len(again) > 0 {
		request.Warn(ctx, fmt.Sprintf(ownersTwice, when, strings.Join(again, ", ")))
		o.SetOwnerReferences(once)
	}
}

// sameButTimes says whether two objects differ at most in the times of their managedFields.
func sameButTimes(a, b Object) bool {
	one, two := a.GetManagedFields(), b.GetManagedFields()
	if len(one) != len(two) || !maps.Equal(a.GetLabels(), b.GetLabels()) { // which many writes change
		return false
	}
	without := slices.Clone(one) // nil of nil: in a custom object an empty list is another thing than none
	for i := range without {
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
