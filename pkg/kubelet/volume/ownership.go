package volume

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// own gives a volume to the pod's fsGroup, if it has one: everything in dir gets that group, and the
// group may read it, and write it unless readOnly; directories pass the group on.
// fsGroupChangePolicy has no effect on the types of volumes made here: they are new, and small or empty.
func (s *setup) own(dir string, readOnly bool) error {
	group := s.fsGroup()
	if group == nil {
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
