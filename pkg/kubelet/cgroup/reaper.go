package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"
)

const (
	// A killed process leaves its group a moment later; one that hangs in the kernel may take for ever.
	reapPause = 20 * time.Millisecond
	reapTries = 50
)

// reaper empties and removes groups.
type reaper struct {
	clock clock.Clock
	log   logr.Logger
}

// reap kills every process in dir and below and removes the directories.
func (r reaper) reap(dir string) error {
	var err error
	for range reapTries {
		if err = r.rmdir(dir); err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) && !errors.Is(err, syscall.ENOTEMPTY) {
			return err
		}
		r.kill(dir)
		<-r.clock.After(reapPause)
	}
	return fmt.Errorf("processes do not end: %w", err)
}

// rmdir removes the groups below dir and then dir.
func (r reaper) rmdir(dir string) error {
	names, err := subdirectories(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := r.rmdir(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syscallRmdir(dir)
}

func syscallRmdir(dir string) error {
	if err := syscall.Rmdir(dir); err != nil {
		return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
	}
	return nil
}

func (r reaper) kill(dir string) {
	if write(dir, "cgroup.kill", "1") == nil {
		return // v2 kills the whole tree at once
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		data, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if err != nil {
			return nil
		}
		for s := range strings.FieldsSeq(string(data)) {
			// 0 stands for a process of another pid namespace: killing "0" would end ourselves.
			if pid, err := strconv.Atoi(s); err == nil && pid > 1 && pid != os.Getpid() {
				r.log.V(2).Info("Killing a process that a pod left behind", "pid", pid, "cgroup", path)
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		return nil
	})
}
