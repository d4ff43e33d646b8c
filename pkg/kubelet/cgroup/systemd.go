package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// sliceTree tells systemd of the groups, so that it does not take them for its own to change.
type sliceTree struct {
	tree
	run func(ctx context.Context, args ...string) error
	// settings is where systemd keeps what it was told of units until the next boot.
	settings string
}

const systemctlTimeout = 30 * time.Second

func systemctl(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (s *sliceTree) call(args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), systemctlTimeout)
	defer cancel()
	return s.run(ctx, args...)
}

func (s *sliceTree) create(p string) error {
	if err := s.call("start", path.Base(p)); err != nil {
		return err
	}
	// Controllers that systemd does not manage have no group yet.
	return s.tree.create(p)
}

func (s *sliceTree) apply(p string, l Limits) error {
	if settings := properties(l); len(settings) > 0 {
		if err := s.call(append([]string{"set-property", "--runtime", path.Base(p)}, settings...)...); err != nil {
			return err
		}
	}
	return s.tree.apply(p, l)
}

// properties are the settings that systemd would otherwise set back.
func properties(l Limits) []string {
	var all []string
	if l.CPUShares > 0 {
		all = append(all, "CPUWeight="+strconv.FormatUint(Weight(l.CPUShares), 10))
	}
	switch {
	case l.CPUQuota < 0:
		all = append(all, "CPUQuota=")
	case l.CPUQuota > 0 && l.CPUPeriod > 0:
		all = append(all, fmt.Sprintf("CPUQuota=%d%%", max(l.CPUQuota*100/int64(l.CPUPeriod), 1)),
			fmt.Sprintf("CPUQuotaPeriodSec=%dus", l.CPUPeriod))
	}
	switch {
	case l.Memory < 0:
		all = append(all, "MemoryMax=infinity")
	case l.Memory > 0:
		all = append(all, "MemoryMax="+strconv.FormatInt(l.Memory, 10))
	}
	if l.Pids > 0 {
		all = append(all, "TasksMax="+strconv.FormatInt(l.Pids, 10))
	}
	return all
}

func (s *sliceTree) remove(p string) error {
	// Stopping a slice ends what runs in it; one that is not there is stopped already.
	_ = s.call("stop", path.Base(p))
	// No later slice has the name of a pod's, and its settings would pile up in memory.
	return errors.Join(s.tree.remove(p), os.RemoveAll(filepath.Join(s.settings, path.Base(p)+".d")))
}
