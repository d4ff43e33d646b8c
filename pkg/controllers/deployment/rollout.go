package deployment

import (
	"math"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// sum adds up what the sets are told to have.
func sum(sets []*appsv1.ReplicaSet) (n int32) {
	for _, s := range sets {
		n += *s.Spec.Replicas
	}
	return n
}

func actual(sets []*appsv1.ReplicaSet) (n int32) {
	for _, s := range sets {
		n += s.Status.Replicas
	}
	return n
}

func available(sets []*appsv1.ReplicaSet) (n int32) {
	for _, s := range sets {
		n += s.Status.AvailableReplicas
	}
	return n
}

func active(sets []*appsv1.ReplicaSet) []*appsv1.ReplicaSet {
	var list []*appsv1.ReplicaSet
	for _, s := range sets {
		if *s.Spec.Replicas > 0 {
			list = append(list, s)
		}
	}
	return list
}

func rolling(d *appsv1.Deployment) bool {
	return d.Spec.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType && d.Spec.Strategy.RollingUpdate != nil
}

// fences resolves maxSurge (rounded up) and maxUnavailable (rounded down). Both at zero would stop every
// rollout, so that one pod may then be unavailable.
func fences(d *appsv1.Deployment) (surge, unavailable int32) {
	if !rolling(d) {
		return 0, 0
	}
	replicas := int(*d.Spec.Replicas)
	ru := d.Spec.Strategy.RollingUpdate
	s, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(ru.MaxSurge, intstr.FromInt32(0)), replicas, true)
	if err != nil {
		s = 0
	}
	u, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(ru.MaxUnavailable, intstr.FromInt32(0)), replicas, false)
	if err != nil {
		u = 0
	}
	if s == 0 && u == 0 {
		u = 1
	}
	return int32(s), int32(u)
}

// maxUnavailable is how many pods may be missing of those wanted.
func maxUnavailable(d *appsv1.Deployment) int32 {
	if *d.Spec.Replicas == 0 {
		return 0
	}
	_, u := fences(d)
	return min(u, *d.Spec.Replicas)
}

// newSize is how many pods the new set may have now, given all sets.
func newSize(d *appsv1.Deployment, all []*appsv1.ReplicaSet, current int32) int32 {
	if !rolling(d) {
		return *d.Spec.Replicas
	}
	surge, _ := fences(d)
	room := *d.Spec.Replicas + surge - sum(all)
	if room <= 0 {
		return current
	}
	return current + min(room, *d.Spec.Replicas-current)
}

// sizes is what sets shall have, by name. Those not named stay as they are.
type sizes map[string]int32

// shrinkOld decides how far the old sets shrink now: pods that are not available first, which costs
// nothing, then as many available ones as maxUnavailable and the new pods that are available permit.
func shrinkOld(d *appsv1.Deployment, newSet *appsv1.ReplicaSet, all, old []*appsv1.ReplicaSet) sizes {
	if sum(old) == 0 || newSet == nil {
		return nil
	}
	least := *d.Spec.Replicas - maxUnavailable(d)
	newNotAvailable := *newSet.Spec.Replicas - newSet.Status.AvailableReplicas
	room := sum(all) - least - newNotAvailable
	if room <= 0 {
		return nil
	}
	old = slices.Clone(old)
	slices.SortFunc(old, olderFirst)
	want, broken := sizes{}, int32(0)
	for _, s := range old {
		want[s.Name] = *s.Spec.Replicas
		if n := min(*s.Spec.Replicas-s.Status.AvailableReplicas, room-broken); n > 0 {
			want[s.Name] -= n
			broken += n
		}
	}
	spare := available(all) - least
	for _, s := range old {
		if n := min(want[s.Name], spare); n > 0 {
			want[s.Name] -= n
			spare -= n
		}
	}
	for _, s := range old {
		if want[s.Name] == *s.Spec.Replicas {
			delete(want, s.Name)
		}
	}
	return want
}

// rescale decides sizes when the deployment's own size has changed amid a rollout or while paused.
func rescale(d *appsv1.Deployment, newSet *appsv1.ReplicaSet, old []*appsv1.ReplicaSet) sizes {
	if one := activeOrLatest(newSet, old); one != nil {
		if *one.Spec.Replicas == *d.Spec.Replicas {
			return nil
		}
		return sizes{one.Name: *d.Spec.Replicas}
	}
	if saturated(d, newSet) {
		want := sizes{}
		for _, s := range active(old) {
			want[s.Name] = 0
		}
		return want
	}
	if !rolling(d) {
		return nil
	}
	return proportional(d, active(withNew(old, newSet)))
}

// withNew is old and, where there is one, the new set.
func withNew(old []*appsv1.ReplicaSet, newSet *appsv1.ReplicaSet) []*appsv1.ReplicaSet {
	if newSet == nil {
		return old
	}
	return append(slices.Clone(old), newSet)
}

// activeOrLatest is the one set that has pods, the newest where none has, and nil where several have.
func activeOrLatest(newSet *appsv1.ReplicaSet, old []*appsv1.ReplicaSet) *appsv1.ReplicaSet {
	switch a := active(withNew(old, newSet)); {
	case len(a) == 1:
		return a[0]
	case len(a) > 1:
		return nil
	case newSet != nil || len(old) == 0:
		return newSet
	}
	return slices.MinFunc(old, func(a, b *appsv1.ReplicaSet) int { return olderFirst(b, a) })
}

// saturated: the new set has all pods that the deployment wants, and they are available.
func saturated(d *appsv1.Deployment, s *appsv1.ReplicaSet) bool {
	if s == nil {
		return false
	}
	desired, ok := intAnnotation(s, desiredAnnotation)
	return ok && *s.Spec.Replicas == *d.Spec.Replicas && desired == *d.Spec.Replicas && s.Status.AvailableReplicas == *d.Spec.Replicas
}

// proportional spreads the difference over the sets by their share, the biggest first; what rounding
// leaves goes to the first.
func proportional(d *appsv1.Deployment, sets []*appsv1.ReplicaSet) sizes {
	surge, _ := fences(d)
	allowed := int32(0)
	if *d.Spec.Replicas > 0 {
		allowed = *d.Spec.Replicas + surge
	}
	change := allowed - sum(sets)
	sets = slices.Clone(sets)
	slices.SortFunc(sets, func(a, b *appsv1.ReplicaSet) int {
		if c := int(*b.Spec.Replicas) - int(*a.Spec.Replicas); c != 0 {
			return c
		}
		if change > 0 {
			return olderFirst(b, a)
		}
		return olderFirst(a, b)
	})
	want, given := sizes{}, int32(0)
	for _, s := range sets {
		want[s.Name] = *s.Spec.Replicas
		if change == 0 {
			continue
		}
		n := share(d, s, allowed)
		if change > 0 {
			n = min(n, change-given)
		} else {
			n = max(n, change-given)
		}
		want[s.Name] += n
		given += n
	}
	if len(sets) > 0 && change != 0 {
		want[sets[0].Name] = max(want[sets[0].Name]+change-given, 0)
	}
	return want
}

// share is by how much a set changes for the deployment to get to its new size.
func share(d *appsv1.Deployment, s *appsv1.ReplicaSet, allowed int32) int32 {
	if *d.Spec.Replicas == 0 {
		return -*s.Spec.Replicas
	}
	before, ok := intAnnotation(s, maxAnnotation)
	if !ok || before == 0 {
		if before = d.Status.Replicas; before == 0 {
			return 0
		}
	}
	return int32(math.Round(float64(*s.Spec.Replicas)*float64(allowed)/float64(before))) - *s.Spec.Replicas
}

// olderFirst orders by age, then by name.
func olderFirst(a, b *appsv1.ReplicaSet) int {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		if a.CreationTimestamp.Before(&b.CreationTimestamp) {
			return -1
		}
		return 1
	}
	return strings.Compare(a.Name, b.Name)
}
