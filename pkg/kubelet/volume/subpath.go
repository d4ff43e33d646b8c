package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/environment"
)

// subPathOf is the path within the volume that a volumeMount is of; empty: the whole.
func subPathOf(vm *corev1.VolumeMount, env []*cri.KeyValue) (string, error) {
	sub := vm.SubPath
	if vm.SubPathExpr != "" {
		var err error
		if sub, err = environment.ExpandAll(vm.SubPathExpr, env); err != nil {
			return "", fmt.Errorf("failed to expand subPathExpr of volumeMount %q: %w", vm.Name, err)
		}
	}
	switch {
	case sub == "":
		return "", nil
	case filepath.IsAbs(sub):
		return "", fmt.Errorf("error SubPath `%s` must not be an absolute path", sub)
	case slices.Contains(strings.Split(sub, "/"), ".."):
		return "", fmt.Errorf("unable to provision SubPath `%s`: must not contain '..'", sub)
	}
	return sub, nil
}

// bindSubPath mounts sub of the volume at target and answers target. A container that shares the volume
// may swap directories for symbolic links at any moment, so sub is opened once, in a way that cannot leave
// the volume, and what was opened is mounted: no path of the volume is resolved a second time.
func (m *Manager) bindSubPath(volume, sub, target string) (string, error) {
	volume, err := filepath.EvalSymlinks(volume)
	if err != nil {
		return "", fmt.Errorf("finding the volume: %w", err)
	}
	f, err := openOrMake(volume, sub)
	if err != nil {
		return "", err
	}
	defer f.Close() // it would keep the volume from being unmounted
	var want unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &want); err != nil {
		return "", fmt.Errorf("looking at subPath %q: %w", sub, err)
	}
	mounted, err := m.boundBefore(target, &want)
	if mounted || err != nil {
		return target, err
	}
	if err := makeTarget(target, want.Mode&unix.S_IFMT == unix.S_IFDIR); err != nil {
		return "", err
	}
	source := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd())
	if err := m.Mounter.MountSensitiveWithoutSystemdWithMountFlags(source, target, "", []string{"bind"}, nil, []string{"--no-canonicalize"}); err != nil {
		return "", fmt.Errorf("error mounting %s: %w", sub, err)
	}
	return target, nil
}

// boundBefore tells whether target is mounted from an earlier start of the container. What is mounted
// from something else is unmounted.
func (m *Manager) boundBefore(target string, want *unix.Stat_t) (bool, error) {
	mounted, err := m.Mounter.IsMountPoint(target)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !mounted {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("error checking path %s for mount: %w", target, err)
	}
	var have unix.Stat_t
	if err := unix.Lstat(target, &have); err == nil && have.Dev == want.Dev && have.Ino == want.Ino {
		return true, nil
	}
	if err := m.Mounter.Unmount(target); err != nil {
		return false, fmt.Errorf("error unmounting %s: %w", target, err)
	}
	return false, nil
}

// makeTarget makes the directory or file that the mount will cover.
func makeTarget(target string, directory bool) error {
	if info, err := os.Lstat(target); err == nil && info.IsDir() == directory {
		return nil
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("making the target of a subPath: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
		return fmt.Errorf("making the target of a subPath: %w", err)
	}
	if directory {
		if err := os.Mkdir(target, 0o750); err != nil {
			return fmt.Errorf("making the target of a subPath: %w", err)
		}
		return nil
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("making the target of a subPath: %w", err)
	}
	return f.Close()
}
