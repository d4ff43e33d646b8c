// Package hook runs what a container asks for after its start and before its end. It knows handlers, and
// not when they run.
package hook

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/kubelet/probe"
)

const (
	userAgent = "kube-lifecycle/1.36"
	// maxAnswer is how much of an answer is read before the connection is closed.
	maxAnswer = 10 << 10
)

// Runner runs handlers of container.lifecycle.
type Runner struct {
	Exec  probe.Exec
	Clock clock.Clock
	Log   logr.Logger
	// Event records an event about the container; nil: none.
	Event func(pod *corev1.Pod, container, eventType, reason, message string)
}

// Run runs the handler and waits for its end; ctx bounds it. ip is the pod's address.
func (h *Runner) Run(ctx context.Context, pod *corev1.Pod, c *corev1.Container, containerID, ip string, handler *corev1.LifecycleHandler) error {
	switch {
	case handler.Exec != nil:
		return h.exec(ctx, pod, c, containerID, handler.Exec)
	case handler.HTTPGet != nil:
		return h.http(ctx, pod, c, ip, handler.HTTPGet)
	case handler.Sleep != nil:
		return h.sleep(ctx, pod, c, handler.Sleep)
	}
	// tcpSocket is kept in the API and has never been a hook.
	return fmt.Errorf("cannot run handler: invalid handler: %v", handler)
}

func (h *Runner) exec(ctx context.Context, pod *corev1.Pod, c *corev1.Container, id string, action *corev1.ExecAction) error {
	var timeout time.Duration
	if deadline, ok := ctx.Deadline(); ok {
		// The runtime ends the command by itself then, even if the kubelet does not live to see it.
		if timeout = deadline.Sub(h.Clock.Now()).Round(time.Second); timeout < time.Second {
			timeout = time.Second
		}
	}
	output, code, err := h.Exec(ctx, id, action.Command, timeout)
	if err == nil && code != 0 {
		err = fmt.Errorf("command '%s' exited with %d: %s", strings.Join(action.Command, " "), code, strings.TrimSpace(string(output)))
	}
	if err != nil {
		return fmt.Errorf("Exec lifecycle hook (%v) for Container %q in Pod %q failed - error: %w, message: %q",
			action.Command, c.Name, pod.Namespace+"/"+pod.Name, err, output)
	}
	return nil
}

func (h *Runner) http(ctx context.Context, pod *corev1.Pod, c *corev1.Container, ip string, get *corev1.HTTPGetAction) error {
	failed := func(err error) error {
		return fmt.Errorf("HTTP lifecycle hook (%s) for Container %q in Pod %q failed - error: %w", get.Path, c.Name, pod.Namespace+"/"+pod.Name, err)
	}
	r, err := probe.Request(ctx, get, c, ip, userAgent)
	if err != nil {
		return failed(err)
	}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // as for probes: the address is the identity
		DisableKeepAlives: true,
	}}
	response, err := client.Do(r)
	if err != nil && r.URL.Scheme == "https" && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		if h.Event != nil {
			h.Event(pod, c.Name, corev1.EventTypeWarning, "LifecycleHTTPFallback",
				fmt.Sprintf("request to HTTPS lifecycle hook got HTTP response, retry with HTTP succeeded: %s", r.URL.Host))
		}
		r = r.Clone(ctx)
		r.URL.Scheme = "http"
		r.Header.Del("Authorization") // it was meant for an encrypted connection
		response, err = client.Do(r)
	}
	if err != nil {
		return failed(err)
	}
	defer func() { _ = response.Body.Close() }()
	// As upstream: an answer is enough, whatever its code.
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer))
	return nil
}

func (h *Runner) sleep(ctx context.Context, pod *corev1.Pod, c *corev1.Container, action *corev1.SleepAction) error {
	timer := h.Clock.NewTimer(time.Duration(action.Seconds) * time.Second)
	defer timer.Stop()
	select {
	case <-timer.C():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("Sleep lifecycle hook for Container %q in Pod %q was cut short: %w", c.Name, pod.Namespace+"/"+pod.Name, context.Cause(ctx))
	}
}
