package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// hostPath only looks whether the path is what the pod expects, and makes it where that is asked for. The
// kubelet never changes or removes anything else of it.
func (s *setup) hostPath(v *corev1.Volume, _ string) error {
	path, kind := v.HostPath.Path, corev1.HostPathUnset
	if slices.Contains(strings.Split(path, "/"), "..") {
		return fmt.Errorf("invalid HostPath %q: must not contain '..'", path)
	}
	if v.HostPath.Type != nil {
		kind = *v.HostPath.Type
	}
	return checkHostPath(path, kind)
}

func checkHostPath(path string, kind corev1.HostPathType) error {
	info, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("hostPath type check failed: %w", err)
	}
	var mode fs.FileMode
	if info != nil {
		mode = info.Mode()
	}
	is, what := false, ""
	switch kind {
	case corev1.HostPathUnset:
		return nil
	case corev1.HostPathDirectoryOrCreate:
		if info == nil {
			return makeHostDirectory(path)
		}
		is, what = mode.IsDir(), "a directory"
	case corev1.HostPathFileOrCreate:
		if info == nil {
			return makeHostFile(path)
		}
		is, what = mode.IsRegular(), "a file"
	case corev1.HostPathDirectory:
		is, what = info != nil && mode.IsDir(), "a directory"
	case corev1.HostPathFile:
		is, what = info != nil && mode.IsRegular(), "a file"
	case corev1.HostPathSocket:
		is, what = mode&fs.ModeSocket != 0, "a socket file"
	case corev1.HostPathCharDev:
		is, what = mode&fs.ModeCharDevice != 0, "a character device"
	case corev1.HostPathBlockDev:
		is, what = mode&fs.ModeDevice != 0 && mode&fs.ModeCharDevice == 0, "a block device"
	default:
		return fmt.Errorf("%s is an invalid volume type", kind)
	}
	if !is {
		return fmt.Errorf("hostPath type check failed: %s is not %s", path, what)
	}
	return nil
}

func makeHostDirectory(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return fmt.Errorf("hostPath: making the directory: %w", err)
	}
	return nil
}

// makeHostFile makes an empty file; its directory must be there.
func makeHostFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("hostPath: making the file: %w", err)
	}
	return f.Close()
}
