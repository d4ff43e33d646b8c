package cri

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// CreateContainer keeps a container that has not run.
func (f *Fake) CreateContainer(_ context.Context, sandboxID string, config *ContainerConfig, _ *PodSandboxConfig) (string, error) {
	if err := f.begin("CreateContainer", config.GetMetadata().GetName()); err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sandboxes[sandboxID]
	if s == nil {
		return "", notFound("sandbox", sandboxID)
	}
	image := f.image(config.GetImage().GetImage())
	if image == nil {
		return "", notFound("image", config.GetImage().GetImage())
	}
	for id, c := range f.containers {
		if c.sandbox == sandboxID && proto.Equal(c.config.GetMetadata(), config.GetMetadata()) {
			return "", status.Errorf(codes.Unknown, "container name is reserved for %q", id)
		}
	}
	f.next++
	id := "container-" + strconv.Itoa(f.next)
	f.containers[id] = &fakeContainer{sandbox: sandboxID, config: proto.Clone(config).(*ContainerConfig), ended: make(chan struct{}),
		status: &ContainerStatus{Id: id, Metadata: config.GetMetadata(), State: ContainerCreated, CreatedAt: f.Clock.Now().UnixNano(),
			Image: config.GetImage(), ImageRef: image.Id, Labels: config.GetLabels(), Annotations: config.GetAnnotations(),
			Mounts: config.GetMounts(), LogPath: logPath(s, config)}}
	f.emit(&ContainerEvent{ContainerId: id, ContainerEventType: ContainerCreatedEvent})
	return id, nil
}

// StartContainer makes a created container count as running.
func (f *Fake) StartContainer(_ context.Context, id string) error {
	if err := f.begin("StartContainer", f.nameOf(id)); err != nil {
		f.Exit(id, 128, "StartError")
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.containers[id]
	if c == nil {
		return notFound("container", id)
	}
	if c.status.State != ContainerCreated {
		return status.Errorf(codes.Unknown, "container %q is in state %s", id, c.status.State)
	}
	if err := touch(c.status.LogPath); err != nil {
		return status.Error(codes.Unknown, err.Error())
	}
	c.status.State, c.status.StartedAt = ContainerRunning, f.Clock.Now().UnixNano()
	f.emit(&ContainerEvent{ContainerId: id, ContainerEventType: ContainerStartedEvent})
	return nil
}

// nameOf is the name of a container, for the record of calls.
func (f *Fake) nameOf(id string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.containers[id]; c != nil {
		return c.config.GetMetadata().GetName()
	}
	return id
}

// StopContainer ends a container: at once, or after its grace where it is stubborn.
func (f *Fake) StopContainer(ctx context.Context, id string, grace time.Duration) error {
	name := f.nameOf(id)
	if err := f.begin("StopContainer", name); err != nil {
		return err
	}
	f.mu.Lock()
	c := f.containers[id]
	stubborn := f.Stubborn[name]
	f.mu.Unlock()
	if c == nil {
		return nil
	}
	code := int32(143)
	if stubborn {
		if err := f.waitOrKill(ctx, c, grace); err != nil {
			return err
		}
		code = 137
	}
	f.Exit(id, code, "Error")
	return nil
}

// RemoveContainer forgets a container.
func (f *Fake) RemoveContainer(_ context.Context, id string) error {
	if err := f.begin("RemoveContainer", f.nameOf(id)); err != nil {
		return err
	}
	f.Exit(id, 137, "Error")
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.containers[id] != nil {
		delete(f.containers, id)
		f.emit(&ContainerEvent{ContainerId: id, ContainerEventType: ContainerDeletedEvent})
	}
	return nil
}

// ListContainers lists containers by id, sandbox, state and labels.
func (f *Fake) ListContainers(_ context.Context, filter *ContainerFilter) ([]*Container, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []*Container
	for _, id := range slices.Sorted(maps.Keys(f.containers)) {
		c := f.containers[id]
		if filter.GetId() != "" && filter.GetId() != id || filter.GetPodSandboxId() != "" && filter.GetPodSandboxId() != c.sandbox ||
			!selects(filter.GetLabelSelector(), c.status.Labels) || filter.GetState() != nil && filter.GetState().State != c.status.State {
			continue
		}
		list = append(list, &Container{Id: id, PodSandboxId: c.sandbox, Metadata: c.status.Metadata, Image: c.status.Image,
			ImageRef: c.status.ImageRef, State: c.status.State, CreatedAt: c.status.CreatedAt, Labels: c.status.Labels, Annotations: c.status.Annotations})
	}
	return list, nil
}

// ContainerStatus describes a container.
func (f *Fake) ContainerStatus(_ context.Context, id string, _ bool) (*ContainerStatusResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.containers[id]
	if c == nil {
		return nil, notFound("container", id)
	}
	return &ContainerStatusResponse{Status: proto.Clone(c.status).(*ContainerStatus)}, nil
}

// Config answers what a container was created with, for tests to look at.
func (f *Fake) Config(id string) *ContainerConfig {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.containers[id]; c != nil {
		return proto.Clone(c.config).(*ContainerConfig)
	}
	return nil
}

// UpdateContainerResources keeps new limits.
func (f *Fake) UpdateContainerResources(_ context.Context, id string, linux *LinuxContainerResources) error {
	if err := f.begin("UpdateContainerResources", f.nameOf(id)); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.containers[id]
	if c == nil {
		return notFound("container", id)
	}
	if c.config.Linux == nil {
		c.config.Linux = &LinuxContainerConfig{}
	}
	c.config.Linux.Resources = linux
	return nil
}

// ReopenContainerLog makes the log file anew.
func (f *Fake) ReopenContainerLog(_ context.Context, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.containers[id]
	if c == nil {
		return notFound("container", id)
	}
	if c.status.State != ContainerRunning {
		return status.Errorf(codes.Unknown, "container %q is not running", id)
	}
	return touch(c.status.LogPath)
}

// ExecSync answers what Run says; without Run every command succeeds in silence.
func (f *Fake) ExecSync(_ context.Context, id string, cmd []string, _ time.Duration) (*ExecSyncResponse, error) {
	f.mu.Lock()
	c, run := f.containers[id], f.Run
	running := c != nil && c.status.State == ContainerRunning
	f.mu.Unlock()
	if c == nil {
		return nil, notFound("container", id)
	}
	if !running {
		return nil, status.Errorf(codes.Unknown, "container %q is not running", id)
	}
	if run == nil {
		return &ExecSyncResponse{}, nil
	}
	return run(id, cmd), nil
}

func (f *Fake) streamTo(id string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.containers[id] == nil && f.sandboxes[id] == nil {
		return "", notFound("container", id)
	}
	return "http://127.0.0.1:0/" + id, nil
}

// Exec answers an address that nobody serves.
func (f *Fake) Exec(_ context.Context, r *ExecRequest) (string, error) {
	return f.streamTo(r.GetContainerId())
}

// Attach answers an address that nobody serves.
func (f *Fake) Attach(_ context.Context, r *AttachRequest) (string, error) {
	return f.streamTo(r.GetContainerId())
}

// PortForward answers an address that nobody serves.
func (f *Fake) PortForward(_ context.Context, r *PortForwardRequest) (string, error) {
	return f.streamTo(r.GetPodSandboxId())
}
