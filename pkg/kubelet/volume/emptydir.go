package volume

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

func (s *setup) emptyDir(v *corev1.Volume, dir string) error {
	ready := filepath.Join(s.PodDir(s.pod.UID), "plugins", "kubernetes.io~empty-dir", v.Name, "ready")
	var err error
	switch v.EmptyDir.Medium {
	case corev1.StorageMediumDefault:
		err = makeDirectory(dir)
	case corev1.StorageMediumMemory:
		err = s.tmpfs(dir, memoryLimit(s.pod, v.EmptyDir.SizeLimit, s.allocatable()))
	default:
		return fmt.Errorf("emptyDir medium %q is not supported: use Memory, or the node's disk", v.EmptyDir.Medium)
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(ready); err == nil {
		return nil // ownership was set before containers wrote, and is theirs now
	}
	if err := s.own(dir, false, nil); err != nil {
		return err
	}
	return markReady(ready)
}

func markReady(ready string) error {
	if err := os.MkdirAll(filepath.Dir(ready), 0o750); err != nil {
		return fmt.Errorf("noting that the volume is ready: %w", err)
	}
	if err := os.WriteFile(ready, nil, 0o640); err != nil {
		return fmt.Errorf("noting that the volume is ready: %w", err)
	}
	return nil
}

// makeDirectory makes a directory that any user may write to.
func makeDirectory(dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return fmt.Errorf("making the volume's directory: %w", err)
	}
	if err := os.Mkdir(dir, 0o750); err != nil {
		return fmt.Errorf("making the volume's directory: %w", err)
	}
	if err := os.Chmod(dir, 0o777); err != nil { // whatever the umask is
		return fmt.Errorf("making the volume's directory: %w", err)
	}
	return nil
}

// tmpfs makes dir and mounts memory there, unless it is mounted already. size is in bytes; 0: half of the
// node's memory, as the kernel decides.
func (m *Manager) tmpfs(dir string, size int64) error {
	if err := makeDirectory(dir); err != nil {
		return err
	}
	mounted, err := m.Mounter.IsMountPoint(dir)
	if err != nil {
		return fmt.Errorf("looking whether %s is mounted: %w", dir, err)
	}
	if mounted {
		return nil
	}
	var options []string
	if size > 0 {
		options = append(options, "size="+strconv.FormatInt(size, 10))
	}
	// Kernels before 6.4 do not know noswap; secrets may reach their swap.
	first := m.Mounter.Mount("tmpfs", dir, "tmpfs", append([]string{"noswap"}, options...))
	if first != nil {
		if err := m.Mounter.Mount("tmpfs", dir, "tmpfs", options); err != nil {
			return fmt.Errorf("mounting memory: %w", errors.Join(first, err))
		}
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		return fmt.Errorf("making the volume's directory: %w", err)
	}
	return nil
}
