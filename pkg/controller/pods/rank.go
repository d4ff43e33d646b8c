package pods

import (
	"math"
	"sort"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DeletionOrder sorts pods in place so that those which should go first when a set shrinks come first:
// unscheduled, pending, not ready, cheap to delete (controller.kubernetes.io/pod-deletion-cost), many on
// one node, ready for a short time, often restarted, young. beside are all pods whose placement
// counts; times are compared by order of magnitude, so that not always the youngest are hit.
func DeletionOrder(pods, beside []*corev1.Pod, now time.Time) {
	onNode := map[string]int{}
	for _, p := range beside {
		if Active(p) {
			onNode[p.Spec.NodeName]++
		}
	}
	sort.SliceStable(pods, func(i, j int) bool { return goesFirst(pods[i], pods[j], onNode, now) })
}

func goesFirst(a, b *corev1.Pod, onNode map[string]int, now time.Time) bool {
	if x, y := a.Spec.NodeName == "", b.Spec.NodeName == ""; x != y {
		return x
	}
	if x, y := phaseRank(a), phaseRank(b); x != y {
		return x < y
	}
	if x, y := Ready(a), Ready(b); x != y {
		return !x
	}
	if x, y := deletionCost(a), deletionCost(b); x != y {
		return x < y
	}
	if x, y := onNode[a.Spec.NodeName], onNode[b.Spec.NodeName]; x != y {
		return x > y
	}
	if Ready(a) && Ready(b) {
		x, y := Condition(a, corev1.PodReady).LastTransitionTime, Condition(b, corev1.PodReady).LastTransitionTime
		if !x.Equal(&y) {
			return younger(x, y, a, b, now)
		}
	}
	if x, y := restarts(a), restarts(b); x != y {
		return x > y
	}
	x, y := a.CreationTimestamp, b.CreationTimestamp
	return !x.Equal(&y) && younger(x, y, a, b, now)
}

func younger(x, y metav1.Time, a, b *corev1.Pod, now time.Time) bool {
	if x.IsZero() || y.IsZero() {
		return x.IsZero()
	}
	if mx, my := magnitude(now.Sub(x.Time)), magnitude(now.Sub(y.Time)); mx != my {
		return mx < my
	}
	return a.UID < b.UID
}

// magnitude is the order of magnitude of an age, in powers of two.
func magnitude(d time.Duration) int {
	if d <= 0 {
		return -1
	}
	return int(math.Log2(float64(d)))
}

func phaseRank(p *corev1.Pod) int {
	switch p.Status.Phase {
	case corev1.PodRunning:
		return 2
	case corev1.PodUnknown:
		return 1
	default:
		return 0
	}
}

// deletionCost reads the annotation; what is not a plain 32-bit number counts as 0.
func deletionCost(p *corev1.Pod) int32 {
	s := p.Annotations[corev1.PodDeletionCost]
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || strconv.FormatInt(n, 10) != s {
		return 0
	}
	return int32(n)
}

func restarts(p *corev1.Pod) int32 {
	var most int32
	for _, c := range p.Status.ContainerStatuses {
		most = max(most, c.RestartCount)
	}
	return most
}
