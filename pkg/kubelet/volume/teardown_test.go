package volume

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/mount-utils"
)

func listed(all []mount.MountPoint, err error) (string, error) {
	var paths []string
	for _, m := range all {
		paths = append(paths, m.Path)
	}
	return strings.Join(paths, "\n"), err
}

func TestTeardownAfterARestartLeavesHostPathsAlone(t *testing.T) {
	b, host := newBench(t), t.TempDir()
	write(t, host+"/sub/precious", "x")
	p := podOf(volumeOf("h", corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: host}}),
		volumeOf("s", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}}),
		volumeOf("e", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}))
	p.Spec.Containers[0].VolumeMounts[0].SubPath = "sub"
	b.setup(t, p)
	mounts, err := b.Mounts(p, &p.Spec.Containers[0], nil)
	if err != nil || contentOf(t, mounts[0].HostPath+"/precious") != "x" {
		t.Fatalf("%v, %v", mounts, err)
	}
	if err := os.Symlink(host, b.at(t, p, 2)+"/link"); err != nil {
		t.Fatal(err)
	}

	again := New(Config{Root: b.Root, Objects: b.objects, Clock: b.Clock})
	if pods, err := again.OnDisk(); err != nil || len(pods) != 1 || pods[0] != uid {
		t.Fatalf("%v, %v", pods, err)
	}
	if err := again.Teardown(context.Background(), uid); err != nil {
		t.Fatal(err)
	}
	if contentOf(t, host+"/sub/precious") != "x" {
		t.Error("the host's file is gone")
	}
	if _, err := os.Stat(b.PodDir(uid)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the pod's directory is still there: %v", err)
	}
	if all, err := listed(b.Mounter.List()); err != nil || strings.Contains(all, uid) {
		t.Errorf("still mounted: %s, %v", all, err)
	}
	if err := again.Teardown(context.Background(), uid); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

func TestTeardownRemovesNothingWhileSomethingIsMounted(t *testing.T) {
	b := newBench(t)
	p := podOf(volumeOf("s", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}}),
		volumeOf("e", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}))
	b.setup(t, p)
	write(t, b.at(t, p, 1)+"/f", "x")
	busy, err := os.Open(b.at(t, p, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	if err := b.Teardown(context.Background(), uid); err == nil || !strings.Contains(err.Error(), "still mounted: ") {
		t.Errorf("a busy mount: %v", err)
	}
	if contentOf(t, b.at(t, p, 1)+"/f") != "x" {
		t.Error("something was removed")
	}
}

func TestUIDThatLeadsElsewhereIsRefused(t *testing.T) {
	m := New(Config{Root: t.TempDir()})
	for _, u := range []types.UID{"", ".", "..", "a/../..", "../x"} {
		if err := m.Teardown(context.Background(), u); err == nil {
			t.Errorf("%q was taken down", u)
		}
		if err := m.Setup(context.Background(), &corev1.Pod{}); err == nil {
			t.Error("a pod without UID was set up")
		}
	}
}
