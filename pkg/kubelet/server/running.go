package server

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

// The labels by which sandboxes and containers tell what pod they are of.
const (
	labelPodName       = "io.kubernetes.pod.name"
	labelPodNamespace  = "io.kubernetes.pod.namespace"
	labelPodUID        = "io.kubernetes.pod.uid"
	labelContainerName = "io.kubernetes.container.name"
)

// runningPods answers what the runtime runs, as pods of which only names and images are known.
func (s *Server) runningPods(w http.ResponseWriter, r *http.Request) {
	running, err := s.cfg.Runtime.ListContainers(r.Context(), &cri.ContainerFilter{State: &cri.ContainerStateValue{State: cri.ContainerRunning}})
	if err != nil {
		http.Error(w, fmt.Sprintf("asking the container runtime what runs: %v", err), http.StatusInternalServerError)
		return
	}
	byUID := map[string]*corev1.Pod{}
	for _, c := range running {
		uid := c.Labels[labelPodUID]
		if uid == "" {
			continue // not made by a kubelet
		}
		pod := byUID[uid]
		if pod == nil {
			pod = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
				Name: c.Labels[labelPodName], Namespace: c.Labels[labelPodNamespace], UID: types.UID(uid),
			}}
			byUID[uid] = pod
		}
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: c.Labels[labelContainerName], Image: c.GetImage().GetImage()})
	}
	list := &corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{}}
	for _, pod := range byUID {
		list.Items = append(list.Items, *pod)
	}
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int { return strings.Compare(string(a.UID), string(b.UID)) })
	answer(w, list)
}

// runningContainer finds the container of that name that runs in a pod, "" where none does.
func (s *Server) runningContainer(ctx context.Context, uid types.UID, container string) (string, error) {
	found, err := s.cfg.Runtime.ListContainers(ctx, &cri.ContainerFilter{
		State:         &cri.ContainerStateValue{State: cri.ContainerRunning},
		LabelSelector: map[string]string{labelPodUID: string(uid), labelContainerName: container},
	})
	if err != nil {
		return "", fmt.Errorf("asking the container runtime for container %q: %w", container, err)
	}
	newest := slices.MaxFunc(append(found, &cri.Container{}), func(a, b *cri.Container) int { return cmp.Compare(a.CreatedAt, b.CreatedAt) })
	return newest.Id, nil
}

// readySandbox finds the sandbox that a pod has now, "" where there is none.
func (s *Server) readySandbox(ctx context.Context, uid types.UID) (string, error) {
	found, err := s.cfg.Runtime.ListPodSandbox(ctx, &cri.PodSandboxFilter{
		State:         &cri.PodSandboxStateValue{State: cri.SandboxReady},
		LabelSelector: map[string]string{labelPodUID: string(uid)},
	})
	if err != nil {
		return "", fmt.Errorf("asking the container runtime for the sandbox: %w", err)
	}
	newest := slices.MaxFunc(append(found, &cri.PodSandbox{}), func(a, b *cri.PodSandbox) int { return cmp.Compare(a.CreatedAt, b.CreatedAt) })
	return newest.Id, nil
}
