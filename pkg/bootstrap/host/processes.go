package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a running process, told apart from a later one with the same id by when it started.
type Process struct {
	PID   int
	Start string // in ticks since the machine started, as /proc/PID/stat says
}

// FindProcess answers the process with that id; ok is false where none runs.
func FindProcess(pid int) (p Process, ok bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, false
	}
	// The program's name, in brackets, may hold blanks and brackets itself.
	fields := strings.Fields(string(data)[strings.LastIndex(string(data), ")")+1:])
	if len(fields) < 20 || fields[0] == "Z" {
		return p, false
	}
	return Process{PID: pid, Start: fields[19]}, true
}

// Running tells whether it is still the same process.
func (p Process) Running() bool {
	now, ok := FindProcess(p.PID)
	return ok && now == p
}

// WriteFile keeps the process in a file.
func (p Process) WriteFile(file string) error {
	return os.WriteFile(file, fmt.Appendf(nil, "%d %s\n", p.PID, p.Start), 0o644)
}

// ReadProcess reads what WriteFile kept; ok is false where no such process runs any more.
func ReadProcess(file string) (p Process, ok bool) {
	data, err := os.ReadFile(file)
	if err != nil {
		return p, false
	}
	fields := strings.Fields(string(data))
	if len(fields) != 2 {
		return p, false
	}
	if p.PID, err = strconv.Atoi(fields[0]); err != nil {
		return p, false
	}
	p.Start = fields[1]
	return p, p.Running()
}

// Wait returns when the process has ended, whoever's child it is.
func (p Process) Wait(ctx context.Context) error {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if errors.Is(err, unix.ESRCH) || !p.Running() {
		if err == nil {
			_ = unix.Close(fd)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("watching process %d: %w", p.PID, err)
	}
	defer func() { _ = unix.Close(fd) }()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 250)
		if n > 0 {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("watching process %d: %w", p.PID, err)
		}
	}
}

// Stop asks the process to end, and ends it when it has not within grace.
func (p Process) Stop(ctx context.Context, grace time.Duration) error {
	if !p.Running() {
		return nil
	}
	_ = unix.Kill(p.PID, unix.SIGTERM)
	within, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if p.Wait(within) == nil {
		return nil
	}
	return p.Kill(ctx)
}

// Kill ends the process at once.
func (p Process) Kill(ctx context.Context) error {
	if !p.Running() {
		return nil
	}
	_ = unix.Kill(p.PID, unix.SIGKILL)
	within, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := p.Wait(within); err != nil {
		return fmt.Errorf("process %d does not end: %w", p.PID, err)
	}
	return nil
}

// Shims lists containerd's processes that hold pods of this machine. Those that belong to another machine's
// root (a node in namespaces of its own) see other mounts and are left out.
func Shims(socket string) []Process {
	own, _ := os.Readlink("/proc/self/ns/mnt")
	var found []Process
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		data, err := os.ReadFile(filepath.Join(d, "cmdline"))
		if err != nil || !isShim(strings.Split(string(data), "\x00"), socket) {
			continue
		}
		if ns, err := os.Readlink(filepath.Join(d, "ns", "mnt")); err != nil || ns != own {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(d)); err == nil {
			if p, ok := FindProcess(pid); ok {
				found = append(found, p)
			}
		}
	}
	return found
}

func isShim(args []string, socket string) bool {
	if len(args) == 0 || !strings.HasPrefix(filepath.Base(args[0]), "containerd-shim") {
		return false
	}
	has := func(name, value string) bool {
		for i := 1; i+1 < len(args); i++ {
			if args[i] == name && args[i+1] == value {
				return true
			}
		}
		return false
	}
	return has("-namespace", "k8s.io") && has("-address", socket)
}
