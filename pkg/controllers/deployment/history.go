package deployment

import (
	"encoding/json"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
)

const (
	revisionAnnotation = "deployment.kubernetes.io/revision"
	historyAnnotation  = "deployment.kubernetes.io/revision-history"
	desiredAnnotation  = "deployment.kubernetes.io/desired-replicas"
	maxAnnotation      = "deployment.kubernetes.io/max-replicas"
	hashLabel          = appsv1.DefaultDeploymentUniqueLabelKey
	maxHistoryLength   = 2000 // bytes of historyAnnotation
)

// templateHash names a template. It is stable: the JSON of the template with its map keys in order, so
// that fields added to the API later, being left out when empty, do not change it.
func templateHash(t *corev1.PodTemplateSpec, collisions *int32) string {
	h := fnv.New32a()
	data, err := json.Marshal(t)
	if err != nil {
		panic(err) // API types always encode
	}
	h.Write(data)
	if collisions != nil {
		h.Write([]byte(strconv.Itoa(int(*collisions))))
	}
	return rand.SafeEncodeString(strconv.FormatUint(uint64(h.Sum32()), 10))
}

// sameTemplate compares templates, leaving out the hash label that the controller itself adds.
func sameTemplate(a, b *corev1.PodTemplateSpec) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	delete(a.Labels, hashLabel)
	delete(b.Labels, hashLabel)
	return equality.Semantic.DeepEqual(a, b)
}

// findNew is the oldest set that has the deployment's template, nil for none.
func findNew(d *appsv1.Deployment, sets []*appsv1.ReplicaSet) *appsv1.ReplicaSet {
	sets = slices.Clone(sets)
	slices.SortFunc(sets, olderFirst)
	for _, s := range sets {
		if sameTemplate(&s.Spec.Template, &d.Spec.Template) {
			return s
		}
	}
	return nil
}

// without is sets but for one.
func without(sets []*appsv1.ReplicaSet, one *appsv1.ReplicaSet) []*appsv1.ReplicaSet {
	return slices.DeleteFunc(slices.Clone(sets), func(s *appsv1.ReplicaSet) bool { return one != nil && s.UID == one.UID })
}

func revision(o metav1.Object) int64 {
	n, err := strconv.ParseInt(o.GetAnnotations()[revisionAnnotation], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func intAnnotation(s *appsv1.ReplicaSet, name string) (int32, bool) {
	n, err := strconv.ParseInt(s.Annotations[name], 10, 32)
	return int32(n), err == nil
}

func maxRevision(sets []*appsv1.ReplicaSet) (n int64) {
	for _, s := range sets {
		n = max(n, revision(s))
	}
	return n
}

// notCopied are annotations that belong to the object they are on.
var notCopied = map[string]bool{
	corev1.LastAppliedConfigAnnotation: true, revisionAnnotation: true, historyAnnotation: true,
	desiredAnnotation: true, maxAnnotation: true, appsv1.DeprecatedRollbackTo: true,
}

// annotateNew gives the new set the deployment's annotations and the next revision, and tells whether
// anything changed. A set that is new again (a rollback) keeps the revisions it had in its history.
func annotateNew(d *appsv1.Deployment, s *appsv1.ReplicaSet, next int64, exists bool) bool {
	changed := setAnnotations(s, d.Annotations)
	if !exists {
		changed = sizeAnnotations(d, s) || changed
	}
	old := revision(s)
	if old >= next {
		return changed
	}
	if old > 0 && exists {
		s.Annotations[historyAnnotation] = appendHistory(s.Annotations[historyAnnotation], strconv.FormatInt(old, 10))
	}
	s.Annotations[revisionAnnotation] = strconv.FormatInt(next, 10)
	return true
}

func appendHistory(history, old string) string {
	if history == "" {
		return old
	}
	list := append(strings.Split(history, ","), old)
	for len(list) > 1 && len(strings.Join(list, ",")) > maxHistoryLength {
		list = list[1:]
	}
	return strings.Join(list, ",")
}

func setAnnotations(s *appsv1.ReplicaSet, from map[string]string) bool {
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	before := maps.Clone(s.Annotations)
	for k, v := range from {
		if !notCopied[k] {
			s.Annotations[k] = v
		}
	}
	return !maps.Equal(before, s.Annotations)
}

// sizeAnnotations records the deployment's size on a set, by which a later change is recognised.
func sizeAnnotations(d *appsv1.Deployment, s *appsv1.ReplicaSet) bool {
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	surge, _ := fences(d)
	desired, most := strconv.Itoa(int(*d.Spec.Replicas)), strconv.Itoa(int(*d.Spec.Replicas+surge))
	if s.Annotations[desiredAnnotation] == desired && s.Annotations[maxAnnotation] == most {
		return false
	}
	s.Annotations[desiredAnnotation], s.Annotations[maxAnnotation] = desired, most
	return true
}

// resized tells whether the deployment's size has changed since its sets were last scaled.
func resized(d *appsv1.Deployment, sets []*appsv1.ReplicaSet) bool {
	for _, s := range active(sets) {
		if n, ok := intAnnotation(s, desiredAnnotation); ok && n != *d.Spec.Replicas {
			return true
		}
	}
	return false
}

// superfluous are old sets beyond revisionHistoryLimit that have no pods, the oldest revisions first.
func superfluous(d *appsv1.Deployment, old []*appsv1.ReplicaSet) []*appsv1.ReplicaSet {
	if d.Spec.RevisionHistoryLimit == nil || *d.Spec.RevisionHistoryLimit == 1<<31-1 {
		return nil
	}
	old = slices.DeleteFunc(slices.Clone(old), func(s *appsv1.ReplicaSet) bool { return s.DeletionTimestamp != nil })
	excess := len(old) - int(*d.Spec.RevisionHistoryLimit)
	if excess <= 0 {
		return nil
	}
	slices.SortFunc(old, func(a, b *appsv1.ReplicaSet) int {
		if x, y := revision(a), revision(b); x != y {
			return int(x - y)
		}
		return olderFirst(a, b)
	})
	return slices.DeleteFunc(old[:excess], func(s *appsv1.ReplicaSet) bool {
		return s.Status.Replicas != 0 || *s.Spec.Replicas != 0 || s.Generation > s.Status.ObservedGeneration
	})
}
