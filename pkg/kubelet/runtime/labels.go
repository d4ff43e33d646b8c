package runtime

import (
	"encoding/json"
	"maps"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sampan-project/sampan/pkg/kubelet/pod"
)

// The labels and annotations by which a kubelet knows its containers again, and by which tools beside it
// tell what belongs to what.
const (
	labelPodName      = "io.kubernetes.pod.name"
	labelPodNamespace = "io.kubernetes.pod.namespace"
	labelPodUID       = "io.kubernetes.pod.uid"
	labelContainer    = "io.kubernetes.container.name"

	annotationHash          = "io.kubernetes.container.hash"
	annotationRestartCount  = "io.kubernetes.container.restartCount"
	annotationMessagePath   = "io.kubernetes.container.terminationMessagePath"
	annotationMessagePolicy = "io.kubernetes.container.terminationMessagePolicy"
	annotationPreStop       = "io.kubernetes.container.preStopHandler"
	annotationPorts         = "io.kubernetes.container.ports"
	annotationPodGrace      = "io.kubernetes.pod.terminationGracePeriod"
	annotationDeletionGrace = "io.kubernetes.pod.deletionGracePeriod"
)

func podLabels(p *corev1.Pod) map[string]string {
	return map[string]string{labelPodName: p.Name, labelPodNamespace: p.Namespace, labelPodUID: string(p.UID)}
}

func sandboxLabels(p *corev1.Pod) map[string]string {
	out := maps.Clone(p.Labels)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, podLabels(p))
	return out
}

func containerLabels(p *corev1.Pod, c *corev1.Container) map[string]string {
	out := podLabels(p)
	out[labelContainer] = c.Name
	return out
}

func containerAnnotations(p *corev1.Pod, c *corev1.Container, attempt uint32) map[string]string {
	out := map[string]string{
		annotationHash: pod.Hash(c), annotationRestartCount: strconv.FormatUint(uint64(attempt), 10),
		annotationMessagePath: c.TerminationMessagePath, annotationMessagePolicy: string(c.TerminationMessagePolicy),
	}
	if p.Spec.TerminationGracePeriodSeconds != nil {
		out[annotationPodGrace] = strconv.FormatInt(*p.Spec.TerminationGracePeriodSeconds, 10)
	}
	if p.DeletionGracePeriodSeconds != nil {
		out[annotationDeletionGrace] = strconv.FormatInt(*p.DeletionGracePeriodSeconds, 10)
	}
	if c.Lifecycle != nil && c.Lifecycle.PreStop != nil {
		if b, err := json.Marshal(c.Lifecycle.PreStop); err == nil {
			out[annotationPreStop] = string(b)
		}
	}
	if len(c.Ports) > 0 {
		if b, err := json.Marshal(c.Ports); err == nil {
			out[annotationPorts] = string(b)
		}
	}
	return out
}

// orphan makes, from what a container was labelled with, enough of a specification to end its pod properly:
// the pod is gone and only the runtime remembers it.
func orphan(labels map[string]string) *corev1.Pod {
	grace := int64(corev1.DefaultTerminationGracePeriodSeconds)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: labels[labelPodNamespace], Name: labels[labelPodName], UID: types.UID(labels[labelPodUID])},
		Spec:       corev1.PodSpec{TerminationGracePeriodSeconds: &grace},
	}
}

// addContainer adds what a container's labels and annotations tell of its specification.
func addContainer(p *corev1.Pod, name string, annotations map[string]string) {
	if s, err := strconv.ParseInt(annotations[annotationPodGrace], 10, 64); err == nil {
		p.Spec.TerminationGracePeriodSeconds = &s
	}
	if pod.Find(p, name) != nil {
		return
	}
	c := corev1.Container{Name: name, TerminationMessagePath: annotations[annotationMessagePath]}
	var hook corev1.LifecycleHandler
	if raw := annotations[annotationPreStop]; raw != "" && json.Unmarshal([]byte(raw), &hook) == nil {
		c.Lifecycle = &corev1.Lifecycle{PreStop: &hook}
	}
	_ = json.Unmarshal([]byte(annotations[annotationPorts]), &c.Ports) // without them, named ports of hooks do not resolve
	p.Spec.Containers = append(p.Spec.Containers, c)
}
