// Package cri is the kubelet's one way to the container runtime: CRI v1 over gRPC, and a fake of it for
// tests. It knows sandboxes, containers and images; it does not know pods' specifications.
package cri

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Runtime is what the kubelet asks of a container runtime. Its methods are CRI's calls of the same names,
// and their rules (what is idempotent, what an absent object means) are those of CRI's specification:
// stopping or removing what does not exist is no error, asking for its status is one that IsNotFound knows.
// All methods may be used at once. Errors keep the runtime's gRPC status.
type Runtime interface {
	Version(ctx context.Context) (*VersionResponse, error)
	Status(ctx context.Context, verbose bool) (*StatusResponse, error)
	UpdateRuntimeConfig(ctx context.Context, config *RuntimeConfig) error

	RunPodSandbox(ctx context.Context, config *PodSandboxConfig, runtimeHandler string) (id string, err error)
	StopPodSandbox(ctx context.Context, id string) error
	RemovePodSandbox(ctx context.Context, id string) error
	PodSandboxStatus(ctx context.Context, id string, verbose bool) (*PodSandboxStatusResponse, error)
	ListPodSandbox(ctx context.Context, filter *PodSandboxFilter) ([]*PodSandbox, error)

	CreateContainer(ctx context.Context, sandboxID string, config *ContainerConfig, sandbox *PodSandboxConfig) (id string, err error)
	StartContainer(ctx context.Context, id string) error
	// StopContainer sends the stop signal, and kills what still runs after grace.
	StopContainer(ctx context.Context, id string, grace time.Duration) error
	RemoveContainer(ctx context.Context, id string) error
	ListContainers(ctx context.Context, filter *ContainerFilter) ([]*Container, error)
	ContainerStatus(ctx context.Context, id string, verbose bool) (*ContainerStatusResponse, error)
	UpdateContainerResources(ctx context.Context, id string, linux *LinuxContainerResources) error
	// ReopenContainerLog makes the runtime write to a new file after the old one was renamed.
	ReopenContainerLog(ctx context.Context, id string) error

	// ExecSync runs cmd and waits for its end, at most timeout (0: for ever). A command that ran and ended
	// with a code other than 0 is no error: the code is in the response.
	ExecSync(ctx context.Context, id string, cmd []string, timeout time.Duration) (*ExecSyncResponse, error)
	// Exec, Attach and PortForward answer the URL of the runtime's streaming server.
	Exec(ctx context.Context, r *ExecRequest) (url string, err error)
	Attach(ctx context.Context, r *AttachRequest) (url string, err error)
	PortForward(ctx context.Context, r *PortForwardRequest) (url string, err error)

	ContainerStats(ctx context.Context, id string) (*ContainerStats, error)
	ListContainerStats(ctx context.Context, filter *ContainerStatsFilter) ([]*ContainerStats, error)
	PodSandboxStats(ctx context.Context, id string) (*PodSandboxStats, error)
	ListPodSandboxStats(ctx context.Context, filter *PodSandboxStatsFilter) ([]*PodSandboxStats, error)

	ListImages(ctx context.Context, filter *ImageFilter) ([]*Image, error)
	// ImageStatus answers nil for an image that is not there.
	ImageStatus(ctx context.Context, image *ImageSpec) (*Image, error)
	PullImage(ctx context.Context, image *ImageSpec, auth *AuthConfig, sandbox *PodSandboxConfig) (ref string, err error)
	RemoveImage(ctx context.Context, image *ImageSpec) error
	ImageFsInfo(ctx context.Context) (*ImageFsInfoResponse, error)

	// GetContainerEvents calls connected once events flow and then handle with each event, in order, until
	// ctx ends or the stream breaks. When handle is called the runtime already answers the new state.
	// An error that IsUnimplemented knows means that this runtime tells no events: ask it now and then.
	GetContainerEvents(ctx context.Context, connected func(), handle func(*ContainerEvent)) error
}

// IsNotFound says whether err tells that the sandbox, container or image is not there.
func IsNotFound(err error) bool { return status.Code(err) == codes.NotFound }

// IsUnimplemented says whether err tells that the runtime does not have the call.
func IsUnimplemented(err error) bool { return status.Code(err) == codes.Unimplemented }

// IsUnavailable says whether err tells that the runtime could not be reached.
func IsUnavailable(err error) bool { return status.Code(err) == codes.Unavailable }
