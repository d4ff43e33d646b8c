package daemonset

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sampan-project/sampan/pkg/controller/pods"
)

// plan is what changes now: nodes that get a pod, and pods that go.
type plan struct {
	create []string
	delete []*corev1.Pod
	failed []*corev1.Pod // of those to delete: ended ones, which are told about
}

// state is what a plan is made from.
type state struct {
	ds     *appsv1.DaemonSet
	hash   string
	nodes  []*corev1.Node
	byNode map[string][]*corev1.Pod
	now    time.Time
}

// current tells whether a pod is of the current template.
func (s *state) current(p *corev1.Pod) bool {
	if g, ok := generation(s.ds); ok && p.Labels[generationLabel] == strconv.FormatInt(g, 10) {
		return true
	}
	return s.hash != "" && p.Labels[appsv1.ControllerRevisionHashLabelKey] == s.hash
}

// place decides for each node: one pod where one belongs, none elsewhere.
func (s *state) place() plan {
	var p plan
	known := map[string]bool{}
	for _, n := range s.nodes {
		known[n.Name] = true
		start, stay := belongs(s.ds, n)
		here := s.byNode[n.Name]
		switch {
		case start && len(here) == 0:
			p.create = append(p.create, n.Name)
		case !stay:
			p.delete = append(p.delete, alive(here)...)
		case len(here) > 0:
			s.settle(n.Name, here, start, &p)
		}
	}
	for node, here := range s.byNode { // pods pinned to nodes that are gone and that they never reached
		if known[node] {
			continue
		}
		for _, pod := range here {
			if pod.Spec.NodeName == "" && pod.DeletionTimestamp == nil {
				p.delete = append(p.delete, pod)
			}
		}
	}
	return p
}

// settle leaves one pod on a node: the oldest, or during a surge one old and one new until the new is
// available.
func (s *state) settle(node string, here []*corev1.Pod, start bool, p *plan) {
	var running []*corev1.Pod
	for _, pod := range here {
		switch {
		case pod.DeletionTimestamp != nil:
		case pods.Terminal(pod):
			p.delete, p.failed = append(p.delete, pod), append(p.failed, pod)
		default:
			running = append(running, pod)
		}
	}
	surge, _ := limits(s.ds, len(s.nodes))
	if len(running) <= 1 {
		// A node whose only pod is on its way out gets the next one when it is gone, or at once with surge.
		if len(running) == 0 && surge > 0 && start && len(p.failed) == 0 {
			p.create = append(p.create, node)
		}
		return
	}
	if surge == 0 {
		p.delete = append(p.delete, oldestFirst(running)[1:]...)
		return
	}
	var older, newer []*corev1.Pod
	for _, pod := range running {
		if s.current(pod) {
			newer = append(newer, pod)
		} else {
			older = append(older, pod)
		}
	}
	newer, older = oldestFirst(newer), oldestFirst(older)
	if len(newer) > 1 {
		p.delete = append(p.delete, newer[1:]...)
	}
	if len(older) > 1 {
		p.delete = append(p.delete, older[1:]...)
	}
	if len(older) > 0 && len(newer) > 0 && (pods.Available(newer[0], s.ds.Spec.MinReadySeconds, s.now) || !pods.Ready(older[0])) {
		p.delete = append(p.delete, older[0])
	}
}

func alive(list []*corev1.Pod) []*corev1.Pod {
	return slices.DeleteFunc(slices.Clone(list), func(p *corev1.Pod) bool { return p.DeletionTimestamp != nil })
}

// oldestFirst sorts by whether a pod has a node, then by age.
func oldestFirst(list []*corev1.Pod) []*corev1.Pod {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b *corev1.Pod) int {
		if x, y := a.Spec.NodeName == "", b.Spec.NodeName == ""; x != y {
			if x {
				return 1
			}
			return -1
		}
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// limits resolves maxSurge and maxUnavailable, both rounded up.
func limits(ds *appsv1.DaemonSet, desired int) (surge, unavailable int) {
	ru := ds.Spec.UpdateStrategy.RollingUpdate
	if ds.Spec.UpdateStrategy.Type != appsv1.RollingUpdateDaemonSetStrategyType || ru == nil {
		return 0, 0
	}
	surge, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(ru.MaxSurge, intstr.FromInt32(0)), desired, true)
	if err != nil {
		surge = 0
	}
	unavailable, err = intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(ru.MaxUnavailable, intstr.FromInt32(1)), desired, true)
	if err != nil {
		unavailable = 0
	}
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, unavailable
}

// roll decides which old pods a rolling update replaces now.
func (s *state) roll() plan {
	desired := 0
	var should []*corev1.Node
	for _, n := range s.nodes {
		if start, _ := belongs(s.ds, n); start {
			desired++
			should = append(should, n)
		}
	}
	surge, unavailable := limits(s.ds, desired)
	if surge > 0 {
		return s.rollBySurge(should, surge)
	}
	return s.rollByDeletion(should, unavailable)
}

// rollByDeletion deletes old pods: those that are not available at once, others while maxUnavailable has room.
func (s *state) rollByDeletion(should []*corev1.Node, room int) plan {
	var p plan
	var candidates []*corev1.Pod
	missing := 0
	for _, n := range should {
		older, newer, count := s.split(n.Name)
		switch {
		case count == 0, count > 1: // being created; or being settled
			missing++
		case newer != nil:
			if !pods.Available(newer, s.ds.Spec.MinReadySeconds, s.now) {
				missing++
			}
		case older.DeletionTimestamp != nil:
			missing++
		case !pods.Available(older, s.ds.Spec.MinReadySeconds, s.now):
			p.delete = append(p.delete, older)
			missing++
		default:
			candidates = append(candidates, older)
		}
	}
	p.delete = append(p.delete, candidates[:min(max(room-missing, 0), len(candidates))]...)
	return p
}

// rollBySurge makes new pods beside old ones, maxSurge at a time; old ones that are not available are
// replaced at once, which costs nothing.
func (s *state) rollBySurge(should []*corev1.Node, surge int) plan {
	var p plan
	surging := 0
	var candidates []string
	for _, n := range should {
		older, newer, _ := s.split(n.Name)
		switch {
		case older == nil:
		case newer == nil:
			if pods.Available(older, s.ds.Spec.MinReadySeconds, s.now) {
				candidates = append(candidates, n.Name)
			} else if older.DeletionTimestamp == nil {
				surging++
				p.create = append(p.create, n.Name)
			}
		default:
			if pods.Available(newer, s.ds.Spec.MinReadySeconds, s.now) {
				if older.DeletionTimestamp == nil {
					p.delete = append(p.delete, older)
				}
			} else {
				surging++
			}
		}
	}
	p.create = append(p.create, candidates[:min(max(surge-surging, 0), len(candidates))]...)
	return p
}

// split finds a node's oldest pod of an older template and of the current one.
func (s *state) split(node string) (older, newer *corev1.Pod, count int) {
	for _, pod := range oldestFirst(s.byNode[node]) {
		if pods.Terminal(pod) {
			continue
		}
		count++
		if s.current(pod) {
			if newer == nil && pod.DeletionTimestamp == nil {
				newer = pod
			}
		} else if older == nil {
			older = pod
		}
	}
	if older == nil && newer == nil {
		count = 0
	}
	return older, newer, count
}

// status counts.
func (s *state) status() appsv1.DaemonSetStatus {
	st := appsv1.DaemonSetStatus{
		ObservedGeneration: s.ds.Generation, CollisionCount: s.ds.Status.CollisionCount, Conditions: s.ds.Status.Conditions,
	}
	for _, n := range s.nodes {
		start, _ := belongs(s.ds, n)
		here := alive(s.byNode[n.Name])
		if !start {
			if len(here) > 0 {
				st.NumberMisscheduled++
			}
			continue
		}
		st.DesiredNumberScheduled++
		if len(here) == 0 {
			continue
		}
		st.CurrentNumberScheduled++
		pod := oldestFirst(here)[0]
		if pods.Ready(pod) {
			st.NumberReady++
			if pods.Available(pod, s.ds.Spec.MinReadySeconds, s.now) {
				st.NumberAvailable++
			}
		}
		if s.current(pod) {
			st.UpdatedNumberScheduled++
		}
	}
	st.NumberUnavailable = st.DesiredNumberScheduled - st.NumberAvailable
	return st
}
