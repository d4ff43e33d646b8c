package kubelet_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

const (
	image      = "docker.io/library/shell:1"
	pauseImage = "docker.io/library/sandbox:1"
	patience   = 60 * time.Second
)

// host is a containerd of the test's own, with everything that it and a kubelet keep below one directory.
type host struct {
	dir, bridge, cgroup, socket string
	cri                         *cri.Client
	remains                     []string // what was last seen to be left of pods
}

// containerd starts one with two images of the node's busybox, and takes all of it away after the test.
func containerd(t *testing.T) *host {
	t.Helper()
	dir, err := os.MkdirTemp("", "kt") // t.TempDir's paths are too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprintf("kt%d", os.Getpid())
	h := &host{dir: dir, bridge: id, cgroup: "/" + id, socket: filepath.Join(dir, "c.sock")}
	t.Cleanup(func() { h.remove(t) })
	h.write(t, "cni/10-test.conflist", fmt.Sprintf(`{"cniVersion":"0.4.0","name":%[1]q,"plugins":[{"type":"bridge","bridge":%[1]q,
"isGateway":true,"ipam":{"type":"host-local","dataDir":%[2]q,"ranges":[[{"subnet":"10.213.77.0/24"}]]}}]}`, h.bridge, filepath.Join(dir, "ipam")))
	h.write(t, "config.toml", fmt.Sprintf(`version = 2
root = "%[1]s/root"
state = "%[1]s/state"
[grpc]
  address = "%[1]s/c.sock"
[ttrpc]
  address = "%[1]s/t.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "%[1]s/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[2]q
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "%[1]s/cni"
`, dir, pauseImage))
	log, err := os.Create(filepath.Join(dir, "containerd.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("containerd", "-c", filepath.Join(dir, "config.toml"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting containerd (install it to run this test): %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		log.Close()
	})
	if h.cri, err = cri.Dial(h.socket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.cri.Close() })
	eventually(t, "containerd answers", func() bool { _, err := h.cri.Version(t.Context()); return err == nil })
	h.load(t, image, nil)
	h.load(t, pauseImage, []string{"/bin/busybox", "sleep", "1000000"})
	t.Cleanup(func() { h.empty(t) })
	return h
}

func (h *host) write(t *testing.T, file, text string) {
	t.Helper()
	path := filepath.Join(h.dir, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	// In one step, so that nobody reads half a file.
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// load packs busybox as an image and imports it.
func (h *host) load(t *testing.T, ref string, entrypoint []string) {
	t.Helper()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatalf("reading busybox (install busybox-static to run this test): %v", err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, dir := range []string{"bin/", "etc/", "dev/", "proc/", "sys/", "tmp/"} {
		err = w.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.WriteHeader(&tar.Header{Name: "bin/busybox", Mode: 0o755, Size: int64(len(busybox))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(busybox); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteHeader(&tar.Header{Name: "bin/sh", Typeflag: tar.TypeSymlink, Linkname: "busybox"}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.Append(empty.Image, mutate.Addendum{Layer: l})
	if err != nil {
		t.Fatal(err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", "amd64", v1.Config{Entrypoint: entrypoint, Env: []string{"PATH=/bin"}}
	if img, err = mutate.ConfigFile(img, file); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(h.dir, "image.tar")
	if err := tarball.WriteToFile(archive, tag, img); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ctr", "-a", h.socket, "-n", "k8s.io", "images", "import", archive).CombinedOutput(); err != nil {
		t.Fatalf("importing an image: %v\n%s", err, out)
	}
}

// empty ends what a failed test has left running.
func (h *host) empty(t *testing.T) {
	ctx := t.Context()
	if ctx.Err() != nil {
		ctx = contextForCleanup(t)
	}
	sandboxes, err := h.cri.ListPodSandbox(ctx, nil)
	if err != nil {
		t.Logf("listing what is left: %v", err)
	}
	for _, s := range sandboxes {
		_ = h.cri.StopPodSandbox(ctx, s.GetId())
		_ = h.cri.RemovePodSandbox(ctx, s.GetId())
	}
}

// remove takes away what outlives the processes: the bridge, control groups, mounts and files.
func (h *host) remove(t *testing.T) {
	_ = exec.Command("ip", "link", "delete", h.bridge).Run() // where no pod ran there is none
	var groups []string
	_ = filepath.WalkDir("/sys/fs/cgroup", func(p string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(p+"/", h.cgroup+"/") {
			groups = append(groups, p)
		}
		return nil
	})
	for _, dir := range slices.Backward(groups) { // children first
		_ = syscall.Rmdir(dir)
	}
	_ = syscall.Unmount(filepath.Join(h.dir, "kubelet", "pods"), 0) // shared, where the machine's mounts are not
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Error(err)
	}
	for _, line := range strings.Split(string(mounts), "\n") {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], h.dir+"/") {
			t.Errorf("%s is still mounted", f[1])
			_ = syscall.Unmount(f[1], syscall.MNT_DETACH)
		}
	}
	if err := os.RemoveAll(h.dir); err != nil {
		t.Error(err)
	}
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline, tick := time.After(patience), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("it never came to pass that %s", what)
		case <-tick.C:
		}
	}
}
