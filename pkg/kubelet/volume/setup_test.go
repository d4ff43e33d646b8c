package volume

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
)

func TestConfigMapVolumeChangesAllAtOnce(t *testing.T) {
	b, p := newBench(t), podOf(configMapVolume("v", "m"))
	b.setup(t, p)
	dir := b.at(t, p, 0)
	if dir != filepath.Join(b.Root, uid, "volumes", "kubernetes.io~configmap", "v") {
		t.Errorf("it lies at %s", dir)
	}
	if got := contentOf(t, dir+"/a") + contentOf(t, dir+"/b") + contentOf(t, dir+"/bin"); got != "12\x00\x01" {
		t.Errorf("%q", got)
	}
	before, err := os.Readlink(dir + "/..data")
	if err != nil || !strings.HasPrefix(before, "..2026_01_02_03_04_05.") {
		t.Fatalf("..data leads to %q, %v", before, err)
	}
	if to, err := os.Readlink(dir + "/a"); err != nil || to != "..data/a" {
		t.Errorf("a leads to %q, %v", to, err)
	}
	b.setup(t, p)
	if after, _ := os.Readlink(dir + "/..data"); after != before {
		t.Error("without a change it was written again")
	}
	open, err := os.Open(dir + "/a")
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	b.objects.ConfigMaps[0].Data = map[string]string{"a": "changed", "c": "new"}
	b.setup(t, p)
	if after, _ := os.Readlink(dir + "/..data"); after == before || contentOf(t, dir+"/a") != "changed" || contentOf(t, dir+"/c") != "new" {
		t.Error("the change does not show")
	}
	for _, gone := range []string{dir + "/b", filepath.Join(dir, before)} {
		if _, err := os.Lstat(gone); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", gone, err)
		}
	}
}

func TestItemsModesAndOptionalObjects(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	v := configMapVolume("v", "m", corev1.KeyToPath{Key: "a", Path: "x/y/a"}, corev1.KeyToPath{Key: "b", Path: "b", Mode: ptr.To[int32](0o600)})
	v.ConfigMap.DefaultMode = ptr.To[int32](0o4440)
	none := configMapVolume("none", "none")
	none.ConfigMap.Optional = new(true)
	key := configMapVolume("key", "m", corev1.KeyToPath{Key: "none", Path: "n"}, corev1.KeyToPath{Key: "a", Path: "a"})
	key.ConfigMap.Optional = new(true)
	b, p := newBench(t), podOf(v, none, key)
	b.setup(t, p)
	for path, want := range map[string]os.FileMode{"x/y/a": 0o440 | os.ModeSetuid, "b": 0o600, "..data/x/y": 0o755 | os.ModeDir, "..data/": 0o755 | os.ModeDir, ".": 0o777 | os.ModeDir} {
		if info, err := os.Stat(filepath.Join(b.at(t, p, 0), path)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
	if entries, err := os.ReadDir(b.at(t, p, 1)); err != nil || len(entries) != 2 {
		t.Errorf("an absent optional object: %v, %v", entries, err)
	}
	if contentOf(t, b.at(t, p, 2)+"/a") != "1" {
		t.Error("an absent optional key took the others along")
	}
}

func TestWhatFailsIsNamedAndTheRestIsMade(t *testing.T) {
	b := newBench(t)
	p := podOf(configMapVolume("good", "m"), configMapVolume("x", "y"), configMapVolume("k", "m", corev1.KeyToPath{Key: "none", Path: "n"}),
		volumeOf("s", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s", Items: []corev1.KeyToPath{{Key: "none", Path: "n"}}}}),
		volumeOf("out", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s", Items: []corev1.KeyToPath{{Key: "k", Path: "../../k"}}}}),
		volumeOf("huge", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumHugePages}}),
		volumeOf("git", corev1.VolumeSource{GitRepo: &corev1.GitRepoVolumeSource{Repository: "x"}}),
		configMapVolume("unused", "y"))
	p.Spec.Containers[0].VolumeMounts = p.Spec.Containers[0].VolumeMounts[:7]
	err := b.Setup(context.Background(), p)
	want := strings.Join([]string{
		`MountVolume.SetUp failed for volume "x" : configmap "y" not found`,
		`MountVolume.SetUp failed for volume "k" : references non-existent config key: none`,
		`MountVolume.SetUp failed for volume "s" : references non-existent secret key: none`,
		`MountVolume.SetUp failed for volume "out" : invalid path: must not contain '..': ../../k`,
		`MountVolume.SetUp failed for volume "huge" : emptyDir medium "HugePages" is not supported: use Memory, or the node's disk`,
		`MountVolume.SetUp failed for volume "git" : gitRepo volumes are disabled: clone the repository into an emptyDir, in an init container`,
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant\n%s", err, want)
	}
	var one *MountError
	if !errors.As(err, &one) || one.Volume != "x" {
		t.Errorf("%v", one)
	}
	if contentOf(t, b.at(t, p, 0)+"/a") != "1" {
		t.Error("the good volume was not made")
	}
}

func isTmpfs(t *testing.T, path string) (size int64, is bool) {
	t.Helper()
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Blocks) * s.Bsize, s.Type == unix.TMPFS_MAGIC
}

func TestSecretsAndTokensLieInMemory(t *testing.T) {
	b := newBench(t)
	p := podOf(
		volumeOf("s", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}}),
		volumeOf("d", corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{
			{Path: "labels", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels"}},
			{Path: "mem", ResourceFieldRef: &corev1.ResourceFieldSelector{ContainerName: "c", Resource: "limits.memory", Divisor: resource.MustParse("1Mi")}}}}}),
		volumeOf("api", corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{DefaultMode: ptr.To[int32](0o644), Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: ptr.To[int64](3607)}},
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "vault/token", Audience: "vault", ExpirationSeconds: ptr.To[int64](600)}},
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "m"}, Items: []corev1.KeyToPath{{Key: "a", Path: "ca.crt"}}}},
			{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}}}}},
			{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{Path: "trust.pem", Optional: new(true)}},
		}}}))
	b.setup(t, p)
	b.setup(t, p)
	for i := range 3 {
		if size, is := isTmpfs(t, b.at(t, p, i)); !is || size != 64<<20 {
			t.Errorf("%s: in memory %v, of %d bytes", p.Spec.Volumes[i].Name, is, size)
		}
	}
	for path, want := range map[string]string{"0/k": "secret", "1/labels": `l="v"`, "1/mem": "64", "2/token": "ns/sa/" + uid, "2/vault/token": "ns/sa/" + uid + "/vault",
		"2/ca.crt": "1", "2/k": "secret", "2/namespace": "ns", "2/trust.pem": ""} {
		if got := contentOf(t, filepath.Join(b.at(t, p, int(path[0]-'0')), path[2:])); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if at := b.RefreshAt(uid); !at.Equal(start.Add(10 * time.Minute)) {
		t.Errorf("to be refreshed at %s", at)
	}
	mounts, err := listed(b.Mounter.List())
	if err != nil || strings.Count(mounts, uid) != 3 {
		t.Errorf("mounted more than once: %s, %v", mounts, err)
	}
	b.Tokens = tokens{errors.New("failed to fetch token: down")}
	if err := b.Setup(context.Background(), p); err == nil || err.Error() != `MountVolume.SetUp failed for volume "api" : failed to fetch token: down` {
		t.Error(err)
	}
}

func TestTokenIsForThePodsUserAlone(t *testing.T) {
	b := newBench(t)
	p := podOf(volumeOf("api", corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}}}}}))
	p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr.To[int64](1000)}
	b.setup(t, p)
	info, err := os.Stat(b.at(t, p, 0) + "/token")
	if err != nil || info.Mode() != 0o600 || info.Sys().(*syscall.Stat_t).Uid != 1000 {
		t.Errorf("%v, %v", info, err)
	}
	p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "d", SecurityContext: &corev1.SecurityContext{RunAsUser: ptr.To[int64](1)}})
	if u := userOf(p); u != nil {
		t.Errorf("two users became %d", *u)
	}
}

func TestFSGroupOwnsVolumesOnce(t *testing.T) {
	b := newBench(t)
	p := podOf(volumeOf("e", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}),
		volumeOf("mem", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: new(resource.MustParse("1Mi"))}}),
		volumeOf("s", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s", DefaultMode: ptr.To[int32](0o400)}}))
	p.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: ptr.To[int64](2000)}
	b.setup(t, p)
	for path, want := range map[string]os.FileMode{"0": 0o777 | os.ModeDir | os.ModeSetgid, "1": 0o777 | os.ModeDir | os.ModeSetgid, "2/k": 0o440} {
		info, err := os.Stat(filepath.Join(b.at(t, p, int(path[0]-'0')), path[1:]))
		if err != nil || info.Mode() != want || info.Sys().(*syscall.Stat_t).Gid != 2000 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if size, is := isTmpfs(t, b.at(t, p, 1)); !is || size != 1<<20 {
		t.Errorf("in memory %v, of %d bytes", is, size)
	}
	own := b.at(t, p, 0) + "/own"
	write(t, own, "x")
	if err := os.Chown(own, 5, 5); err != nil {
		t.Fatal(err)
	}
	b.setup(t, p)
	if info, err := os.Stat(own); err != nil || info.Sys().(*syscall.Stat_t).Gid != 5 {
		t.Errorf("what a container wrote was taken from it: %v", err)
	}
	if err := b.Mounter.Unmount(b.at(t, p, 1)); err != nil { // as a restart of the node does
		t.Fatal(err)
	}
	b.setup(t, p)
	if info, err := os.Stat(b.at(t, p, 1)); err != nil || info.Sys().(*syscall.Stat_t).Gid != 2000 {
		t.Errorf("new memory was not given to the group: %v, %v", info, err)
	}
}

func TestHostPathTypes(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/file", "")
	l, err := net.Listen("unix", dir+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct {
		path string
		kind corev1.HostPathType
		want string
	}{
		{dir + "/none", "", ""}, {dir, "Directory", ""}, {dir + "/file", "File", ""}, {dir + "/socket", "Socket", ""}, {"/dev/null", "CharDevice", ""},
		{dir + "/new/dir", "DirectoryOrCreate", ""}, {dir + "/new/dir", "Directory", ""}, {dir + "/newfile", "FileOrCreate", ""}, {dir + "/newfile", "FileOrCreate", ""},
		{dir + "/none", "Directory", "hostPath type check failed: " + dir + "/none is not a directory"},
		{dir + "/file", "DirectoryOrCreate", "hostPath type check failed: " + dir + "/file is not a directory"},
		{dir, "File", "hostPath type check failed: " + dir + " is not a file"},
		{dir, "FileOrCreate", "hostPath type check failed: " + dir + " is not a file"},
		{dir, "Socket", "hostPath type check failed: " + dir + " is not a socket file"},
		{dir, "CharDevice", "hostPath type check failed: " + dir + " is not a character device"},
		{"/dev/null", "BlockDevice", "hostPath type check failed: /dev/null is not a block device"},
		{dir, "Other", "Other is an invalid volume type"},
		{"/a/../b", "", `invalid HostPath "/a/../b": must not contain '..'`},
	} {
		v := volumeOf("h", corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: c.path, Type: &c.kind}})
		got := ""
		if err := (&setup{}).hostPath(&v, ""); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s as %s: %q, want %q", c.path, c.kind, got, c.want)
		}
	}
}

func TestMemoryIsLimitedByThePodOnlyWhenEveryContainerIs(t *testing.T) {
	limit := func(s string) corev1.Container {
		return corev1.Container{Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"memory": resource.MustParse(s)}}}
	}
	node := corev1.ResourceList{"memory": resource.MustParse("1000")}
	for _, c := range []struct {
		containers []corev1.Container
		own        *resource.Quantity
		want       int64
	}{
		{[]corev1.Container{limit("10"), limit("20")}, nil, 30}, {[]corev1.Container{limit("10"), {}}, nil, 1000},
		{[]corev1.Container{{}}, new(resource.MustParse("5")), 5}, {[]corev1.Container{limit("10")}, new(resource.MustParse("50")), 10},
	} {
		if got := memoryLimit(&corev1.Pod{Spec: corev1.PodSpec{Containers: c.containers}}, c.own, node); got != c.want {
			t.Errorf("%d, want %d", got, c.want)
		}
	}
}
