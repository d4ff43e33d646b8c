package cri

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/clock"
)

// Fake is a container runtime in memory, for tests: it keeps what it is told, runs nothing, and passes the
// same contract suite as a real one. Processes end when the test says so with Exit.
type Fake struct {
	Clock clock.PassiveClock
	// Fail answers the error of a call before it is carried out; nil lets all succeed. id is what the call
	// is about: a sandbox's, container's or image's name, or an id.
	Fail func(call, id string) error
	// Run answers what a command executed in a container prints and ends with.
	Run func(containerID string, cmd []string) *ExecSyncResponse
	// Stubborn names containers that ignore the stop signal until their grace has passed.
	Stubborn map[string]bool

	mu         sync.Mutex
	next       int
	sandboxes  map[string]*fakeSandbox
	containers map[string]*fakeContainer
	images     map[string]*Image
	watchers   map[chan *ContainerEvent]bool
	calls      []string
}

type fakeSandbox struct {
	config *PodSandboxConfig
	status *PodSandboxStatus
}

type fakeContainer struct {
	sandbox string
	config  *ContainerConfig
	status  *ContainerStatus
	ended   chan struct{} // closed once the process has ended
}

var _ Runtime = (*Fake)(nil)

// NewFake makes a runtime that has the images named.
func NewFake(c clock.PassiveClock, images ...string) *Fake {
	f := &Fake{Clock: c, sandboxes: map[string]*fakeSandbox{}, containers: map[string]*fakeContainer{},
		images: map[string]*Image{}, watchers: map[chan *ContainerEvent]bool{}, Stubborn: map[string]bool{}}
	for _, name := range images {
		f.images[name] = &Image{Id: "sha256:" + name, RepoTags: []string{name}, Size: 1000}
	}
	return f
}

// Calls lists the calls that changed something, in order, each with what it was about.
func (f *Fake) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// begin records a call that changes something and answers the error that the test wants of it.
func (f *Fake) begin(call, about string) error {
	f.mu.Lock()
	fail := f.Fail
	f.calls = append(f.calls, call+" "+about)
	f.mu.Unlock()
	if fail == nil {
		return nil
	}
	return fail(call, about)
}

func notFound(what, id string) error {
	return status.Errorf(codes.NotFound, "%s %q: not found", what, id)
}

// Version tells that this is the fake.
func (f *Fake) Version(context.Context) (*VersionResponse, error) {
	return &VersionResponse{Version: "0.1.0", RuntimeName: "fake", RuntimeVersion: "1.0.0", RuntimeApiVersion: "v1"}, nil
}

// Status tells that all is ready.
func (f *Fake) Status(context.Context, bool) (*StatusResponse, error) {
	if f.Fail != nil {
		if err := f.Fail("Status", ""); err != nil {
			return nil, err
		}
	}
	return &StatusResponse{Status: &RuntimeStatus{Conditions: []*RuntimeCondition{
		{Type: RuntimeReady, Status: true}, {Type: NetworkReady, Status: true}}}}, nil
}

// UpdateRuntimeConfig accepts any configuration.
func (f *Fake) UpdateRuntimeConfig(context.Context, *RuntimeConfig) error {
	return f.begin("UpdateRuntimeConfig", "")
}

// RunPodSandbox keeps a ready sandbox with an address of 10.0.0.0/16.
func (f *Fake) RunPodSandbox(_ context.Context, config *PodSandboxConfig, handler string) (string, error) {
	if err := f.begin("RunPodSandbox", config.GetMetadata().GetName()); err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, s := range f.sandboxes {
		if proto.Equal(s.config.GetMetadata(), config.GetMetadata()) {
			return "", status.Errorf(codes.Unknown, "sandbox name is reserved for %q", id)
		}
	}
	f.next++
	id := fmt.Sprintf("sandbox-%d", f.next)
	f.sandboxes[id] = &fakeSandbox{config: proto.Clone(config).(*PodSandboxConfig), status: &PodSandboxStatus{
		Id: id, Metadata: config.GetMetadata(), State: SandboxReady, CreatedAt: f.Clock.Now().UnixNano(),
		Labels: config.GetLabels(), Annotations: config.GetAnnotations(), RuntimeHandler: handler,
		Network: &PodSandboxNetworkStatus{Ip: fmt.Sprintf("10.0.%d.%d", f.next/250, f.next%250+1)},
		Linux:   &runtimev1.LinuxPodSandboxStatus{Namespaces: &runtimev1.Namespace{Options: config.GetLinux().GetSecurityContext().GetNamespaceOptions()}},
	}}
	f.emit(&ContainerEvent{ContainerId: id, ContainerEventType: ContainerStartedEvent})
	return id, nil
}

// StopPodSandbox ends everything in a sandbox.
func (f *Fake) StopPodSandbox(_ context.Context, id string) error {
	if err := f.begin("StopPodSandbox", id); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopSandbox(id)
	return nil
}

func (f *Fake) stopSandbox(id string) {
	s := f.sandboxes[id]
	if s == nil || s.status.State == SandboxNotReady {
		return
	}
	for cid, c := range f.containers {
		if c.sandbox == id {
			f.end(cid, 137, "Error")
		}
	}
	s.status.State = SandboxNotReady
	f.emit(&ContainerEvent{ContainerId: id, ContainerEventType: ContainerStoppedEvent})
}

// RemovePodSandbox forgets a sandbox and its containers.
func (f *Fake) RemovePodSandbox(_ context.Context, id string) error {
	if err := f.begin("RemovePodSandbox", id); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopSandbox(id)
	for cid, c := range f.containers {
		if c.sandbox == id {
			delete(f.containers, cid)
		}
	}
	delete(f.sandboxes, id)
	return nil
}

// PodSandboxStatus describes a sandbox.
func (f *Fake) PodSandboxStatus(_ context.Context, id string, _ bool) (*PodSandboxStatusResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sandboxes[id]
	if s == nil {
		return nil, notFound("sandbox", id)
	}
	return &PodSandboxStatusResponse{Status: proto.Clone(s.status).(*PodSandboxStatus)}, nil
}

// ListPodSandbox lists sandboxes by id, state and labels.
func (f *Fake) ListPodSandbox(_ context.Context, filter *PodSandboxFilter) ([]*PodSandbox, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []*PodSandbox
	for _, id := range slices.Sorted(maps.Keys(f.sandboxes)) {
		s := f.sandboxes[id].status
		if filter.GetId() != "" && filter.GetId() != id || !selects(filter.GetLabelSelector(), s.Labels) ||
			filter.GetState() != nil && filter.GetState().State != s.State {
			continue
		}
		list = append(list, &PodSandbox{Id: id, Metadata: s.Metadata, State: s.State, CreatedAt: s.CreatedAt,
			Labels: s.Labels, Annotations: s.Annotations, RuntimeHandler: s.RuntimeHandler})
	}
	return list, nil
}

func selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}

// Exit ends a container's process as if by itself.
func (f *Fake) Exit(containerID string, code int32, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end(containerID, code, reason)
}

// KillSandbox ends a sandbox's own process, and with it its containers, as if the host had rebooted.
func (f *Fake) KillSandbox(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopSandbox(id)
}

func (f *Fake) end(id string, code int32, reason string) {
	c := f.containers[id]
	if c == nil || c.status.State == ContainerExited {
		return
	}
	c.status.State, c.status.ExitCode, c.status.Reason = ContainerExited, code, reason
	c.status.FinishedAt = f.Clock.Now().UnixNano()
	close(c.ended)
	f.emit(&ContainerEvent{ContainerId: id, ContainerEventType: ContainerStoppedEvent})
}

// emit tells the watchers; f.mu is held.
func (f *Fake) emit(e *ContainerEvent) {
	e.CreatedAt = f.Clock.Now().UnixNano()
	for w := range f.watchers {
		w <- e
	}
}

// GetContainerEvents tells of everything that happens.
func (f *Fake) GetContainerEvents(ctx context.Context, connected func(), handle func(*ContainerEvent)) error {
	ch := make(chan *ContainerEvent, 10000)
	f.mu.Lock()
	f.watchers[ch] = true
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.watchers, ch)
		f.mu.Unlock()
	}()
	connected()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-ch:
			handle(e)
		}
	}
}

// waitOrKill lets a stubborn container live for its grace.
func (f *Fake) waitOrKill(ctx context.Context, c *fakeContainer, grace time.Duration) error {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-c.ended:
	case <-timer.C:
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
	return nil
}

// logPath is where a container's log belongs, "" where it has none.
func logPath(s *fakeSandbox, c *ContainerConfig) string {
	if s.config.GetLogDirectory() == "" || c.GetLogPath() == "" {
		return ""
	}
	return filepath.Join(s.config.GetLogDirectory(), c.GetLogPath())
}

func touch(path string) error {
	if path == "" {
		return nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("opening a container's log: %w", err)
	}
	return file.Close()
}
