package core

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	podvalidation "github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// nodeLost is the reason under which the node controller leaves pods of nodes that no longer answer.
const nodeLost = "NodeLost"

func podColumns() []metav1.TableColumnDefinition {
	spec, status := corev1.PodSpec{}.SwaggerDoc(), corev1.PodStatus{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		column.Name(),
		column.Text("Ready", "The aggregate readiness state of this pod for accepting traffic."),
		column.Text("Status", "The aggregate status of the containers in this pod."),
		column.Text("Restarts", "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted."),
		column.Age(),
		column.Wide("IP", status["podIP"]),
		column.Wide("Node", spec["nodeName"]),
		column.Wide("Nominated Node", status["nominatedNodeName"]),
		column.Wide("Readiness Gates", spec["readinessGates"]),
	}
}

func podRow(pod *corev1.Pod) []any {
	s := summarise(pod)
	var restarts any = strconv.Itoa(s.restarts)
	if s.restarts != 0 && !s.lastRestart.IsZero() {
		restarts = column.Ago{Before: fmt.Sprintf("%d (", s.restarts), Time: s.lastRestart.Time, After: " ago)"}
	}
	ip := ""
	if len(pod.Status.PodIPs) > 0 {
		ip = pod.Status.PodIPs[0].IP
	}
	return []any{
		pod.Name, fmt.Sprintf("%d/%d", s.ready, s.total), s.reason, restarts, column.Since(pod.CreationTimestamp),
		orNone(ip), orNone(pod.Spec.NodeName), orNone(pod.Status.NominatedNodeName), readinessGates(pod),
	}
}

func orNone(text string) string {
	if text == "" {
		return column.None
	}
	return text
}

func readinessGates(pod *corev1.Pod) string {
	if len(pod.Spec.ReadinessGates) == 0 {
		return column.None
	}
	met := 0
	for _, gate := range pod.Spec.ReadinessGates {
		if podvalidation.ConditionTrue(pod, gate.ConditionType) {
			met++
		}
	}
	return fmt.Sprintf("%d/%d", met, len(pod.Spec.ReadinessGates))
}

// summary is what a pod's row says of its containers.
type summary struct {
	reason          string
	ready, total    int
	restarts        int
	lastRestart     metav1.Time
	sidecarRestarts int
	sidecarRestart  metav1.Time
}

func summarise(pod *corev1.Pod) summary {
	s := summary{reason: string(pod.Status.Phase), total: len(pod.Spec.Containers)}
	if pod.Status.Reason != "" {
		s.reason = pod.Status.Reason
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonSchedulingGated {
			s.reason = corev1.PodReasonSchedulingGated
		}
	}
	initialising := s.initContainers(pod)
	if !initialising || podvalidation.ConditionTrue(pod, corev1.PodInitialized) {
		s.containers(pod)
	}
	finished := pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
	if pod.DeletionTimestamp != nil {
		if pod.Status.Reason == nodeLost {
			s.reason = "Unknown"
		} else if !finished {
			s.reason = "Terminating"
		}
	}
	return s
}

func (s *summary) count(c *corev1.ContainerStatus) {
	s.restarts += int(c.RestartCount)
	if t := c.LastTerminationState.Terminated; t != nil && s.lastRestart.Before(&t.FinishedAt) {
		s.lastRestart = t.FinishedAt
	}
}

// initContainers looks for the init container that the pod waits for, and says whether there is one.
func (s *summary) initContainers(pod *corev1.Pod) bool {
	sidecars := map[string]bool{}
	for i := range pod.Spec.InitContainers {
		if podvalidation.IsSidecar(&pod.Spec.InitContainers[i]) {
			sidecars[pod.Spec.InitContainers[i].Name] = true
			s.total++
		}
	}
	for i := range pod.Status.InitContainerStatuses {
		c := &pod.Status.InitContainerStatuses[i]
		s.count(c)
		if sidecars[c.Name] {
			s.sidecarRestarts += int(c.RestartCount)
			if t := c.LastTerminationState.Terminated; t != nil && s.sidecarRestart.Before(&t.FinishedAt) {
				s.sidecarRestart = t.FinishedAt
			}
		}
		switch ended, waiting := c.State.Terminated, c.State.Waiting; {
		case ended != nil && ended.ExitCode == 0:
			continue
		case sidecars[c.Name] && c.Started != nil && *c.Started:
			if c.Ready {
				s.ready++
			}
			continue
		case ended != nil:
			s.reason = "Init:" + terminated(ended)
		case waiting != nil && waiting.Reason != "" && waiting.Reason != "PodInitializing":
			s.reason = "Init:" + waiting.Reason
		default:
			s.reason = fmt.Sprintf("Init:%d/%d", i, len(pod.Spec.InitContainers))
		}
		return true
	}
	return false
}

// terminated says why a container ended.
func terminated(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	default:
		return fmt.Sprintf("ExitCode:%d", t.ExitCode)
	}
}

// containers counts the regular containers; the first one that has something to say gives the reason.
// Restarts of init containers are past and no longer counted.
func (s *summary) containers(pod *corev1.Pod) {
	s.restarts, s.lastRestart = s.sidecarRestarts, s.sidecarRestart
	running := false
	for i := len(pod.Status.ContainerStatuses) - 1; i >= 0; i-- {
		c := &pod.Status.ContainerStatuses[i]
		s.count(c)
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "":
			s.reason = c.State.Waiting.Reason
		case c.State.Terminated != nil:
			s.reason = terminated(c.State.Terminated)
		case c.Ready && c.State.Running != nil:
			running = true
			s.ready++
		}
	}
	if s.reason == "Completed" && running {
		s.reason = "NotReady"
		if podvalidation.ConditionTrue(pod, corev1.PodReady) {
			s.reason = "Running"
		}
	}
}

func podRowConditions(pod *corev1.Pod) []metav1.TableRowCondition {
	switch pod.Status.Phase {
	case corev1.PodSucceeded:
		return []metav1.TableRowCondition{{Type: metav1.RowCompleted, Status: metav1.ConditionTrue,
			Reason: string(corev1.PodSucceeded), Message: "The pod has completed successfully."}}
	case corev1.PodFailed:
		return []metav1.TableRowCondition{{Type: metav1.RowCompleted, Status: metav1.ConditionTrue,
			Reason: string(corev1.PodFailed), Message: "The pod failed."}}
	default:
		return nil
	}
}
