// Package critest is the contract that every cri.Runtime must keep: the fake passes it in unit tests, the
// client with a real containerd behind it in test/kubelet.
package critest

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

// Fixture is a runtime to judge.
type Fixture struct {
	Runtime cri.Runtime
	// Image is one that the runtime has. Command makes a container of it run until it is stopped.
	Image   string
	Command []string
	// Absent is an image that no one has.
	Absent string
}

const patience = 30 * time.Second

// Run judges the runtime.
func Run(t *testing.T, f Fixture) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Fixture)
	}{
		{"Version", version},
		{"AbsentIsNotFoundOrNoError", absent},
		{"SandboxLifecycle", sandboxLifecycle},
		{"ContainerLifecycle", containerLifecycle},
		{"StoppingTheSandboxEndsItsContainers", stopSandbox},
		{"EventsTellOfAnEndThatIsRecorded", events},
		{"Images", images},
		{"Stats", stats},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, f) })
	}
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sandbox runs one on the host's network, so that the contract needs no CNI, and removes it at the end.
func sandbox(t *testing.T, f Fixture) (string, *cri.PodSandboxConfig) {
	t.Helper()
	config := &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: filepath.Base(t.Name()), Namespace: "critest", Uid: t.Name()},
		Labels:       map[string]string{"critest": filepath.Base(t.Name())},
		Annotations:  map[string]string{"note": "kept"},
		LogDirectory: t.TempDir(),
		Linux: &cri.LinuxPodSandboxConfig{SecurityContext: &cri.LinuxSandboxSecurity{
			NamespaceOptions: &cri.NamespaceOption{Network: cri.NamespaceNode, Pid: cri.NamespaceContainer}}},
	}
	id, err := f.Runtime.RunPodSandbox(bounded(t), config, "")
	check(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := f.Runtime.StopPodSandbox(ctx, id); err != nil {
			t.Error(err)
		}
		if err := f.Runtime.RemovePodSandbox(ctx, id); err != nil {
			t.Error(err)
		}
	})
	return id, config
}

func container(t *testing.T, f Fixture, sandboxID string, sandbox *cri.PodSandboxConfig) string {
	t.Helper()
	id, err := f.Runtime.CreateContainer(bounded(t), sandboxID, &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: "main", Attempt: 3}, Image: &cri.ImageSpec{Image: f.Image}, Command: f.Command,
		Labels: map[string]string{"critest": filepath.Base(t.Name())}, Annotations: map[string]string{"restarts": "3"},
		LogPath: "main.log", Linux: &cri.LinuxContainerConfig{SecurityContext: &cri.LinuxContainerSecurity{
			NamespaceOptions: sandbox.Linux.SecurityContext.NamespaceOptions}},
	}, sandbox)
	check(t, err)
	return id
}

func version(t *testing.T, f Fixture) {
	v := must[*cri.VersionResponse](t)(f.Runtime.Version(bounded(t)))
	if v.RuntimeApiVersion != "v1" || v.RuntimeName == "" {
		t.Errorf("version %v: want CRI v1 and a name", v)
	}
	s := must[*cri.StatusResponse](t)(f.Runtime.Status(bounded(t), false))
	ready := map[string]bool{}
	for _, c := range s.GetStatus().GetConditions() {
		ready[c.Type] = c.Status
	}
	if !ready[cri.RuntimeReady] {
		t.Errorf("conditions %v: want %s", s.GetStatus().GetConditions(), cri.RuntimeReady)
	}
}

func absent(t *testing.T, f Fixture) {
	ctx := bounded(t)
	const id = "0000000000000000000000000000000000000000000000000000000000000000"
	if _, err := f.Runtime.PodSandboxStatus(ctx, id, false); !cri.IsNotFound(err) {
		t.Errorf("status of an absent sandbox: %v", err)
	}
	if _, err := f.Runtime.ContainerStatus(ctx, id, false); !cri.IsNotFound(err) {
		t.Errorf("status of an absent container: %v", err)
	}
	for what, err := range map[string]error{
		"stopping a sandbox":   f.Runtime.StopPodSandbox(ctx, id),
		"removing a sandbox":   f.Runtime.RemovePodSandbox(ctx, id),
		"stopping a container": f.Runtime.StopContainer(ctx, id, 0),
		"removing a container": f.Runtime.RemoveContainer(ctx, id),
	} {
		if err != nil {
			t.Errorf("%s that is not there: %v", what, err)
		}
	}
}

func sandboxLifecycle(t *testing.T, f Fixture) {
	id, config := sandbox(t, f)
	ctx := bounded(t)
	list := must[[]*cri.PodSandbox](t)(f.Runtime.ListPodSandbox(ctx, &cri.PodSandboxFilter{LabelSelector: config.Labels}))
	if len(list) != 1 || list[0].Id != id || list[0].State != cri.SandboxReady || list[0].Annotations["note"] != "kept" {
		t.Fatalf("listed %v: want the one ready sandbox", list)
	}
	check(t, f.Runtime.StopPodSandbox(ctx, id))
	check(t, f.Runtime.StopPodSandbox(ctx, id))
	if s := must[*cri.PodSandboxStatusResponse](t)(f.Runtime.PodSandboxStatus(ctx, id, false)); s.GetStatus().State != cri.SandboxNotReady {
		t.Errorf("state after the stop: %v", s.GetStatus().State)
	}
	check(t, f.Runtime.RemovePodSandbox(ctx, id))
	if _, err := f.Runtime.PodSandboxStatus(ctx, id, false); !cri.IsNotFound(err) {
		t.Errorf("status after the removal: %v", err)
	}
}

func containerLifecycle(t *testing.T, f Fixture) {
	sandboxID, config := sandbox(t, f)
	ctx := bounded(t)
	id := container(t, f, sandboxID, config)
	status := func() *cri.ContainerStatus {
		return must[*cri.ContainerStatusResponse](t)(f.Runtime.ContainerStatus(ctx, id, false)).GetStatus()
	}
	if s := status(); s.State != cri.ContainerCreated || s.Metadata.Attempt != 3 || s.Annotations["restarts"] != "3" {
		t.Errorf("created: %v", s)
	}
	check(t, f.Runtime.StartContainer(ctx, id))
	if s := status(); s.State != cri.ContainerRunning || s.StartedAt == 0 {
		t.Errorf("started: %v", s)
	}
	if err := f.Runtime.StartContainer(ctx, id); err == nil {
		t.Error("a running container was started once more")
	}
	log := filepath.Join(config.LogDirectory, "main.log")
	if _, err := os.Stat(log); err != nil {
		t.Error(err)
	}
	check(t, os.Rename(log, log+".1"))
	check(t, f.Runtime.ReopenContainerLog(ctx, id))
	if _, err := os.Stat(log); err != nil {
		t.Error(err)
	}
	if list := must[[]*cri.Container](t)(f.Runtime.ListContainers(ctx, &cri.ContainerFilter{PodSandboxId: sandboxID})); len(list) != 1 || list[0].Id != id {
		t.Errorf("listed %v", list)
	}
	check(t, f.Runtime.StopContainer(ctx, id, 0))
	check(t, f.Runtime.StopContainer(ctx, id, 0))
	if s := status(); s.State != cri.ContainerExited || s.ExitCode == 0 || s.FinishedAt < s.StartedAt {
		t.Errorf("stopped: %v", s)
	}
	if _, err := f.Runtime.ExecSync(ctx, id, []string{"true"}, time.Second); err == nil {
		t.Error("a command ran in a container that has stopped")
	}
	check(t, f.Runtime.RemoveContainer(ctx, id))
	if _, err := f.Runtime.ContainerStatus(ctx, id, false); !cri.IsNotFound(err) {
		t.Errorf("status after the removal: %v", err)
	}
}

func stopSandbox(t *testing.T, f Fixture) {
	sandboxID, config := sandbox(t, f)
	ctx := bounded(t)
	id := container(t, f, sandboxID, config)
	check(t, f.Runtime.StartContainer(ctx, id))
	check(t, f.Runtime.StopPodSandbox(ctx, sandboxID))
	if s := must[*cri.ContainerStatusResponse](t)(f.Runtime.ContainerStatus(ctx, id, false)); s.GetStatus().State != cri.ContainerExited {
		t.Errorf("the container of a stopped sandbox: %v", s.GetStatus().State)
	}
	check(t, f.Runtime.RemovePodSandbox(ctx, sandboxID))
	if _, err := f.Runtime.ContainerStatus(ctx, id, false); !cri.IsNotFound(err) {
		t.Errorf("the container of a removed sandbox: %v", err)
	}
}

func events(t *testing.T, f Fixture) {
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	connected, stopped := make(chan struct{}), make(chan string, 100)
	done := make(chan error, 1)
	go func() {
		done <- f.Runtime.GetContainerEvents(ctx, func() { close(connected) }, func(e *cri.ContainerEvent) {
			if e.ContainerEventType == cri.ContainerStoppedEvent {
				stopped <- e.ContainerId
			}
		})
	}()
	select {
	case <-connected:
	case err := <-done:
		t.Fatal(err)
	}
	sandboxID, config := sandbox(t, f)
	id := container(t, f, sandboxID, config)
	check(t, f.Runtime.StartContainer(ctx, id))
	check(t, f.Runtime.StopContainer(ctx, id, 0))
	for got := ""; got != id; {
		select {
		case got = <-stopped:
		case <-ctx.Done():
			t.Fatal("no event tells of the container's end")
		}
	}
	if s := must[*cri.ContainerStatusResponse](t)(f.Runtime.ContainerStatus(ctx, id, false)); s.GetStatus().State != cri.ContainerExited {
		t.Errorf("the event came while the container counts as %v", s.GetStatus().State)
	}
	cancel()
	select {
	case <-done:
	case <-time.After(patience):
		t.Error("the stream outlives its context")
	}
}

func images(t *testing.T, f Fixture) {
	ctx := bounded(t)
	if i := must[*cri.Image](t)(f.Runtime.ImageStatus(ctx, &cri.ImageSpec{Image: f.Absent})); i != nil {
		t.Errorf("an absent image has a status: %v", i)
	}
	i := must[*cri.Image](t)(f.Runtime.ImageStatus(ctx, &cri.ImageSpec{Image: f.Image}))
	if i == nil || i.Id == "" || i.Size == 0 {
		t.Fatalf("image %v", i)
	}
	if list := must[[]*cri.Image](t)(f.Runtime.ListImages(ctx, nil)); len(list) == 0 {
		t.Error("no image is listed")
	}
	if fs := must[*cri.ImageFsInfoResponse](t)(f.Runtime.ImageFsInfo(ctx)); len(fs.ImageFilesystems) == 0 {
		t.Error("no file system of images")
	}
	check(t, f.Runtime.RemoveImage(ctx, &cri.ImageSpec{Image: f.Absent}))
}

func stats(t *testing.T, f Fixture) {
	sandboxID, config := sandbox(t, f)
	ctx := bounded(t)
	id := container(t, f, sandboxID, config)
	check(t, f.Runtime.StartContainer(ctx, id))
	s := must[*cri.ContainerStats](t)(f.Runtime.ContainerStats(ctx, id))
	if s.GetAttributes().GetId() != id || s.GetCpu() == nil || s.GetMemory() == nil {
		t.Errorf("container stats: %v", s)
	}
	all := must[[]*cri.PodSandboxStats](t)(f.Runtime.ListPodSandboxStats(ctx, &cri.PodSandboxStatsFilter{Id: sandboxID}))
	if len(all) != 1 || len(all[0].GetLinux().GetContainers()) != 1 {
		t.Errorf("sandbox stats: %v", all)
	}
}
