package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/image"
	"github.com/sampan-project/sampan/pkg/kubelet/pod"
)

// retry is when a start that failed for a reason outside the container is tried again, unless something
// that the pod depends on changes before.
const retry = 10 * time.Second

// StartContainer makes a container in the pod's ready sandbox and starts it, with its image, environment,
// mounts and postStart hook. What the runtime has of it is answered even where the start failed, if
// anything was made. p has its addresses in its status. Errors are of type *Error, or ctx's.
func (m *Manager) StartContainer(ctx context.Context, p *corev1.Pod, o *pod.Observed, start pod.Start) (*pod.Container, error) {
	c := pod.Find(p, start.Name)
	sandbox := o.Sandbox()
	sandboxConfig, err := m.sandboxConfig(p, sandbox.Attempt, nil)
	if err != nil {
		return nil, m.fail(p, c, CreateContainerConfigError, err)
	}
	img, err := m.Images.Ensure(ctx, p, c, sandboxConfig)
	var imageErr *image.Error
	if errors.As(err, &imageErr) {
		m.Event(p, c.Name, corev1.EventTypeWarning, "Failed", "Error: "+imageErr.Reason)
		return nil, &Error{Reason: imageErr.Reason, Message: imageErr.Message, RetryAt: imageErr.RetryAt}
	}
	if err != nil {
		return nil, err
	}
	config, err := m.containerConfig(ctx, p, c, img, start.Attempt, targetOf(p, c.Name, o))
	if err != nil {
		return nil, m.fail(p, c, CreateContainerConfigError, err)
	}
	id, err := m.Runtime.CreateContainer(ctx, sandbox.ID, config, sandboxConfig)
	if err != nil {
		return nil, m.fail(p, c, CreateContainerError, err)
	}
	m.Made(p.UID, id)
	m.Event(p, c.Name, corev1.EventTypeNormal, "Created", "Container created")
	if err := m.Runtime.StartContainer(ctx, id); err != nil {
		made := m.seen(ctx, id, sandbox.ID)
		failure := m.fail(p, c, RunContainerError, err)
		var e *Error
		if errors.As(failure, &e) && made != nil && made.State == pod.Exited {
			e.RetryAt = time.Time{} // it has ended once more: its own back-off decides
		}
		return made, failure
	}
	m.Event(p, c.Name, corev1.EventTypeNormal, "Started", "Container started")
	m.link(p, c, id, filepath.Join(sandboxConfig.GetLogDirectory(), config.GetLogPath()))
	if c.Lifecycle != nil && c.Lifecycle.PostStart != nil {
		if err := m.postStart(ctx, p, c, id, sandbox.ID); err != nil {
			return m.seen(ctx, id, sandbox.ID), err
		}
	}
	made, err := m.Container(ctx, id, sandbox.ID)
	if err != nil {
		return nil, m.fail(p, c, RunContainerError, err)
	}
	return &made, nil
}

// seen is what the runtime has of a container that could not be started, nil where that is not to be had.
func (m *Manager) seen(ctx context.Context, id, sandbox string) *pod.Container {
	c, err := m.Container(ctx, id, sandbox)
	if err != nil {
		return nil
	}
	return &c
}

// fail tells of a start that failed, in an event and as an error.
func (m *Manager) fail(p *corev1.Pod, c *corev1.Container, reason string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	text := err.Error()
	if s, ok := status.FromError(err); ok {
		text = s.Message()
	}
	m.Event(p, c.Name, corev1.EventTypeWarning, "Failed", "Error: "+text)
	return &Error{Reason: reason, Message: text, RetryAt: m.Clock.Now().Add(retry)}
}

// postStart runs the hook; a container whose hook fails is killed.
func (m *Manager) postStart(ctx context.Context, p *corev1.Pod, c *corev1.Container, id, sandbox string) error {
	err := m.Hooks.Run(ctx, p, c, id, p.Status.PodIP, c.Lifecycle.PostStart)
	if err == nil {
		return nil
	}
	m.Log.Info("A postStart hook failed", "pod", name(p), "container", c.Name, "err", err.Error())
	m.Event(p, c.Name, corev1.EventTypeWarning, "FailedPostStartHook", "PostStartHook failed")
	killed := pod.Container{ID: id, Name: c.Name, SandboxID: sandbox}
	if killErr := m.Kill(ctx, p, killed, KillOptions{Message: "FailedPostStartHook", Grace: Grace(p, c, "")}); killErr != nil {
		m.Log.Error(killErr, "Killing a container whose postStart hook failed", "pod", name(p), "container", c.Name)
	}
	return &Error{Reason: PostStartHookError, Message: err.Error()}
}

// containerConfig describes a container to the runtime.
func (m *Manager) containerConfig(ctx context.Context, p *corev1.Pod, c *corev1.Container, img *cri.Image, attempt uint32, target string) (*cri.ContainerConfig, error) {
	security, err := m.containerSecurity(p, c, img, target)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(m.LogDir(p), c.Name), 0o755); err != nil {
		return nil, fmt.Errorf("creating the container's log directory: %w", err)
	}
	env, err := m.Environment(ctx, p, c)
	if err != nil {
		return nil, err
	}
	files, err := m.Files(p, c, m.PodDir(p.UID))
	if err != nil {
		return nil, err
	}
	mounts, err := m.Volumes.Mounts(p, c, env)
	if err != nil {
		return nil, err
	}
	command, args := m.Expand(c.Command, c.Args, env)
	return &cri.ContainerConfig{
		Metadata:    &cri.ContainerMetadata{Name: c.Name, Attempt: attempt},
		Image:       &cri.ImageSpec{Image: img.GetId(), UserSpecifiedImage: c.Image},
		Command:     command,
		Args:        args,
		WorkingDir:  c.WorkingDir,
		Envs:        env,
		Mounts:      append(mounts, files...),
		Labels:      containerLabels(p, c),
		Annotations: containerAnnotations(p, c, attempt),
		LogPath:     logFile(c.Name, attempt),
		Stdin:       c.Stdin,
		StdinOnce:   c.StdinOnce,
		Tty:         c.TTY,
		Linux:       &cri.LinuxContainerConfig{Resources: m.Cgroups.Resources(p, c), SecurityContext: security},
	}, nil
}

// link makes a container's log known under the name that log collectors look for. A node without links
// works, so that a failure is only logged.
func (m *Manager) link(p *corev1.Pod, c *corev1.Container, id, log string) {
	if m.LinksDir == "" {
		return
	}
	path := m.linkPath(p, c.Name, id)
	if err := os.Symlink(log, path); err != nil && !errors.Is(err, os.ErrExist) {
		m.Log.Error(err, "Linking a container's log", "path", path)
	}
}

// linkPath has at most 255 characters in its last part: what collectors need is at the end.
func (m *Manager) linkPath(p *corev1.Pod, container, id string) string {
	const longest = 255 - len(".log")
	prefix, suffix := fmt.Sprintf("%s_%s_%s", p.Name, p.Namespace, container), "-"+id
	if len(prefix)+len(suffix) > longest {
		prefix = prefix[:longest-len(suffix)]
	}
	return filepath.Join(m.LinksDir, prefix+suffix+".log")
}
