package resource

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// metadataMaker puts metadata together from what is sound and what is not; the less it is tempted, the sounder.
type metadataMaker struct {
	*rand.Rand
	faults int // of a hundred choices
}

func pick[T any](m *metadataMaker, sound, other []T) T {
	if m.IntN(100) < m.faults {
		return other[m.IntN(len(other))]
	}
	return sound[m.IntN(len(sound))]
}

func (m *metadataMaker) pairs(values []string) map[string]string {
	out := map[string]string{}
	for range m.IntN(3) {
		out[pick(m, []string{"a", "example.com/Name"}, []string{"", "a/b/c", "-a", "Example.com/a", "a b"})] = pick(m, []string{"", "v", "V.1"}, values)
	}
	return out
}

var tooMuch = strings.Repeat("v", apivalidation.TotalAnnotationSizeLimitB)

func (m *metadataMaker) object() *corev1.Pod {
	now, yes := metav1.NewTime(time.Unix(1000, 0)), true
	owner := metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "r", UID: "u", Controller: &yes}
	empty, event := metav1.OwnerReference{}, owner
	event.APIVersion, event.Kind = "v1", "Event"
	entry := metav1.ManagedFieldsEntry{Manager: "m", Operation: metav1.ManagedFieldsOperationUpdate, FieldsType: "FieldsV1"}
	odd, long := entry, entry
	odd.Operation, odd.FieldsType, odd.Manager = "Other", "FieldsV2", "m\x00"
	long.Manager, long.Subresource = strings.Repeat("m", 129), strings.Repeat("s", 257)
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name:              pick(m, []string{"p", "p.q"}, []string{"", "P", "a/b", "..", strings.Repeat("p", 254)}),
		GenerateName:      pick(m, []string{"", "p-"}, []string{"P-", "--", "-"}),
		Namespace:         pick(m, []string{"n"}, []string{"", "n.m", "N"}),
		UID:               types.UID(pick(m, []string{"u"}, []string{"", "v"})),
		ResourceVersion:   pick(m, []string{"1"}, []string{""}),
		Generation:        pick(m, []int64{1, 2}, []int64{-1, 0}),
		CreationTimestamp: pick(m, []metav1.Time{now}, []metav1.Time{{}, metav1.NewTime(time.Unix(2000, 0))}),
		DeletionTimestamp: pick(m, []*metav1.Time{nil}, []*metav1.Time{&now}), DeletionGracePeriodSeconds: pick(m, []*int64{nil}, []*int64{new(int64)}),
		Labels:          m.pairs([]string{"a b", strings.Repeat("v", 64), "-"}),
		Annotations:     m.pairs([]string{"any", tooMuch}),
		OwnerReferences: pick(m, [][]metav1.OwnerReference{nil, {owner}}, [][]metav1.OwnerReference{{owner, owner}, {empty}, {event}}),
		Finalizers:      pick(m, [][]string{nil, {"a/b"}, {"kubernetes"}}, [][]string{{"a"}, {"A b"}, {"orphan", "foregroundDeletion"}}),
		ManagedFields:   pick(m, [][]metav1.ManagedFieldsEntry{nil, {entry}}, [][]metav1.ManagedFieldsEntry{{odd}, {long}}),
	}}
}

// TestSoundMetadataHasNoFaults compares with the whole judgement.
func TestSoundMetadataHasNoFaults(t *testing.T) {
	kinds := map[string]*Store{
		"namespaced":         {Resource: &Resource{WholeUpdate: true}},
		"of the cluster":     {Resource: &Resource{ClusterScoped: true}},
		"with names as such": {Resource: &Resource{ValidateName: apivalidation.NameIsDNSLabel, FreeFinalizers: true}},
	}
	for name, s := range kinds {
		created, changed := 0, 0
		for seed := range uint64(6000) {
			m := &metadataMaker{rand.New(rand.NewPCG(seed, 1)), int(seed % 12)}
			o, old := m.object(), m.object()
			if s.ClusterScoped {
				o.Namespace, old.Namespace = strings.TrimSuffix(o.Namespace, "n"), strings.TrimSuffix(old.Namespace, "n")
			}
			if !s.hasSoundMetadata(o) {
				continue
			}
			created++
			if faults := s.faultsOfMetadata(o); len(faults) > 0 {
				t.Fatalf("%s: %v is called sound: %v", name, o.ObjectMeta, faults)
			}
			if !changedSoundly(o, old) {
				continue
			}
			changed++
			for _, part := range []bool{false, true} {
				if faults := s.faultsOfChangedMetadata(o, old, part); len(faults) > 0 {
					t.Fatalf("%s: %v after %v is called sound: %v", name, o.ObjectMeta, old.ObjectMeta, faults)
				}
			}
		}
		if created < 1000 || changed < 100 {
			t.Errorf("%s: only %d objects and %d changes were sound", name, created, changed)
		}
	}
}
