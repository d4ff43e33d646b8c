package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

func (s *setup) emptyDir(v *corev1.Volume, dir string) error {
	ready := filepath.Join(s.PodDir(s.pod.UID), "plugins", "kubernetes.io~empty-dir", v.Name, "ready")
	var fresh bool
	var err error
	switch v.EmptyDir.Medium {
	case corev1.StorageMediumDefault:
		fresh, err = makeDirectory(dir)
	case corev1.StorageMediumMemory:
		fresh, err = s.tmpfs(dir, memoryLimit(s.pod, v.EmptyDir.SizeLimit, s.allocatable()))
	default:
		return fmt.Errorf("emptyDir medium %q is not supported: use Memory, or the node's disk", v.EmptyDir.Medium)
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(ready); err == nil && !fresh {
		return nil // ownership was set before containers wrote, and is theirs now
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		return fmt.Errorf("letting any user write to the volume: %w", err)
	}
	if err := s.own(dir, false); err != nil {
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

// makeDirectory makes a volume's directory; fresh tells that it was not there.
func makeDirectory(dir string) (fresh bool, err error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o750); err != nil {
		return false, fmt.Errorf("making the volume's directory: %w", err)
	}
	if err := os.Mkdir(dir, 0o750); errors.Is(err, fs.ErrExist) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("making the volume's directory: %w", err)
	}
	if err := os.Chmod(dir, 0o777); err != nil { // whatever the umask is
		return false, fmt.Errorf("making the volume's directory: %w", err)
	}
	return true, nil
}

// tmpfs makes dir and mounts memory there, unless it is mounted already. size is in bytes; 0: half of the
// node's memory, as the kernel decides. fresh tells that it was not mounted.
func (m *Manager) tmpfs(dir string, size int64) (fresh bool, err error) {
	if _, err := makeDirectory(dir); err != nil {
		return false, err
	}
	mounted, err := m.Mounter.IsMountPoint(dir)
	if err != nil {
		return false, fmt.Errorf("looking whether %s is mounted: %w", dir, err)
	}
	if mounted {
		return false, nil
	}
	options := []string{"mode=0777"}
	if size > 0 {
		options = append(options, "size="+strconv.FormatInt(size, 10))
	}
	// Kernels before 6.4 do not know noswap; secrets may reach their swap.
	first := m.Mounter.Mount("tmpfs", dir, "tmpfs", append([]string{"noswap"}, options...))
	if first != nil {
		if err := m.Mounter.Mount("tmpfs", dir, "tmpfs", options); err != nil {
			return false, fmt.Errorf("mounting memory: %w", errors.Join(first, err))
		}
		m.Log.Info("The kernel has no tmpfs without swap; turn swap off to keep secrets out of it", "volume", dir)
	}
	return true, nil
}
