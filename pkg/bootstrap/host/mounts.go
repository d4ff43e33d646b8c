package host

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// MountsUnder lists the mount points below the directories, the deepest first, as they must be unmounted; of
// these paths themselves only those named in exactly, and those beneath other mounts too.
func MountsUnder(dirs, exactly []string) ([]string, error) {
	data, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("reading what is mounted: %w", err)
	}
	var points []string
	for _, m := range mountsUnder(string(data), dirs, exactly) {
		// A mount that another lies over cannot be reached, and is not what the directory holds.
		var stat unix.Statx_t
		err := unix.Statx(unix.AT_FDCWD, m.point, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_MNT_ID, &stat)
		covered := err == nil && stat.Mask&unix.STATX_MNT_ID != 0 && stat.Mnt_id != m.id || errors.Is(err, unix.ENOENT)
		if covered && !slices.Contains(exactly, m.point) {
			continue
		}
		points = append(points, m.point)
	}
	return points, nil
}

type mount struct {
	id    uint64
	point string
}

func mountsUnder(mountinfo string, dirs, exactly []string) (points []mount) {
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		at := unescape(fields[4])
		if slices.Contains(exactly, at) || slices.ContainsFunc(dirs, func(d string) bool { return strings.HasPrefix(at, d+"/") }) {
			id, _ := strconv.ParseUint(fields[0], 10, 64)
			points = append(points, mount{id, at})
		}
	}
	slices.Reverse(points) // what is mounted later lies on what was before
	return points
}

// unescape reads mountinfo's octal escapes of blanks.
func unescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// Unmount takes a file system away, at once where it is free and as soon as it is otherwise.
func Unmount(point string) error {
	err := unix.Unmount(point, unix.UMOUNT_NOFOLLOW)
	if err == unix.EBUSY {
		err = unix.Unmount(point, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	}
	if err != nil && err != unix.EINVAL && err != unix.ENOENT { // gone meanwhile
		return fmt.Errorf("unmounting %s: %w", point, err)
	}
	return nil
}
