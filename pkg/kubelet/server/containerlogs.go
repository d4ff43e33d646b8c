package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/logs"
	"github.com/sampan-project/sampan/pkg/query"
)

// containerLogs answers what a container printed.
func (s *Server) containerLogs(w http.ResponseWriter, r *http.Request) {
	asked := &corev1.PodLogOptions{}
	if err := query.Decode(r.URL.Query(), asked); err != nil {
		s.fail(w, r, &fault{http.StatusBadRequest, fmt.Sprintf("Unable to decode query: %v", err)})
		return
	}
	id, path, err := s.logOf(r, asked.Previous)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	var ended <-chan struct{}
	if asked.Follow {
		ended = s.cfg.Host.Ended(r.Context(), id)
	}
	out := &flushed{w: w, to: http.NewResponseController(w), each: asked.Follow}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if asked.Follow {
		_ = out.to.Flush() // the client learns that it follows before anything is printed
		out.begun = true
	}
	err = logs.Read(r.Context(), path, logs.OptionsOf(asked, s.cfg.Clock.Now()), ended, out, out)
	switch {
	case err == nil || errors.Is(err, context.Canceled):
	case out.begun:
		s.cfg.Log.V(2).Info("Reading a log ended early", "path", path, "error", err.Error())
	default:
		s.fail(w, r, &fault{http.StatusBadRequest, err.Error()})
	}
}

// flushed passes writes on, each at once where the client follows.
type flushed struct {
	w           http.ResponseWriter
	to          *http.ResponseController
	each, begun bool
}

func (f *flushed) Write(p []byte) (int, error) {
	f.begun = true
	n, err := f.w.Write(p)
	if err == nil && f.each {
		err = f.to.Flush()
	}
	return n, err
}

// logOf finds the container that the path names, and its log.
func (s *Server) logOf(r *http.Request, previous bool) (id, path string, err error) {
	namespace, podName, container := r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container")
	pod := s.cfg.Host.Pod(namespace, podName)
	if pod == nil {
		return "", "", &fault{http.StatusNotFound, fmt.Sprintf("pod %q does not exist\n", podName)}
	}
	if !hasContainer(&pod.Spec, container) {
		return "", "", &fault{http.StatusNotFound, fmt.Sprintf("container %q not found in pod %q\n", container, podName)}
	}
	if id, err = loggedContainer(pod, container, previous); err != nil {
		return "", "", &fault{http.StatusBadRequest, err.Error()}
	}
	answer, err := s.cfg.Runtime.ContainerStatus(r.Context(), id, false)
	if cri.IsNotFound(err) {
		return "", "", &fault{http.StatusBadRequest, fmt.Sprintf("unable to retrieve container logs for %s: the container was removed", id)}
	}
	if err != nil {
		return "", "", fmt.Errorf("asking the container runtime for the log of container %q: %w", container, err)
	}
	if path = answer.GetStatus().GetLogPath(); path == "" {
		return "", "", &fault{http.StatusBadRequest, fmt.Sprintf("container %q in pod %q keeps no log", container, podName)}
	}
	return id, path, nil
}

func hasContainer(spec *corev1.PodSpec, name string) bool {
	for _, list := range [][]corev1.Container{spec.Containers, spec.InitContainers} {
		for i := range list {
			if list[i].Name == name {
				return true
			}
		}
	}
	for i := range spec.EphemeralContainers {
		if spec.EphemeralContainers[i].Name == name {
			return true
		}
	}
	return false
}

// loggedContainer is the ID of the container whose log is meant: the one that runs, else the one that ran
// last, or with previous the one before.
func loggedContainer(pod *corev1.Pod, name string, previous bool) (string, error) {
	status := statusOf(&pod.Status, name)
	if status == nil {
		return "", fmt.Errorf("container %q in pod %q is not available", name, pod.Name)
	}
	var before string
	if last := status.LastTerminationState.Terminated; last != nil {
		before = last.ContainerID
	}
	state := status.State
	id := before
	switch {
	case previous:
		if before == "" {
			return "", fmt.Errorf("previous terminated container %q in pod %q not found", name, pod.Name)
		}
	case state.Running != nil:
		id = status.ContainerID
	case state.Terminated != nil || status.LastTerminationState.Terminated != nil:
		if state.Terminated != nil && state.Terminated.ContainerID != "" {
			id = state.Terminated.ContainerID
		}
		if id == "" {
			return "", fmt.Errorf("container %q in pod %q is terminated", name, pod.Name)
		}
	case state.Waiting != nil:
		return "", fmt.Errorf("container %q in pod %q is waiting to start: %s", name, pod.Name, waitsFor(state.Waiting.Reason))
	default:
		return "", fmt.Errorf("container %q in pod %q is waiting to start - no logs yet", name, pod.Name)
	}
	if _, after, found := strings.Cut(id, "://"); found {
		id = after
	}
	return id, nil
}

func waitsFor(reason string) string {
	switch reason {
	case "ErrImagePull":
		return "image can't be pulled"
	case "ImagePullBackOff":
		return "trying and failing to pull image"
	}
	return reason
}

func statusOf(status *corev1.PodStatus, name string) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{status.ContainerStatuses, status.InitContainerStatuses, status.EphemeralContainerStatuses} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}
