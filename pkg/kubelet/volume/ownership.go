package volume

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	corev1 "k8s.io/api/core/v1"
)

// own gives a volume to the pod's fsGroup, if it has one: everything in dir gets that group, and the
// group may read it, and write it unless readOnly; directories pass the group on. With policy
// OnRootMismatch nothing is done when dir itself is so already.
func (s *setup) own(dir string, readOnly bool, policy *corev1.PodFSGroupChangePolicy) error {
	group := s.fsGroup()
	if group == nil {
		return nil
	}
	if policy != nil && *policy == corev1.FSGroupChangeOnRootMismatch && rootMatches(dir, *group, readOnly) {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return ownOne(path, d, int(*group), readOnly)
	})
	if err != nil {
		return fmt.Errorf("applyFSGroup failed for vol %s: %w", filepath.Base(dir), err)
	}
	return nil
}

func ownOne(path string, d fs.DirEntry, group int, readOnly bool) error {
	if err := os.Lchown(path, -1, group); err != nil {
		return err
	}
	if d.Type()&fs.ModeSymlink != 0 {
		return nil // has no permissions of its own, and what it leads to may not be of this volume
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	return os.Chmod(path, info.Mode()|groupBits(d.IsDir(), readOnly))
}

func groupBits(dir, readOnly bool) fs.FileMode {
	bits := fs.FileMode(0o660)
	if readOnly {
		bits = 0o440
	}
	if dir {
		bits |= fs.ModeSetgid | 0o110
	}
	return bits
}

func rootMatches(dir string, group int64, readOnly bool) bool {
	info, err := os.Lstat(dir)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	want := groupBits(true, readOnly)
	return ok && int64(stat.Gid) == group && info.Mode()&want == want
}
