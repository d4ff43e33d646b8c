package volume

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"k8s.io/mount-utils"
)

// mountInfo is where the kernel lists this process's mounts with their propagation.
const mountInfo = "/proc/self/mountinfo"

// ShareRoot makes the directory of all pods, and sees to it that mounts below it are shared with
// containers: without that, Bidirectional and HostToContainer propagation cannot work. A kubelet calls it
// once, at its start.
func (m *Manager) ShareRoot() error {
	if err := os.MkdirAll(m.Root, 0o750); err != nil {
		return fmt.Errorf("making the pods' directory: %w", err)
	}
	root, err := filepath.EvalSymlinks(m.Root)
	if err != nil {
		return fmt.Errorf("finding the pods' directory: %w", err)
	}
	shared, err := isShared(root)
	if shared || err != nil {
		return err
	}
	if err := m.Mounter.Mount(root, root, "", []string{"bind"}); err != nil {
		return fmt.Errorf("making a mount of the pods' directory: %w", err)
	}
	if err := unix.Mount("", root, "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("sharing mounts below %s: %w", root, err)
	}
	return nil
}

// isShared tells whether the mount that path lies on is of a peer group.
func isShared(path string) (bool, error) {
	all, err := mount.ParseMountInfo(mountInfo)
	if err != nil {
		return false, fmt.Errorf("listing mounts: %w", err)
	}
	longest, shared := "", false
	for _, i := range all {
		if !mount.PathWithinBase(path, i.MountPoint) || len(i.MountPoint) < len(longest) {
			continue
		}
		longest = i.MountPoint
		shared = slices.ContainsFunc(i.OptionalFields, func(f string) bool { return strings.HasPrefix(f, "shared:") })
	}
	return shared, nil
}
