package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// attempts is how often an open is tried that the kernel gave up because something was renamed meanwhile.
const attempts = 16

// openOrMake opens sub below base without ever leaving base, whatever symbolic links say. What is missing
// is made: directories with the permissions of base.
func openOrMake(base, sub string) (*os.File, error) {
	f, err := openBeneath(base, sub)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := makeBeneath(base, sub); err != nil {
		return nil, fmt.Errorf("making subPath %q: %w", sub, err)
	}
	return openBeneath(base, sub)
}

// openBeneath opens sub as a path only. Symbolic links are followed as long as they stay below base.
func openBeneath(base, sub string) (*os.File, error) {
	root, err := unix.Open(base, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: base, Err: err}
	}
	defer unix.Close(root)
	fd, err := openat2(root, sub, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_MAGICLINKS)
	if errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ENOSYS) {
		fd, err = openResolved(root, base, sub)
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), sub), nil
}

// openResolved serves absolute links that lead back below base, and kernels before 5.6: the links are
// resolved first, and then none may be left on the way.
func openResolved(root int, base, sub string) (int, error) {
	resolved, err := filepath.EvalSymlinks(filepath.Join(base, sub))
	if err != nil {
		return -1, err
	}
	relative, err := filepath.Rel(base, resolved)
	if err != nil || relative == ".." || strings.HasPrefix(relative, "../") {
		return -1, fmt.Errorf("subpath %q not within volume path %q", resolved, base)
	}
	return walk(root, relative)
}

// walk opens path one element at a time and follows no link.
func walk(root int, path string) (int, error) {
	at, err := unix.Openat(root, ".", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if path == "." {
		return at, nil
	}
	for name := range strings.SplitSeq(path, "/") {
		fd, err := unix.Openat(at, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		_ = unix.Close(at)
		if err != nil {
			return -1, &os.PathError{Op: "openat", Path: path, Err: err}
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT == unix.S_IFLNK {
			_ = unix.Close(fd)
			return -1, fmt.Errorf("unexpected symlink found at %q of subpath %q: it was changed meanwhile", name, path)
		}
		at = fd
	}
	return at, nil
}

func openat2(root int, path string, resolve uint64) (int, error) {
	how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: resolve}
	var err error
	for range attempts {
		var fd int
		if fd, err = unix.Openat2(root, path, how); err == nil {
			return fd, nil
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	return -1, &os.PathError{Op: "openat2", Path: path, Err: err}
}

// makeBeneath makes the directories of sub that are missing. It starts where the longest part of the path
// that exists leads, and goes on from directory to directory that it made itself, following no link.
func makeBeneath(base, sub string) error {
	info, err := os.Stat(base)
	if err != nil {
		return err
	}
	names := strings.Split(filepath.Clean(sub), "/")
	at, missing, err := existing(base, names)
	if err != nil {
		return err
	}
	for _, name := range missing {
		fd, err := makeOne(at, name, info.Mode())
		_ = unix.Close(at)
		if err != nil {
			return err
		}
		at = fd
	}
	return unix.Close(at)
}

// existing opens the longest part of names that is there, and answers the rest.
func existing(base string, names []string) (fd int, missing []string, err error) {
	for n := len(names) - 1; n >= 0; n-- {
		f, err := openBeneath(base, filepath.Join(append([]string{"."}, names[:n]...)...))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return -1, nil, err
		}
		fd, err := unix.Dup(int(f.Fd()))
		if err == nil {
			unix.CloseOnExec(fd)
		}
		_ = f.Close()
		return fd, names[n:], err
	}
	return -1, nil, fmt.Errorf("volume path %q: %w", base, fs.ErrNotExist)
}

// makeOne makes a directory in the directory at, and opens it. One that was made meanwhile is as good.
func makeOne(at int, name string, mode fs.FileMode) (int, error) {
	made := unix.Mkdirat(at, name, 0o700)
	if made != nil && !errors.Is(made, unix.EEXIST) {
		return -1, &os.PathError{Op: "mkdirat", Path: name, Err: made}
	}
	fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "openat", Path: name, Err: err}
	}
	if made == nil {
		bits := uint32(mode.Perm())
		if mode&fs.ModeSetgid != 0 {
			bits |= unix.S_ISGID
		}
		if err := unix.Fchmod(fd, bits); err != nil {
			_ = unix.Close(fd)
			return -1, &os.PathError{Op: "fchmod", Path: name, Err: err}
		}
	}
	return fd, nil
}
