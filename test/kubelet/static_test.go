// Package kubelet_test runs the kubelet on a real containerd, as root.
package kubelet_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sampan-project/sampan/pkg/kubelet"
	"github.com/sampan-project/sampan/pkg/kubelet/config"
	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

const manifest = `apiVersion: v1
kind: Pod
metadata: {name: web, namespace: test}
spec:
  terminationGracePeriodSeconds: 5
  initContainers:
  - name: prepare
    image: shell:1
    command: [sh, -c, "echo prepared > /data/file"]
    volumeMounts: [{name: data, mountPath: /data}]
  containers:
  - name: main
    image: shell:1
    command: [sh, -c, 'trap "exit 0" TERM; busybox cat /data/file; while :; do busybox sleep 0.1; done']
    volumeMounts: [{name: data, mountPath: /data}]
    resources: {limits: {memory: 64Mi}}
  volumes: [{name: data, emptyDir: {}}]
`

// start runs a kubelet without an apiserver; stop ends it and leaves its pods alone.
func (h *host) start(t *testing.T) (stop func()) {
	t.Helper()
	cfg := config.New()
	at := func(name string) string { return filepath.Join(h.dir, name) }
	cfg.RootDir, cfg.CertDir, cfg.ContainerLogsDir = at("kubelet"), at("pki"), at("links")
	cfg.HostnameOverride, cfg.NodeIP = "testnode", "127.0.0.1"
	k := &cfg.Kubelet
	k.PodLogsDir, k.StaticPodPath, k.CgroupRoot = at("logs"), at("manifests"), h.cgroup
	k.ContainerRuntimeEndpoint = "unix://" + h.socket
	*k.EnableServer, *k.FailSwapOn = false, false
	cfg.Logging.Verbosity = 2
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- kubelet.Run(ctx, cfg) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the kubelet ended with: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// running is the container of a name that runs, nil where none does.
func (h *host) running(t *testing.T, name string) *cri.Container {
	list, err := h.cri.ListContainers(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if c.GetMetadata().GetName() == name && c.GetState() == cri.ContainerRunning {
			return c
		}
	}
	return nil
}

// process is the process id of a container.
func (h *host) process(t *testing.T, id string) int {
	r, err := h.cri.ContainerStatus(t.Context(), id, true)
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	_, rest, _ := strings.Cut(r.GetInfo()["info"], `"pid":`)
	if _, err := fmt.Sscanf(rest, "%d", &pid); err != nil || pid <= 1 {
		t.Fatalf("the runtime does not tell the process of %s: %v", id, err)
	}
	return pid
}

func TestStaticPodOnContainerd(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test starts containerd: run it as root")
	}
	h := containerd(t)
	if err := os.MkdirAll(filepath.Join(h.dir, "manifests"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			list, err := h.cri.ListContainers(contextForCleanup(t), nil)
			t.Logf("left: %v; containers (%v): %v", h.remains, err, list)
		}
	})
	stop := h.start(t)
	h.write(t, "manifests/web.yaml", manifest)
	eventually(t, "the pod runs", func() bool { return h.running(t, "main") != nil })
	first := h.running(t, "main")
	logs, err := filepath.Glob(filepath.Join(h.dir, "logs", "test_web-testnode_*", "main", "0.log"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("logs: %v (%v)", logs, err)
	}
	eventually(t, "the container sees what the init container wrote", func() bool {
		b, err := os.ReadFile(logs[0])
		return err == nil && strings.Contains(string(b), "stdout F prepared")
	})

	if err := syscall.Kill(h.process(t, first.GetId()), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a killed container runs again", func() bool {
		c := h.running(t, "main")
		return c != nil && c.GetMetadata().GetAttempt() == 1 && c.GetPodSandboxId() == first.GetPodSandboxId()
	})

	second := h.running(t, "main")
	stop()
	if c := h.running(t, "main"); c == nil || c.GetId() != second.GetId() {
		t.Fatal("the container did not outlive the kubelet")
	}
	// What happens to the pod while no kubelet runs is made up for, and nothing else is touched.
	if err := syscall.Kill(h.process(t, second.GetId()), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	stop = h.start(t)
	eventually(t, "a container that was killed meanwhile runs again", func() bool {
		c := h.running(t, "main")
		return c != nil && c.GetMetadata().GetAttempt() == 2 && c.GetPodSandboxId() == first.GetPodSandboxId()
	})

	stop()
	if err := os.Remove(filepath.Join(h.dir, "manifests", "web.yaml")); err != nil {
		t.Fatal(err)
	}
	h.start(t)
	eventually(t, "nothing is left of a pod whose file went while no kubelet ran", func() bool { return len(h.left(t)) == 0 })
}

// left lists what is left of pods: sandboxes, volumes, logs, links and control groups.
func (h *host) left(t *testing.T) []string {
	var left []string
	sandboxes, err := h.cri.ListPodSandbox(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sandboxes {
		left = append(left, s.GetId())
	}
	for _, dir := range []string{"kubelet/pods", "logs", "links"} {
		entries, err := os.ReadDir(filepath.Join(h.dir, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			left = append(left, e.Name())
		}
	}
	_ = filepath.WalkDir("/sys/fs/cgroup", func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(p, h.cgroup+"/kubepods") && strings.HasPrefix(d.Name(), "pod") {
			left = append(left, p)
		}
		return nil
	})
	h.remains = left
	return left
}

func contextForCleanup(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
