package cri

import (
	"context"
	"time"

	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// ExecSync runs cmd in a container. The runtime ends it at timeout; the call itself is given a little
// longer, so that it is the runtime's answer that tells.
func (c *Client) ExecSync(ctx context.Context, id string, cmd []string, timeout time.Duration) (*ExecSyncResponse, error) {
	seconds := int64((timeout + time.Second - 1) / time.Second) // CRI counts in whole seconds
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(seconds)*time.Second+c.Timeout)
		defer cancel()
	}
	return c.runtime.ExecSync(ctx, &runtimev1.ExecSyncRequest{ContainerId: id, Cmd: cmd, Timeout: seconds})
}

// Exec prepares a stream to a command.
func (c *Client) Exec(ctx context.Context, r *ExecRequest) (string, error) {
	ctx, cancel := c.short(ctx)
	defer cancel()
	answer, err := c.runtime.Exec(ctx, r)
	return answer.GetUrl(), err
}

// Attach prepares a stream to a running container.
func (c *Client) Attach(ctx context.Context, r *AttachRequest) (string, error) {
	ctx, cancel := c.short(ctx)
	defer cancel()
	answer, err := c.runtime.Attach(ctx, r)
	return answer.GetUrl(), err
}

// PortForward prepares a stream to ports of a sandbox.
func (c *Client) PortForward(ctx context.Context, r *PortForwardRequest) (string, error) {
	ctx, cancel := c.short(ctx)
	defer cancel()
	answer, err := c.runtime.PortForward(ctx, r)
	return answer.GetUrl(), err
}

// ContainerStats measures a container.
func (c *Client) ContainerStats(ctx context.Context, id string) (*ContainerStats, error) {
	ctx, cancel := c.short(ctx)
	defer cancel()
	r, err := c.runtime.ContainerStats(ctx, &runtimev1.ContainerStatsRequest{ContainerId: id})
	return r.GetStats(), err
}

// ListContainerStats measures the running containers.
func (c *Client) ListContainerStats(ctx context.Context, filter *ContainerStatsFilter) ([]*ContainerStats, error) {
	ctx, cancel := c.short(ctx)
	defer cancel()
	r, err := c.runtime.ListContainerStats(ctx, &runtimev1.ListContainerStatsRequest{Filter: filter})
	return r.GetStats(), err
}

// PodSandboxStats measures a sandbox.
func (c *Client) PodSandboxStats(ctx context.Context, id string) (*PodSandboxStats, error) {
	ctx, cancel := c.short(ctx)
	defer cancel()
	r, err := c.runtime.PodSandboxStats(ctx, &runtimev1.PodSandboxStatsRequest{PodSandboxId: id})
	return r.GetStats(), err
}

// ListPodSandboxStats measures the running sandboxes.
func (c *Client) ListPodSandboxStats(ctx context.Context, filter *PodSandboxStatsFilter) ([]*PodSandboxStats, error) {
	ctx, cancel := c.short(ctx)
	defer cancel()
	r, err := c.runtime.ListPodSandboxStats(ctx, &runtimev1.ListPodSandboxStatsRequest{Filter: filter})
	return r.GetStats(), err
}

// ListImages lists images, all where filter is nil.
func (c *Client) ListImages(ctx context.Context, filter *ImageFilter) ([]*Image, error) {
	ctx, cancel := c.short(ctx)
	defer cancel()
	r, err := c.images.ListImages(ctx, &runtimev1.ListImagesRequest{Filter: filter})
	return r.GetImages(), err
}

// ImageStatus describes an image, nil where it is not there.
func (c *Client) ImageStatus(ctx context.Context, image *ImageSpec) (*Image, error) {
	ctx, cancel := c.short(ctx)
	defer cancel()
	r, err := c.images.ImageStatus(ctx, &runtimev1.ImageStatusRequest{Image: image})
	return r.GetImage(), err
}

// PullImage fetches an image from its registry; ctx alone bounds how long that may take.
func (c *Client) PullImage(ctx context.Context, image *ImageSpec, auth *AuthConfig, sandbox *PodSandboxConfig) (string, error) {
	r, err := c.images.PullImage(ctx, &runtimev1.PullImageRequest{Image: image, Auth: auth, SandboxConfig: sandbox})
	return r.GetImageRef(), err
}

// RemoveImage removes an image.
func (c *Client) RemoveImage(ctx context.Context, image *ImageSpec) error {
	ctx, cancel := c.short(ctx)
	defer cancel()
	_, err := c.images.RemoveImage(ctx, &runtimev1.RemoveImageRequest{Image: image})
	return err
}

// ImageFsInfo tells how much the images take up.
func (c *Client) ImageFsInfo(ctx context.Context) (*ImageFsInfoResponse, error) {
	ctx, cancel := c.short(ctx)
	defer cancel()
	return c.images.ImageFsInfo(ctx, &runtimev1.ImageFsInfoRequest{})
}
