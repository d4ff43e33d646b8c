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
)

// v1 is a machine with one hierarchy for each controller, or for a few that are mounted together.
type v1 struct {
	mounts map[string]string // controller, as "memory" or "name=systemd", to the directory of its hierarchy
	reaper
}

// dirs are the directories that make up a group, each once.
func (t *v1) dirs(path string) []string {
	var all []string
	for _, mount := range t.mounts {
		all = append(all, filepath.Join(mount, path))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (t *v1) version() int { return 1 }

// hasSwap: on v1 swap is left alone; its accounting is often off in the kernel.
func (t *v1) hasSwap() bool { return false }

func (t *v1) create(path string) error {
	for _, dir := range t.dirs(path) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	mount, ok := t.mounts["cpuset"]
	if !ok {
		return nil
	}
	// A new cpuset is empty, and no process can join it before it has cpus and memory nodes.
	dir := mount
	for _, name := range split(path) {
		parent := dir
		dir = filepath.Join(dir, name)
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if err := inheritFile(parent, dir, file); err != nil {
				return err
			}
		}
	}
	return nil
}

func inheritFile(parent, dir, file string) error {
	own, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil || strings.TrimSpace(string(own)) != "" {
		return err
	}
	value, err := os.ReadFile(filepath.Join(parent, file))
	if err != nil {
		return err
	}
	return write(dir, file, strings.TrimSpace(string(value)))
}

func (t *v1) apply(path string, l Limits) error {
	var all []error
	put := func(controller, file, value string) {
		if mount, ok := t.mounts[controller]; ok {
			all = append(all, write(filepath.Join(mount, path), file, value))
		}
	}
	if l.CPUShares > 0 {
		put("cpu", "cpu.shares", strconv.FormatUint(l.CPUShares, 10))
	}
	if l.CPUPeriod > 0 && l.CPUQuota != 0 {
		put("cpu", "cpu.cfs_period_us", strconv.FormatUint(l.CPUPeriod, 10))
		put("cpu", "cpu.cfs_quota_us", strconv.FormatInt(l.CPUQuota, 10))
	}
	if l.Memory != 0 {
		put("memory", "memory.limit_in_bytes", strconv.FormatInt(l.Memory, 10))
	}
	if l.Pids > 0 {
		put("pids", "pids.max", strconv.FormatInt(l.Pids, 10))
	}
	for _, size := range slices.Sorted(maps.Keys(l.HugePages)) {
		put("hugetlb", "hugetlb."+size+".limit_in_bytes", strconv.FormatInt(l.HugePages[size], 10))
	}
	return errors.Join(all...)
}

func (t *v1) remove(path string) error {
	var all []error
	for _, dir := range t.dirs(path) {
		all = append(all, t.reap(dir))
	}
	return errors.Join(all...)
}

func (t *v1) children(path string) ([]string, error) {
	var all []string
	for _, dir := range t.dirs(path) {
		names, err := subdirectories(dir)
		if err != nil {
			return nil, err
		}
		all = append(all, names...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func subdirectories(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func write(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing %q: %w", value, err)
	}
	return nil
}
