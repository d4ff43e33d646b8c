package stream

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/streaming"
)

// chosenContainer is the container that the client names, or the only one there is.
func chosenContainer(pod *corev1.Pod, name string) (string, error) {
	var all []string
	for i := range pod.Spec.InitContainers {
		all = append(all, pod.Spec.InitContainers[i].Name)
	}
	for i := range pod.Spec.Containers {
		all = append(all, pod.Spec.Containers[i].Name)
	}
	for i := range pod.Spec.EphemeralContainers {
		all = append(all, pod.Spec.EphemeralContainers[i].Name)
	}
	if name != "" {
		if slices.Contains(all, name) {
			return name, nil
		}
		return "", apierrors.NewBadRequest(fmt.Sprintf("container %s is not valid for pod %s", name, pod.Name))
	}
	switch len(pod.Spec.Containers) {
	case 0:
		return "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s", pod.Name))
	case 1:
		return pod.Spec.Containers[0].Name, nil
	}
	return "", apierrors.NewBadRequest(fmt.Sprintf("a container name must be specified for pod %s, choose one of: %s", pod.Name, all))
}

func (s *Streams) exec(ctx context.Context, namespace, name, _ string, options runtime.Object) (http.Handler, error) {
	o, ok := options.(*corev1.PodExecOptions)
	if !ok {
		return nil, fmt.Errorf("the options are %T, not PodExecOptions", options)
	}
	c := streaming.Command{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, TTY: o.TTY}
	return s.command(ctx, "exec", namespace, name, o.Container, c, o.Command)
}

func (s *Streams) attach(ctx context.Context, namespace, name, _ string, options runtime.Object) (http.Handler, error) {
	o, ok := options.(*corev1.PodAttachOptions)
	if !ok {
		return nil, fmt.Errorf("the options are %T, not PodAttachOptions", options)
	}
	c := streaming.Command{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, TTY: o.TTY}
	return s.command(ctx, "attach", namespace, name, o.Container, c, nil)
}

// command leads to a command in a container.
func (s *Streams) command(ctx context.Context, kind, namespace, name, container string, c streaming.Command, words []string) (http.Handler, error) {
	if err := s.mayCreate(ctx); err != nil {
		return nil, err
	}
	pod, err := s.pod(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	if container, err = chosenContainer(pod, container); err != nil {
		return nil, err
	}
	query := url.Values{}
	for _, p := range []struct {
		name string
		set  bool
	}{
		{corev1.ExecStdinParam, c.Stdin}, {corev1.ExecStdoutParam, c.Stdout}, {corev1.ExecStderrParam, c.Stderr}, {corev1.ExecTTYParam, c.TTY},
	} {
		if p.set {
			query.Set(p.name, "1")
		}
	}
	if len(words) > 0 {
		query[corev1.ExecCommandParam] = words
	}
	stream, err := s.stream(ctx, pod, "/"+kind+"/"+pod.Namespace+"/"+pod.Name+"/"+container, query)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { stream.Command(w, r, c) }), nil
}

func (s *Streams) portForward(ctx context.Context, namespace, name, _ string, options runtime.Object) (http.Handler, error) {
	o, ok := options.(*corev1.PodPortForwardOptions)
	if !ok {
		return nil, fmt.Errorf("the options are %T, not PodPortForwardOptions", options)
	}
	if err := s.mayCreate(ctx); err != nil {
		return nil, err
	}
	pod, err := s.pod(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	query := url.Values{}
	ports := make([]uint16, 0, len(o.Ports))
	texts := make([]string, 0, len(o.Ports))
	for _, p := range o.Ports {
		if p < 1 || p > math.MaxUint16 {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("port %d is not between 1 and 65535", p))
		}
		ports, texts = append(ports, uint16(p)), append(texts, strconv.Itoa(int(p)))
	}
	if len(texts) > 0 {
		query.Set(corev1.PortHeader, strings.Join(texts, ","))
	}
	stream, err := s.stream(ctx, pod, "/portForward/"+pod.Namespace+"/"+pod.Name, query)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { stream.PortForward(w, r, ports) }), nil
}

// stream is the way to a path of the kubelet that runs a pod.
func (s *Streams) stream(ctx context.Context, pod *corev1.Pod, path string, query url.Values) (*streaming.Stream, error) {
	if pod.Spec.NodeName == "" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("pod %s does not have a host assigned", pod.Name))
	}
	host, port, err := s.kubeletOf(ctx, pod.Spec.NodeName)
	if err != nil {
		return nil, err
	}
	return &streaming.Stream{
		URL:       &url.URL{Scheme: "https", Host: net.JoinHostPort(host, port), Path: path, RawQuery: query.Encode()},
		Transport: s.kubelet.verified, Fail: s.unreachable,
	}, nil
}
