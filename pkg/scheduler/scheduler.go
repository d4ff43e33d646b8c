// Package scheduler gives every pod a node. Pods wait in a queue; each is tried against a snapshot of the
// cluster in a cycle that is a pure function; what the cycle decided is assumed at once and written
// beside the next cycle.
package scheduler

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/scheduler/framework"
	"github.com/sampan-project/sampan/pkg/scheduler/plugins"
)

// StatusWriter tells the apiserver why a pod waits: a PodScheduled condition.
type StatusWriter func(ctx context.Context, pod *corev1.Pod, c corev1.PodCondition) error

// Scheduler places the pods of its profiles. Its inputs are Node..., Pod...: calls from informers.
type Scheduler struct {
	cycles  map[string]*cycle // by schedulerName
	cache   *cache
	queue   *queue
	clock   clock.WithTicker
	log     logr.Logger
	events  func(schedulerName string) events.EventRecorder
	status  StatusWriter
	metrics *Metrics
	binding sync.WaitGroup
}

// Options are what a Scheduler is made of.
type Options struct {
	Profiles       []plugins.Profile
	Percent        int32         // of nodes to score; 0: by cluster size
	InitialBackoff time.Duration // after a first failure; doubles
	MaxBackoff     time.Duration
	Clock          clock.WithTicker
	Rand           *rand.Rand
	Log            logr.Logger
	Events         func(schedulerName string) events.EventRecorder
	Status         StatusWriter
	Metrics        *Metrics
}

// New makes a scheduler that knows nothing of the cluster yet.
func New(o Options) *Scheduler {
	s := &Scheduler{
		cycles: map[string]*cycle{}, cache: newCache(), queue: newQueue(o.Clock, o.InitialBackoff, o.MaxBackoff),
		clock: o.Clock, log: o.Log, events: o.Events, status: o.Status, metrics: o.Metrics,
	}
	for _, p := range o.Profiles {
		s.cycles[p.SchedulerName] = &cycle{profile: p, percent: o.Percent, rand: o.Rand}
	}
	s.queue.gated, s.queue.wakes = s.gated, s.wakes
	return s
}

// gated names the plugin that holds a pod out of the queue.
func (s *Scheduler) gated(pod *corev1.Pod) string {
	for _, p := range s.cycles[pod.Spec.SchedulerName].profile.Plugins {
		if p.PreEnqueue != nil && !p.PreEnqueue(pod).OK() {
			return p.Name
		}
	}
	return ""
}

// wakes asks the plugins that refused a pod whether an event could change their mind.
func (s *Scheduler) wakes(e framework.Event, pod *corev1.Pod, refused map[string]bool) bool {
	for _, p := range s.cycles[pod.Spec.SchedulerName].profile.Plugins {
		if refused[p.Name] && (p.Wakes == nil || p.Wakes(e, pod)) {
			return true
		}
	}
	return false
}

// Run schedules until ctx ends, and then waits for the bindings under way.
func (s *Scheduler) Run(ctx context.Context) error {
	defer s.binding.Wait()
	for {
		e := s.queue.pop(ctx)
		if e == nil {
			return nil
		}
		s.try(ctx, e)
	}
}

// try runs one pod's cycle and starts its binding.
func (s *Scheduler) try(ctx context.Context, e *queued) {
	start := s.clock.Now()
	pod := framework.NewPodInfo(e.pod)
	c := s.cycles[e.pod.Spec.SchedulerName]
	snapshot := s.cache.snapshot()
	o := c.run(ctx, pod, snapshot)
	s.metrics.cycle(start, s.clock.Now())
	switch {
	case o.err != nil:
		s.failed(ctx, e, corev1.PodReasonSchedulerError, o.err.Reasons[0], nil)
		s.metrics.attempt("error", c.profile.SchedulerName)
		return
	case o.node == "":
		s.failed(ctx, e, corev1.PodReasonUnschedulable, unschedulableMessage(o.diagnosis, len(snapshot.Nodes)), o.diagnosis.Plugins)
		s.metrics.attempt("unschedulable", c.profile.SchedulerName)
		return
	}
	placed := e.pod.DeepCopy()
	placed.Spec.NodeName = o.node
	pod.Pod = placed
	s.cache.assume(pod, o.node)
	reserved, status := s.reserve(ctx, c, e.pod, o.node)
	if !status.OK() {
		s.undo(ctx, reserved, e, o.node, status)
		return
	}
	s.binding.Go(func() {
		s.bind(ctx, c, reserved, e, o.node)
	})
}

// reserve lets plugins take what the pod needs, in order; it answers those that did.
func (s *Scheduler) reserve(ctx context.Context, c *cycle, pod *corev1.Pod, node string) ([]plugins.Weighted, *framework.Status) {
	var reserved []plugins.Weighted
	for _, p := range c.profile.Plugins {
		if p.Reserve != nil {
			if status := p.Reserve(ctx, pod, node); !status.OK() {
				return reserved, status
			}
		}
		reserved = append(reserved, p)
	}
	for _, p := range c.profile.Plugins {
		if p.Permit != nil {
			if status := p.Permit(ctx, pod, node); !status.OK() {
				return reserved, status
			}
		}
	}
	return reserved, nil
}

// bind writes what was decided; on failure everything is taken back and the pod tried again.
func (s *Scheduler) bind(ctx context.Context, c *cycle, reserved []plugins.Weighted, e *queued, node string) {
	start := s.clock.Now()
	for _, p := range c.profile.Plugins {
		if p.PreBind != nil {
			if status := p.PreBind(ctx, e.pod, node); !status.OK() {
				s.undo(ctx, reserved, e, node, status)
				return
			}
		}
	}
	status := framework.AsStatus(fmt.Errorf("no plugin binds pods: enable DefaultBinder"))
	for _, p := range c.profile.Plugins {
		if p.Bind == nil {
			continue
		}
		if status = p.Bind(ctx, e.pod, node); status == nil || status.Code != framework.Skip {
			break
		}
	}
	if !status.OK() {
		s.undo(ctx, reserved, e, node, status)
		return
	}
	s.queue.done(e, false, nil)
	s.metrics.bound(c.profile.SchedulerName, s.clock.Now().Sub(start), s.clock.Now().Sub(e.added))
	s.events(e.pod.Spec.SchedulerName).Eventf(e.pod, nil, corev1.EventTypeNormal, "Scheduled", "Binding",
		"Successfully assigned %s/%s to %s", e.pod.Namespace, e.pod.Name, node)
	for _, p := range c.profile.Plugins {
		if p.PostBind != nil {
			p.PostBind(ctx, e.pod, node)
		}
	}
}

// undo takes back an assumption and everything that plugins reserved for it, last first.
func (s *Scheduler) undo(ctx context.Context, reserved []plugins.Weighted, e *queued, node string, status *framework.Status) {
	for i := len(reserved) - 1; i >= 0; i-- {
		if reserved[i].Unreserve != nil {
			reserved[i].Unreserve(ctx, e.pod, node)
		}
	}
	s.cache.forget(e.pod)
	s.queue.happened(framework.Event{Kind: framework.PodGone, Pod: e.pod})
	if apierrors.IsNotFound(status.Err) { // deleted meanwhile; the informer says so too
		s.queue.done(e, false, nil)
		return
	}
	s.metrics.attempt("error", e.pod.Spec.SchedulerName)
	s.failed(ctx, e, corev1.PodReasonSchedulerError, status.Reasons[0], nil)
}

// failed parks the pod and tells the world why.
func (s *Scheduler) failed(ctx context.Context, e *queued, reason, message string, refused map[string]bool) {
	s.queue.done(e, true, refused)
	if reason == corev1.PodReasonSchedulerError {
		s.log.Error(nil, "A pod could not be scheduled", "pod", e.pod.Namespace+"/"+e.pod.Name, "reason", message)
	}
	s.events(e.pod.Spec.SchedulerName).Eventf(e.pod, nil, corev1.EventTypeWarning, "FailedScheduling", "Scheduling", "%s", message)
	condition := corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: reason, Message: message,
		ObservedGeneration: e.pod.Generation, LastTransitionTime: metav1.NewTime(s.clock.Now()),
	}
	if saysSo(e.pod, condition) {
		return
	}
	if err := s.status(ctx, e.pod, condition); err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
		s.log.Error(err, "A pod's condition could not be written", "pod", e.pod.Namespace+"/"+e.pod.Name)
	}
}

// saysSo tells whether the pod's status carries the condition already.
func saysSo(pod *corev1.Pod, want corev1.PodCondition) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == want.Type {
			return c.Status == want.Status && c.Reason == want.Reason && c.Message == want.Message
		}
	}
	return false
}
