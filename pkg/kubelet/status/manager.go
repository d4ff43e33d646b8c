// Package status writes pods' statuses to the apiserver: in the background, merged, only where something
// changed, and after the last one of a pod that was told to end, its deletion. It must not know how
// statuses come about.
package status

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
)

const (
	writers    = 16 // how many pods' statuses are written at once
	firstRetry = 200 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// Manager keeps what every pod's status shall be, and has the apiserver agree. It is safe for use by several
// goroutines.
type Manager struct {
	ctx    context.Context
	client kubernetes.Interface // nil: nobody is told
	clock  clock.Clock
	log    logr.Logger
	slots  chan struct{}

	mu   sync.Mutex
	pods map[types.UID]*entry
}

// entry is one pod's.
type entry struct {
	target  *corev1.Pod // as the apiserver has it; nil while it does not
	wanted  *corev1.PodStatus
	delete  bool // once wanted is written
	writing bool
	version int // raised by every change, so that a writer sees that there is more to do
}

// New makes a Manager. Its writes end with ctx.
func New(ctx context.Context, client kubernetes.Interface, c clock.Clock, log logr.Logger) *Manager {
	return &Manager{ctx: ctx, client: client, clock: c, log: log, slots: make(chan struct{}, writers), pods: map[types.UID]*entry{}}
}

// Seen tells what the apiserver has: of the pod itself, or of the mirror of the static pod with that uid.
func (m *Manager) Seen(uid types.UID, p *corev1.Pod) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entry(uid)
	if e.target != nil && p != nil && e.target.UID == p.UID && older(p, e.target) {
		return
	}
	e.target = p
	m.touch(uid, e)
}

// older says whether a was written before b. Versions that are not numbers count as new.
func older(a, b *corev1.Pod) bool {
	x, err1 := strconv.ParseUint(a.ResourceVersion, 10, 64)
	y, err2 := strconv.ParseUint(b.ResourceVersion, 10, 64)
	return err1 == nil && err2 == nil && x < y
}

// Set tells what the status shall be.
func (m *Manager) Set(uid types.UID, s corev1.PodStatus) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entry(uid)
	if e.wanted != nil && equality.Semantic.DeepEqual(*e.wanted, s) {
		return
	}
	e.wanted = &s
	m.touch(uid, e)
}

// Finish tells that nothing of the pod is left on this node: once its status is written it may go.
func (m *Manager) Finish(uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entry(uid)
	e.delete = true
	m.touch(uid, e)
}

// Get answers what the status shall be.
func (m *Manager) Get(uid types.UID) (corev1.PodStatus, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.pods[uid]
	if e == nil || e.wanted == nil {
		return corev1.PodStatus{}, false
	}
	return *e.wanted, true
}

// Forget drops a pod that is gone.
func (m *Manager) Forget(uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.pods, uid)
}

// entry is the pod's, made where there was none; m.mu is held.
func (m *Manager) entry(uid types.UID) *entry {
	e := m.pods[uid]
	if e == nil {
		e = &entry{}
		m.pods[uid] = e
	}
	return e
}

// touch has the entry written, by the writer that is at it already where there is one; m.mu is held.
func (m *Manager) touch(uid types.UID, e *entry) {
	e.version++
	if e.writing || m.client == nil || e.target == nil || e.wanted == nil {
		return
	}
	e.writing = true
	go m.write(uid, e)
}

// write brings the apiserver to what the entry says, until there is nothing more to do.
func (m *Manager) write(uid types.UID, e *entry) {
	select {
	case m.slots <- struct{}{}:
	case <-m.ctx.Done():
		return
	}
	defer func() { <-m.slots }()
	retry := firstRetry
	for {
		m.mu.Lock()
		if m.pods[uid] != e || e.target == nil {
			e.writing = false
			m.mu.Unlock()
			return
		}
		version, target, wanted, remove := e.version, e.target, *e.wanted, e.delete
		m.mu.Unlock()
		written, err := m.writeOnce(target, wanted, remove)
		m.mu.Lock()
		if err == nil && written != nil && !older(written, e.target) {
			e.target = written
		}
		if err == nil && e.version == version || apierrors.IsNotFound(err) || apierrors.IsForbidden(err) && m.ctx.Err() != nil {
			e.writing = false
			m.mu.Unlock()
			return
		}
		m.mu.Unlock()
		if err == nil {
			retry = firstRetry
			continue
		}
		m.log.V(2).Info("Writing a pod's status failed; trying again", "pod", target.Namespace+"/"+target.Name, "in", retry, "err", err)
		select {
		case <-m.ctx.Done():
			return
		case <-m.clock.After(retry):
		}
		retry = min(2*retry, lastRetry)
	}
}

func (m *Manager) writeOnce(target *corev1.Pod, wanted corev1.PodStatus, remove bool) (*corev1.Pod, error) {
	patch, err := Patch(target, wanted)
	if err != nil {
		return nil, err
	}
	pods := m.client.CoreV1().Pods(target.Namespace)
	written := target
	if patch != nil {
		written, err = pods.Patch(m.ctx, target.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		if err != nil {
			return nil, err
		}
	}
	if !remove || target.DeletionTimestamp == nil {
		return written, nil
	}
	now := int64(0)
	err = pods.Delete(m.ctx, target.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &target.UID},
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return written, nil // it is gone, or another of its name is there
	}
	return written, err
}

// Patch is the strategic merge patch that gives target the status wanted, nil where it has it. It fails on
// another pod of the same name.
func Patch(target *corev1.Pod, wanted corev1.PodStatus) ([]byte, error) {
	before := corev1.Pod{Status: target.Status}
	after := corev1.Pod{Status: wanted}
	after.Status.Conditions = Merge(target.Status.Conditions, wanted.Conditions)
	after.Status.NominatedNodeName = target.Status.NominatedNodeName // and what else others write:
	after.Status.ResourceClaimStatuses = target.Status.ResourceClaimStatuses
	after.Status.ExtendedResourceClaimStatus = target.Status.ExtendedResourceClaimStatus
	if equality.Semantic.DeepEqual(before.Status, after.Status) {
		return nil, nil
	}
	old, err := json.Marshal(before)
	if err != nil {
		return nil, fmt.Errorf("encoding a pod's old status: %w", err)
	}
	after.UID = target.UID
	wish, err := json.Marshal(after)
	if err != nil {
		return nil, fmt.Errorf("encoding a pod's new status: %w", err)
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(old, wish, corev1.Pod{})
	if err != nil {
		return nil, fmt.Errorf("making a patch of a pod's status: %w", err)
	}
	var found struct {
		Status json.RawMessage `json:"status"`
	}
	if err := json.Unmarshal(patch, &found); err == nil && len(found.Status) == 0 {
		return nil, nil // they differ in what JSON does not show
	}
	return patch, nil
}

// own are the conditions that only the kubelet writes.
var own = map[corev1.PodConditionType]bool{
	corev1.PodScheduled: true, corev1.PodReady: true, corev1.PodInitialized: true, corev1.ContainersReady: true,
	corev1.PodReadyToStartContainers: true,
}

// Merge takes the kubelet's conditions from wanted and those of others from what the apiserver has.
func Merge(have, wanted []corev1.PodCondition) []corev1.PodCondition {
	var out []corev1.PodCondition
	theirs := map[corev1.PodConditionType]bool{}
	for _, c := range have {
		theirs[c.Type] = !own[c.Type]
	}
	for _, c := range wanted {
		if !theirs[c.Type] {
			out = append(out, c)
		}
	}
	for _, c := range have {
		if theirs[c.Type] {
			out = append(out, c)
		}
	}
	return out
}
