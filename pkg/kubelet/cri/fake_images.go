package cri

import (
	"context"
	"maps"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimev1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// image finds an image by name or id; f.mu is held.
func (f *Fake) image(name string) *Image {
	if i := f.images[name]; i != nil {
		return i
	}
	for _, i := range f.images {
		if i.Id == name {
			return i
		}
	}
	return nil
}

// ListImages lists images, or the one that the filter names.
func (f *Fake) ListImages(_ context.Context, filter *ImageFilter) ([]*Image, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []*Image
	for _, name := range slices.Sorted(maps.Keys(f.images)) {
		if want := filter.GetImage().GetImage(); want == "" || f.image(want) == f.images[name] {
			list = append(list, f.images[name])
		}
	}
	return list, nil
}

// ImageStatus describes an image.
func (f *Fake) ImageStatus(_ context.Context, image *ImageSpec) (*Image, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.image(image.GetImage()), nil
}

// PullImage fails unless the image is there: the fake knows no registry. Images for it to "pull" are given
// with AddImage from inside Fail.
func (f *Fake) PullImage(_ context.Context, image *ImageSpec, _ *AuthConfig, _ *PodSandboxConfig) (string, error) {
	if err := f.begin("PullImage", image.GetImage()); err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.image(image.GetImage())
	if i == nil {
		return "", status.Errorf(codes.NotFound, "failed to pull and unpack image %q: not found", image.GetImage())
	}
	return i.Id, nil
}

// AddImage makes an image be there.
func (f *Fake) AddImage(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.images[name] = &Image{Id: "sha256:" + name, RepoTags: []string{name}, Size: 1000}
}

// RemoveImage forgets an image.
func (f *Fake) RemoveImage(_ context.Context, image *ImageSpec) error {
	if err := f.begin("RemoveImage", image.GetImage()); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	found := f.image(image.GetImage())
	maps.DeleteFunc(f.images, func(_ string, i *Image) bool { return i == found })
	return nil
}

// ImageFsInfo tells of one file system that is nearly empty.
func (f *Fake) ImageFsInfo(context.Context) (*ImageFsInfoResponse, error) {
	return &ImageFsInfoResponse{ImageFilesystems: []*FilesystemUsage{{Timestamp: f.Clock.Now().UnixNano(),
		FsId: &FilesystemIdentifier{Mountpoint: "/"}, UsedBytes: &UInt64Value{Value: 1000}, InodesUsed: &UInt64Value{Value: 10}}}}, nil
}

func (f *Fake) statsOf(id string, c *fakeContainer) *ContainerStats {
	now := f.Clock.Now().UnixNano()
	return &ContainerStats{
		Attributes: &ContainerAttributes{Id: id, Metadata: c.status.Metadata, Labels: c.status.Labels, Annotations: c.status.Annotations},
		Cpu:        &CPUUsage{Timestamp: now, UsageCoreNanoSeconds: &UInt64Value{Value: 1000}},
		Memory:     &MemoryUsage{Timestamp: now, WorkingSetBytes: &UInt64Value{Value: 4096}},
		WritableLayer: &FilesystemUsage{Timestamp: now, FsId: &FilesystemIdentifier{Mountpoint: "/"},
			UsedBytes: &UInt64Value{Value: 4096}, InodesUsed: &UInt64Value{Value: 1}},
	}
}

// ContainerStats measures a container.
func (f *Fake) ContainerStats(_ context.Context, id string) (*ContainerStats, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.containers[id]
	if c == nil {
		return nil, notFound("container", id)
	}
	return f.statsOf(id, c), nil
}

// ListContainerStats measures the running containers that the filter selects.
func (f *Fake) ListContainerStats(_ context.Context, filter *ContainerStatsFilter) ([]*ContainerStats, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []*ContainerStats
	for _, id := range slices.Sorted(maps.Keys(f.containers)) {
		c := f.containers[id]
		if c.status.State != ContainerRunning || filter.GetId() != "" && filter.GetId() != id ||
			filter.GetPodSandboxId() != "" && filter.GetPodSandboxId() != c.sandbox || !selects(filter.GetLabelSelector(), c.status.Labels) {
			continue
		}
		list = append(list, f.statsOf(id, c))
	}
	return list, nil
}

// PodSandboxStats measures a sandbox.
func (f *Fake) PodSandboxStats(ctx context.Context, id string) (*PodSandboxStats, error) {
	containers, err := f.ListContainerStats(ctx, &ContainerStatsFilter{PodSandboxId: id})
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sandboxes[id]
	if s == nil {
		return nil, notFound("sandbox", id)
	}
	return &PodSandboxStats{
		Attributes: &PodSandboxAttributes{Id: id, Metadata: s.status.Metadata, Labels: s.status.Labels, Annotations: s.status.Annotations},
		Linux:      &runtimev1.LinuxPodSandboxStats{Containers: containers},
	}, nil
}

// ListPodSandboxStats measures the sandboxes that the filter selects.
func (f *Fake) ListPodSandboxStats(ctx context.Context, filter *PodSandboxStatsFilter) ([]*PodSandboxStats, error) {
	sandboxes, err := f.ListPodSandbox(ctx, &PodSandboxFilter{Id: filter.GetId(), LabelSelector: filter.GetLabelSelector()})
	if err != nil {
		return nil, err
	}
	var list []*PodSandboxStats
	for _, s := range sandboxes {
		stats, err := f.PodSandboxStats(ctx, s.Id)
		if err != nil {
			return nil, err
		}
		list = append(list, stats)
	}
	return list, nil
}
