package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"k8s.io/apimachinery/pkg/types"
)

// Teardown unmounts everything below the pod's directory and removes the directory, with the hosts file
// and the termination logs that lie there too. It goes by what is on disk, so it works for pods of an
// earlier life of the kubelet. The pod's containers must have ended. It removes nothing on another
// filesystem and nothing while anything is still mounted, so no hostPath and no subPath of one can be hit.
func (m *Manager) Teardown(ctx context.Context, pod types.UID) error {
	if err := m.check(pod); err != nil {
		return err
	}
	dir, err := filepath.EvalSymlinks(m.PodDir(pod))
	if errors.Is(err, fs.ErrNotExist) {
		m.forget(pod)
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding the volumes of pod %s: %w", pod, err)
	}
	if err := m.unmountBelow(ctx, dir); err != nil {
		return fmt.Errorf("unmounting the volumes of pod %s: %w", pod, err)
	}
	if err := removeTree(dir); err != nil {
		return fmt.Errorf("removing the volumes of pod %s: %w", pod, err)
	}
	m.forget(pod)
	return nil
}

func (m *Manager) forget(pod types.UID) {
	if m.Tokens != nil {
		m.Tokens.Forget(pod)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.refreshAt, pod)
}

// unmountBelow unmounts what is mounted below dir, the latest mount first: mounts may lie upon each other.
func (m *Manager) unmountBelow(ctx context.Context, dir string) error {
	paths, err := m.mountedBelow(dir)
	if err != nil {
		return err
	}
	var failed []error
	for i := len(paths) - 1; i >= 0; i-- {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := m.Mounter.Unmount(paths[i]); err != nil {
			failed = append(failed, err)
		}
	}
	left, err := m.mountedBelow(dir)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return errors.Join(append(failed, fmt.Errorf("still mounted: %s", strings.Join(left, ", ")))...)
	}
	return nil // an unmount that failed because another had taken it along
}

func (m *Manager) mountedBelow(dir string) ([]string, error) {
	all, err := m.Mounter.List()
	if err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`) // as /proc/mounts writes them
	var below []string
	for _, p := range all {
		if path := unescape.Replace(strings.TrimSuffix(p.Path, `\040(deleted)`)); strings.HasPrefix(path, dir+"/") {
			below = append(below, path)
		}
	}
	return below, nil
}

// removeTree removes dir unless a directory in it is of another filesystem.
func removeTree(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	device := deviceOf(info)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if deviceOf(info) != device {
			return fmt.Errorf("%s is a mount: unmount it first", path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

func deviceOf(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Dev)
	}
	return 0
}
