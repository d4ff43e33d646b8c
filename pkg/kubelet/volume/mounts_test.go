package volume

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

func TestMountsOfAContainer(t *testing.T) {
	b := newBench(t)
	p := podOf(configMapVolume("m", "m"), volumeOf("h", corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/host"}}),
		volumeOf("e", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}))
	c := &p.Spec.Containers[0]
	c.VolumeMounts[1].ReadOnly = true
	c.VolumeMounts[1].RecursiveReadOnly = ptr.To(corev1.RecursiveReadOnlyIfPossible)
	c.VolumeMounts[1].MountPath = "relative"
	c.VolumeMounts[2].MountPropagation = ptr.To(corev1.MountPropagationBidirectional)
	b.RecursiveReadOnly = func(*corev1.Pod) bool { return true }
	b.setup(t, p)
	got, err := b.Mounts(p, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if m := got[0]; m.HostPath != b.at(t, p, 0) || m.ContainerPath != "/m" || !m.Readonly || m.RecursiveReadOnly || m.Propagation != cri.PropagationPrivate {
		t.Errorf("a ConfigMap is not writable: %v", m)
	}
	if m := got[1]; m.HostPath != "/host" || m.ContainerPath != "/relative" || !m.Readonly || !m.RecursiveReadOnly {
		t.Error(m)
	}
	if m := got[2]; m.Readonly || m.Propagation != cri.PropagationBidirectional {
		t.Error(m)
	}
	c.VolumeMounts[0].Name = "none"
	if _, err := b.Mounts(p, c, nil); err == nil || err.Error() != `cannot find volume "none" to mount into container "c"` {
		t.Error(err)
	}
}

func TestRecursiveReadOnlyIsRefusedWhereItCannotHold(t *testing.T) {
	yes, no := func() bool { return true }, func() bool { return false }
	enabled := corev1.VolumeMount{Name: "v", RecursiveReadOnly: ptr.To(corev1.RecursiveReadOnlyEnabled)}
	shared := enabled
	shared.MountPropagation = ptr.To(corev1.MountPropagationHostToContainer)
	for want, f := range map[string]func() (bool, error){
		`volume "v" requested recursive read-only mode, but it is not read-only`:                                     func() (bool, error) { return recursiveReadOnly(&enabled, false, yes) },
		`volume "v" requested recursive read-only mode, but it is not supported by the runtime`:                      func() (bool, error) { return recursiveReadOnly(&enabled, true, no) },
		`volume "v" requested recursive read-only mode, but it is not compatible with propagation "HostToContainer"`: func() (bool, error) { return recursiveReadOnly(&shared, true, yes) },
	} {
		if got, err := f(); got || err == nil || err.Error() != want {
			t.Errorf("%v, %v; want %s", got, err, want)
		}
	}
}

// subPathPod mounts emptyDir e at the given subPaths.
func subPathPod(subPaths ...string) *corev1.Pod {
	p := podOf(volumeOf("e", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}))
	p.Spec.Containers[0].VolumeMounts = nil
	for _, s := range subPaths {
		p.Spec.Containers[0].VolumeMounts = append(p.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "e", MountPath: "/x", SubPath: s})
	}
	return p
}

func TestSubPathsAreMadeAndMountedByWhatTheyAreNow(t *testing.T) {
	b := newBench(t)
	p := subPathPod("new/dir", "file", "inner", "absolute")
	p.Spec.Containers[0].VolumeMounts = append(p.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "e", MountPath: "/y", SubPathExpr: "logs/$(NAME)"})
	b.setup(t, p)
	dir := b.at(t, p, 0)
	write(t, dir+"/file", "text")
	write(t, dir+"/target/f", "inside")
	if err := os.Symlink("target", dir+"/inner"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir+"/target", dir+"/absolute"); err != nil {
		t.Fatal(err)
	}
	env := []*cri.KeyValue{{Key: "NAME", Value: []byte("pod")}}
	first, err := b.Mounts(p, &p.Spec.Containers[0], env)
	if err != nil {
		t.Fatal(err)
	}
	if first[0].HostPath != filepath.Join(b.PodDir(uid), "volume-subpaths", "e", "c", "0") {
		t.Errorf("mounted at %s", first[0].HostPath)
	}
	write(t, first[0].HostPath+"/f", "through")
	write(t, first[4].HostPath+"/f", "log")
	for path, want := range map[string]string{dir + "/new/dir/f": "through", dir + "/logs/pod/f": "log", first[1].HostPath: "text", first[2].HostPath + "/f": "inside", first[3].HostPath + "/f": "inside"} {
		if got := contentOf(t, path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if info, err := os.Stat(dir + "/new"); err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("a directory that was made: %v, %v", info, err)
	}

	if err := os.Rename(dir+"/file", dir+"/old"); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/file", "replaced")
	if _, err := b.Mounts(p, &p.Spec.Containers[0], env); err != nil {
		t.Fatal(err)
	}
	if got := contentOf(t, first[1].HostPath); got != "replaced" {
		t.Errorf("after a restart of the container it still sees %q", got)
	}
	all, err := listed(b.Mounter.List())
	if err != nil || strings.Count(all, uid) != 5 {
		t.Errorf("mounts were piled up: %s, %v", all, err)
	}
	if _, err := b.Mounts(p, &p.Spec.Containers[0], nil); err == nil || !strings.Contains(err.Error(), `missing value for "NAME"`) {
		t.Error(err)
	}
}

// CVE-2017-1002101 and CVE-2021-25741: a subPath must not lead out of its volume, neither by a link that
// is there nor by one that is put there at the right moment.
func TestSubPathCannotLeaveItsVolume(t *testing.T) {
	b, host := newBench(t), t.TempDir()
	write(t, host+"/sub/f", "host")
	p := subPathPod("")
	b.setup(t, p)
	dir := b.at(t, p, 0)
	for name, to := range map[string]string{"absolute": host, "relative": "../../../../..", "magic": "/proc/self/cwd", "dangling": "/nowhere"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, sub := range []string{"absolute", "absolute/sub", "absolute/new", "relative", "relative/new", "magic", "dangling", "dangling/new", "/etc", "../x"} {
		p.Spec.Containers[0].VolumeMounts[0].SubPath = sub
		if got, err := b.Mounts(p, &p.Spec.Containers[0], nil); err == nil {
			t.Errorf("%s: %v", sub, got)
		}
	}
	if entries, err := os.ReadDir(host); err != nil || len(entries) != 1 {
		t.Errorf("something was made outside: %v, %v", entries, err)
	}
}

func TestSubPathSwappedForALinkAtAnyMomentStaysInItsVolume(t *testing.T) {
	b, host := newBench(t), t.TempDir()
	write(t, host+"/f", "host")
	p := subPathPod("sub/dir")
	b.setup(t, p)
	dir := b.at(t, p, 0)
	write(t, dir+"/sub/dir/f", "volume")
	if err := os.Symlink(host, dir+"/sub/link"); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				// Directory and link change places, as a container that shares the volume could do.
				_ = unix.Renameat2(unix.AT_FDCWD, dir+"/sub/dir", unix.AT_FDCWD, dir+"/sub/link", unix.RENAME_EXCHANGE)
			}
		}
	}()
	refused, mounted := 0, 0
	for deadline := time.Now().Add(time.Minute); (mounted < 20 || refused < 20) && time.Now().Before(deadline); {
		m, err := b.Mounts(p, &p.Spec.Containers[0], nil)
		if err != nil {
			refused++
			continue
		}
		mounted++
		if got := contentOf(t, m[0].HostPath+"/f"); got != "volume" {
			t.Fatalf("the container would see %q", got)
		}
		if err := b.Mounter.Unmount(m[0].HostPath); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	<-stopped
	if mounted < 20 || refused < 20 {
		t.Errorf("%d times mounted, %d times refused: the race was not run", mounted, refused)
	}
}

func TestWalkFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a/b/f", "x")
	if err := os.Symlink("b", dir+"/a/link"); err != nil {
		t.Fatal(err)
	}
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(root)
	for path, ok := range map[string]bool{".": true, "a/b/f": true, "a/link": false, "a/link/f": false, "a/none": false} {
		fd, err := walk(root, path)
		if (err == nil) != ok {
			t.Errorf("%s: %v", path, err)
		}
		if err == nil {
			_ = unix.Close(fd)
		}
	}
}

func TestEnvironmentIsReadFromPlainFilesOfEmptyDirsOnly(t *testing.T) {
	b, p := newBench(t), podOf(volumeOf("e", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}), configMapVolume("m", "m"))
	b.setup(t, p)
	dir := b.at(t, p, 0)
	write(t, dir+"/env", "A='1'")
	write(t, dir+"/large", strings.Repeat("x", maxEnvFile+1))
	if err := os.Symlink("/etc/passwd", dir+"/out"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(dir+"/pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	read := b.EnvFile(p)
	if data, err := read("e", "env"); err != nil || string(data) != "A='1'" {
		t.Errorf("%q, %v", data, err)
	}
	for _, c := range [][2]string{{"e", "out"}, {"e", "pipe"}, {"e", "large"}, {"e", "."}, {"m", "a"}, {"none", "x"}} {
		if data, err := read(c[0], c[1]); err == nil {
			t.Errorf("%v: %q", c, data)
		}
	}
	if _, err := read("e", "none"); !os.IsNotExist(err) {
		t.Error(err)
	}
}
