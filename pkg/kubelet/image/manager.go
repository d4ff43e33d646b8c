// Package image makes sure that a container's image is on the node before the container is made: by the
// container's pull policy, with the pod's and the node's credentials, and with a back-off for what cannot
// be pulled. It must not know how containers are made.
package image

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/object"
)

// Reasons why an image is not there, as containers' statuses show them.
const (
	ErrImagePull     = "ErrImagePull"
	ImagePullBackOff = "ImagePullBackOff"
	ErrNeverPull     = "ErrImageNeverPull"
	ErrInvalidName   = "InvalidImageName"
	ErrInspect       = "ImageInspectError"
)

const (
	firstBackoff = 10 * time.Second
	lastBackoff  = 5 * time.Minute
	// pullError is for how long a failed pull is shown before its back-off is.
	pullError = 3 * time.Second
)

// Error tells why an image is not there, and when to try again.
type Error struct {
	Reason, Message string
	RetryAt         time.Time
}

func (e *Error) Error() string { return e.Message }

// Config is what a Manager works with.
type Config struct {
	Runtime cri.Runtime
	Objects object.Objects // for the secrets that pods name
	Clock   clock.Clock
	// Parallel is how many images are pulled at once; 0: any number.
	Parallel int
	Event    func(p *corev1.Pod, container, eventType, reason, message string)
}

// Manager pulls images. It is safe for use by several goroutines.
type Manager struct {
	Config
	slots chan struct{} // nil: no limit

	mu     sync.Mutex
	failed map[key]failure
}

type key struct {
	pod   types.UID
	image string
}

type failure struct {
	delay   time.Duration
	until   time.Time
	message string
}

// New makes a Manager.
func New(c Config) *Manager {
	m := &Manager{Config: c, failed: map[key]failure{}}
	if c.Parallel > 0 {
		m.slots = make(chan struct{}, c.Parallel)
	}
	return m
}

// Forget drops the back-offs of a pod that is gone.
func (m *Manager) Forget(pod types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.failed {
		if k.pod == pod {
			delete(m.failed, k)
		}
	}
}

// Ensure answers the image of a container once it is on the node. Its errors are of type *Error, or ctx's.
func (m *Manager) Ensure(ctx context.Context, p *corev1.Pod, c *corev1.Container, sandbox *cri.PodSandboxConfig) (*cri.Image, error) {
	ref, err := name.ParseReference(c.Image, name.WeakValidation)
	if err != nil {
		msg := fmt.Sprintf("Failed to apply default image tag %q: couldn't parse image name %q: invalid reference format", c.Image, c.Image)
		m.Event(p, c.Name, corev1.EventTypeWarning, "InspectFailed", msg)
		return nil, m.failure(ErrInvalidName, msg)
	}
	spec := &cri.ImageSpec{Image: c.Image, UserSpecifiedImage: c.Image, Annotations: p.Annotations}
	present, err := m.Runtime.ImageStatus(ctx, spec)
	if err != nil {
		msg := fmt.Sprintf("Failed to inspect image %q: %v", c.Image, err)
		m.Event(p, c.Name, corev1.EventTypeWarning, "InspectFailed", msg)
		return nil, m.failure(ErrInspect, msg)
	}
	switch policy := pullPolicy(c, ref); {
	case present != nil && policy != corev1.PullAlways:
		m.Event(p, c.Name, corev1.EventTypeNormal, "Pulled",
			fmt.Sprintf("Container image %q already present on machine and can be accessed by the pod", c.Image))
		return present, nil
	case policy == corev1.PullNever:
		msg := fmt.Sprintf("Container image %q is not present with pull policy of Never", c.Image)
		m.Event(p, c.Name, corev1.EventTypeWarning, "ErrImageNeverPull", msg)
		return nil, m.failure(ErrNeverPull, msg)
	}
	return m.pull(ctx, p, c, spec, ref, sandbox)
}

func (m *Manager) failure(reason, message string) *Error {
	return &Error{Reason: reason, Message: message, RetryAt: m.Clock.Now().Add(firstBackoff)}
}

// pullPolicy is the container's, or the API's default for one that does not say.
func pullPolicy(c *corev1.Container, ref name.Reference) corev1.PullPolicy {
	if c.ImagePullPolicy != "" {
		return c.ImagePullPolicy
	}
	if tag, ok := ref.(name.Tag); ok && tag.TagStr() == "latest" {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

func (m *Manager) pull(ctx context.Context, p *corev1.Pod, c *corev1.Container, spec *cri.ImageSpec, ref name.Reference, sandbox *cri.PodSandboxConfig) (*cri.Image, error) {
	k := key{p.UID, c.Image}
	m.mu.Lock()
	before := m.failed[k]
	m.mu.Unlock()
	now := m.Clock.Now()
	if before.until.After(now) {
		msg := fmt.Sprintf("Back-off pulling image %q", c.Image)
		m.Event(p, c.Name, corev1.EventTypeNormal, "BackOff", msg)
		return nil, &Error{Reason: ImagePullBackOff, Message: msg + ": " + before.message, RetryAt: before.until}
	}
	m.Event(p, c.Name, corev1.EventTypeNormal, "Pulling", fmt.Sprintf("Pulling image %q", c.Image))
	image, worked, err := m.fetch(ctx, p, spec, ref, sandbox)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		m.Event(p, c.Name, corev1.EventTypeWarning, "Failed", fmt.Sprintf("Failed to pull image %q: %v", c.Image, err))
		return nil, m.raise(k, before, err)
	}
	m.mu.Lock()
	delete(m.failed, k)
	m.mu.Unlock()
	whole := m.Clock.Since(now).Truncate(time.Millisecond)
	m.Event(p, c.Name, corev1.EventTypeNormal, "Pulled", fmt.Sprintf("Successfully pulled image %q in %v (%v including waiting). Image size: %v bytes.",
		c.Image, worked.Truncate(time.Millisecond), whole, image.GetSize()))
	return image, nil
}

// raise raises the back-off of an image that could not be pulled.
func (m *Manager) raise(k key, before failure, err error) error {
	now := m.Clock.Now()
	delay := firstBackoff
	if before.delay > 0 && now.Sub(before.until) < 2*lastBackoff {
		delay = min(2*before.delay, lastBackoff)
	}
	m.mu.Lock()
	m.failed[k] = failure{delay: delay, until: now.Add(delay), message: ErrImagePull + ": " + err.Error()}
	m.mu.Unlock()
	return &Error{Reason: ErrImagePull, Message: err.Error(), RetryAt: now.Add(pullError)}
}

// fetch pulls with one credential after another, and at last with none.
func (m *Manager) fetch(ctx context.Context, p *corev1.Pod, spec *cri.ImageSpec, ref name.Reference, sandbox *cri.PodSandboxConfig) (*cri.Image, time.Duration, error) {
	if m.slots != nil {
		select {
		case m.slots <- struct{}{}:
			defer func() { <-m.slots }()
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
	began := m.Clock.Now()
	auths := m.credentials(ctx, p, ref)
	if len(auths) == 0 {
		auths = []*cri.AuthConfig{nil}
	}
	var pulled string
	var err error
	for _, auth := range auths {
		if pulled, err = m.Runtime.PullImage(ctx, spec, auth, sandbox); err == nil {
			break
		}
	}
	if err != nil {
		return nil, 0, err
	}
	took := m.Clock.Since(began)
	image, err := m.Runtime.ImageStatus(ctx, &cri.ImageSpec{Image: pulled})
	if err != nil {
		return nil, 0, fmt.Errorf("looking at the pulled image: %w", err)
	}
	if image == nil {
		return nil, 0, fmt.Errorf("the image %s was pulled and is gone again", pulled)
	}
	return image, took, nil
}
