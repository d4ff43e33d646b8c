package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// CgroupMounts lists the hierarchies of cgroups: one with cgroup v2, one for each controller with v1.
func CgroupMounts() ([]string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("reading what is mounted: %w", err)
	}
	var roots []string
	for line := range strings.Lines(string(data)) {
		before, after, ok := strings.Cut(line, " - ")
		if fields := strings.Fields(before); ok && strings.HasPrefix(after, "cgroup") && len(fields) > 4 {
			roots = append(roots, unescape(fields[4]))
		}
	}
	return roots, nil
}

// PodCgroups lists the cgroups of pods that exist, by both drivers' names, below a cgroup ("" for the root).
func PodCgroups(below string) ([]string, error) {
	roots, err := CgroupMounts()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, root := range roots {
		for _, name := range []string{"kubepods", "kubepods.slice"} {
			dir := filepath.Join(root, below, name)
			if _, err := os.Stat(dir); err == nil {
				found = append(found, dir)
			}
		}
	}
	return found, nil
}

// unitSettings is where systemd keeps what it was told of units until the next boot.
const unitSettings = "/run/systemd/system.control"

// PodSlices lists systemd's slices of pods below a cgroup ("" for the root): those that it holds, and those of
// which it keeps settings. The first is the parent of all.
func PodSlices(ctx context.Context, below string) ([]string, error) {
	prefix := "kubepods"
	if parent := strings.Trim(path.Base("/"+below), "/"); parent != "" {
		prefix = strings.TrimSuffix(parent, ".slice") + "-" + prefix
	}
	out, err := Run(ctx, "systemctl", "list-units", "--all", "--plain", "--no-legend", "--full", prefix+".slice", prefix+"-*.slice")
	if err != nil {
		return nil, err
	}
	var found []string
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "active" {
			found = append(found, f[0])
		}
	}
	for _, pattern := range []string{prefix + ".slice.d", prefix + "-*.slice.d"} {
		dirs, _ := filepath.Glob(filepath.Join(unitSettings, pattern)) // the pattern is well formed
		for _, d := range dirs {
			found = append(found, strings.TrimSuffix(filepath.Base(d), ".d"))
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// RemoveSlices ends what runs in slices and makes systemd forget them.
func RemoveSlices(ctx context.Context, units []string) error {
	if len(units) == 0 {
		return nil
	}
	_, err := Run(ctx, "systemctl", append([]string{"stop"}, units...)...)
	for _, s := range units {
		err = errors.Join(err, os.RemoveAll(filepath.Join(unitSettings, s+".d")))
	}
	return err
}

// RemoveCgroup removes a cgroup with all below it; processes that are still in one are killed.
func RemoveCgroup(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, p)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := len(dirs) - 1; i >= 0; i-- {
		if e := os.Remove(dirs[i]); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, fmt.Errorf("removing the cgroup: %w", e))
		}
	}
	return err
}

// KillCgroup kills the processes in a cgroup and below it.
func KillCgroup(dir string) {
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		data, _ := os.ReadFile(filepath.Join(p, "cgroup.procs"))
		for f := range strings.FieldsSeq(string(data)) {
			var pid int
			if _, err := fmt.Sscan(f, &pid); err == nil && pid > 1 {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
		return nil
	})
}
