package cri

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	defaultTimeout = 2 * time.Minute
	// maxMessage is the largest answer that is read: a list of all containers of a full node.
	maxMessage = 16 << 20
)

// Client speaks CRI v1 to a runtime's socket.
type Client struct {
	conn    *grpc.ClientConn
	runtime runtimev1.RuntimeServiceClient
	images  runtimev1.ImageServiceClient

	Timeout time.Duration // bounds the calls that should be quick; set it before the first
}

var _ Runtime = (*Client)(nil)

// Dial makes a client of the runtime at endpoint, "unix:///path" or a path. It does not wait for the
// runtime: calls fail with an error that IsUnavailable knows while it is away, and work again once it is back.
func Dial(endpoint string) (*Client, error) {
	target, err := target(endpoint)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithConnectParams(grpc.ConnectParams{
			MinConnectTimeout: 3 * time.Second,
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, MaxDelay: 3 * time.Second},
		}))
	if err != nil {
		return nil, fmt.Errorf("making the client of the container runtime at %s: %w", endpoint, err)
	}
	return &Client{conn: conn, runtime: runtimev1.NewRuntimeServiceClient(conn), images: runtimev1.NewImageServiceClient(conn), Timeout: defaultTimeout}, nil
}

func target(endpoint string) (string, error) {
	if strings.HasPrefix(endpoint, "/") {
		return "unix://" + endpoint, nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "unix" || !filepath.IsAbs(u.Path) {
		return "", fmt.Errorf("the container runtime endpoint %q is not usable: write unix:///path/to/its.sock", endpoint)
	}
	return "unix://" + u.Path, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

func (c *Client) short(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.Timeout)
}

// Version asks what the runtime is.
func (c *Client) Version(ctx context.Context) (*VersionResponse, error) {
	ctx, cancel := c.short(ctx)
	defer cancel()
	return c.runtime.Version(ctx, &runtimev1.VersionRequest{Version: "v1"})
}

// Status asks for the conditions RuntimeReady and NetworkReady.
func (c *Client) Status(ctx context.Context, verbose bool) (*StatusResponse, error) {
	ctx, cancel := c.short(ctx)
	defer cancel()
	return c.runtime.Status(ctx, &runtimev1.StatusRequest{Verbose: verbose})
}

// UpdateRuntimeConfig tells the runtime the node's pod CIDR.
func (c *Client) UpdateRuntimeConfig(ctx context.Context, config *RuntimeConfig) error {
	ctx, cancel := c.short(ctx)
	defer cancel()
	_, err := c.runtime.UpdateRuntimeConfig(ctx, &runtimev1.UpdateRuntimeConfigRequest{RuntimeConfig: config})
	return err
}

// RunPodSandbox creates and starts a sandbox with its network. It may take twice as long as other calls.
func (c *Client) RunPodSandbox(ctx context.Context, config *PodSandboxConfig, runtimeHandler string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*c.Timeout)
	defer cancel()
	r, err := c.runtime.RunPodSandbox(ctx, &runtimev1.RunPodSandboxRequest{Config: config, RuntimeHandler: runtimeHandler})
	return r.GetPodSandboxId(), err
}

// StopPodSandbox stops what runs in a sandbox and gives its network back.
func (c *Client) StopPodSandbox(ctx context.Context, id string) error {
	ctx, cancel := c.short(ctx)
	defer cancel()
	_, err := c.runtime.StopPodSandbox(ctx, &runtimev1.StopPodSandboxRequest{PodSandboxId: id})
	return err
}

// RemovePodSandbox removes a sandbox and its containers.
func (c *Client) RemovePodSandbox(ctx context.Context, id string) error {
	ctx, cancel := c.short(ctx)
	defer cancel()
	_, err := c.runtime.RemovePodSandbox(ctx, &runtimev1.RemovePodSandboxRequest{PodSandboxId: id})
	return err
}

// PodSandboxStatus describes a sandbox.
func (c *Client) PodSandboxStatus(ctx context.Context, id string, verbose bool) (*PodSandboxStatusResponse, error) {
	ctx, cancel := c.short(ctx)
	defer cancel()
	return c.runtime.PodSandboxStatus(ctx, &runtimev1.PodSandboxStatusRequest{PodSandboxId: id, Verbose: verbose})
}

// ListPodSandbox lists sandboxes, all where filter is nil.
func (c *Client) ListPodSandbox(ctx context.Context, filter *PodSandboxFilter) ([]*PodSandbox, error) {
	ctx, cancel := c.short(ctx)
	defer cancel()
	r, err := c.runtime.ListPodSandbox(ctx, &runtimev1.ListPodSandboxRequest{Filter: filter})
	return r.GetItems(), err
}

// CreateContainer creates a container in a sandbox; sandbox is the configuration that the latter was run with.
func (c *Client) CreateContainer(ctx context.Context, sandboxID string, config *ContainerConfig, sandbox *PodSandboxConfig) (string, error) {
	ctx, cancel := c.short(ctx)
	defer cancel()
	r, err := c.runtime.CreateContainer(ctx, &runtimev1.CreateContainerRequest{PodSandboxId: sandboxID, Config: config, SandboxConfig: sandbox})
	return r.GetContainerId(), err
}

// StartContainer starts a created container.
func (c *Client) StartContainer(ctx context.Context, id string) error {
	ctx, cancel := c.short(ctx)
	defer cancel()
	_, err := c.runtime.StartContainer(ctx, &runtimev1.StartContainerRequest{ContainerId: id})
	return err
}

// StopContainer returns when the container has stopped.
func (c *Client) StopContainer(ctx context.Context, id string, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout+grace)
	defer cancel()
	_, err := c.runtime.StopContainer(ctx, &runtimev1.StopContainerRequest{ContainerId: id, Timeout: int64(grace / time.Second)})
	return err
}

// RemoveContainer removes a container, killing it where it still runs.
func (c *Client) RemoveContainer(ctx context.Context, id string) error {
	ctx, cancel := c.short(ctx)
	defer cancel()
	_, err := c.runtime.RemoveContainer(ctx, &runtimev1.RemoveContainerRequest{ContainerId: id})
	return err
}

// ListContainers lists containers, all where filter is nil.
func (c *Client) ListContainers(ctx context.Context, filter *ContainerFilter) ([]*Container, error) {
	ctx, cancel := c.short(ctx)
	defer cancel()
	r, err := c.runtime.ListContainers(ctx, &runtimev1.ListContainersRequest{Filter: filter})
	return r.GetContainers(), err
}

// ContainerStatus describes a container.
func (c *Client) ContainerStatus(ctx context.Context, id string, verbose bool) (*ContainerStatusResponse, error) {
	ctx, cancel := c.short(ctx)
	defer cancel()
	return c.runtime.ContainerStatus(ctx, &runtimev1.ContainerStatusRequest{ContainerId: id, Verbose: verbose})
}

// UpdateContainerResources changes the limits of a running container.
func (c *Client) UpdateContainerResources(ctx context.Context, id string, linux *LinuxContainerResources) error {
	ctx, cancel := c.short(ctx)
	defer cancel()
	_, err := c.runtime.UpdateContainerResources(ctx, &runtimev1.UpdateContainerResourcesRequest{ContainerId: id, Linux: linux})
	return err
}

// ReopenContainerLog follows a rotation of a container's log.
func (c *Client) ReopenContainerLog(ctx context.Context, id string) error {
	ctx, cancel := c.short(ctx)
	defer cancel()
	_, err := c.runtime.ReopenContainerLog(ctx, &runtimev1.ReopenContainerLogRequest{ContainerId: id})
	return err
}
