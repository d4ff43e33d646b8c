package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// controllers are those that pods' groups need, where the kernel has them.
var controllers = []string{"cpu", "cpuset", "memory", "pids", "hugetlb", "io"}

// v2 is a machine with the one unified hierarchy.
type v2 struct {
	mount string
	reaper
}

func (t *v2) version() int { return 2 }

// hasSwap looks at any group below the root: the root itself has no such file.
func (t *v2) hasSwap() bool {
	found, err := filepath.Glob(filepath.Join(t.mount, "*", "memory.swap.max"))
	return err == nil && len(found) > 0
}

func (t *v2) create(path string) error {
	dir := t.mount
	for _, name := range split(path) {
		if err := enable(dir); err != nil {
			return err
		}
		dir = filepath.Join(dir, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	// The runtime puts containers below; their limits need the controllers there.
	return enable(dir)
}

// enable lets the groups below dir have the controllers that dir has.
func enable(dir string) error {
	available, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	enabled, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
	if err != nil {
		return err
	}
	has, on := strings.Fields(string(available)), strings.Fields(string(enabled))
	for _, c := range controllers {
		if !slices.Contains(has, c) || slices.Contains(on, c) {
			continue
		}
		err := write(dir, "cgroup.subtree_control", "+"+c)
		if errors.Is(err, syscall.EBUSY) {
			return fmt.Errorf("%s holds processes of its own, so that groups below it cannot be limited; move them to a group beside, or choose another --cgroup-root: %w", dir, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *v2) apply(path string, l Limits) error {
	dir := filepath.Join(t.mount, path)
	var all []error
	put := func(file, value string) {
		err := write(dir, file, value)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil // the kernel does not have the controller
		}
		all = append(all, err)
	}
	if l.CPUShares > 0 {
		put("cpu.weight", strconv.FormatUint(Weight(l.CPUShares), 10))
	}
	if l.CPUPeriod > 0 && l.CPUQuota != 0 {
		put("cpu.max", limit(l.CPUQuota)+" "+strconv.FormatUint(l.CPUPeriod, 10))
	}
	if l.Memory != 0 {
		put("memory.max", limit(l.Memory))
	}
	if l.Pids > 0 {
		put("pids.max", strconv.FormatInt(l.Pids, 10))
	}
	for _, size := range slices.Sorted(maps.Keys(l.HugePages)) {
		put("hugetlb."+size+".max", strconv.FormatInt(l.HugePages[size], 10))
	}
	return errors.Join(all...)
}

func limit(n int64) string {
	if n < 0 {
		return "max"
	}
	return strconv.FormatInt(n, 10)
}

func (t *v2) remove(path string) error { return t.reap(filepath.Join(t.mount, path)) }

func (t *v2) children(path string) ([]string, error) {
	return subdirectories(filepath.Join(t.mount, path))
}
