package kubelet

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/tools/reference"

	"github.com/sampan-project/sampan/pkg/kubelet/node"
	"github.com/sampan-project/sampan/pkg/kubelet/pod"
)

// recorder tells the cluster what happens to pods and to the node.
type recorder struct {
	record.EventRecorder
	log logr.Logger
}

// newRecorder records to the apiserver until ctx ends; without a client, to the log only.
func newRecorder(ctx context.Context, client kubernetes.Interface, node string, log logr.Logger) *recorder {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	if client != nil {
		broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	}
	context.AfterFunc(ctx, broadcaster.Shutdown)
	return &recorder{broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet", Host: node}), log}
}

// about records an event about a pod, or about one of its containers.
func (r *recorder) about(p *corev1.Pod, container, eventType, reason, message string) {
	r.log.V(2).Info("Event", "pod", p.Namespace+"/"+p.Name, "container", container, "type", eventType, "reason", reason, "message", message)
	typed := *p
	typed.APIVersion, typed.Kind = "v1", "Pod"
	ref, err := reference.GetReference(scheme.Scheme, &typed)
	if err != nil {
		return // it has no name: only the log is told
	}
	if container != "" {
		ref.FieldPath = fieldPath(p, container)
	}
	r.Event(ref, eventType, reason, message)
}

func fieldPath(p *corev1.Pod, container string) string {
	for i := range p.Spec.InitContainers {
		if p.Spec.InitContainers[i].Name == container {
			return fmt.Sprintf("spec.initContainers{%s}", container)
		}
	}
	for i := range p.Spec.Containers {
		if p.Spec.Containers[i].Name == container {
			return fmt.Sprintf("spec.containers{%s}", container)
		}
	}
	if pod.Find(p, container) != nil {
		return fmt.Sprintf("spec.ephemeralContainers{%s}", container)
	}
	return ""
}

// aboutNode records events about the node.
func (r *recorder) aboutNode(name string) func(eventType, reason, message string) {
	ref := node.Reference(name)
	return func(eventType, reason, message string) { r.Event(ref, eventType, reason, message) }
}
