package supervise

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/bootstrap/host"
)

// Detach starts this program again with args, as a process of its own that lives on when this one ends, and
// writes to logFile. It returns once the supervisor holds pidFile.
func Detach(ctx context.Context, c clock.WithTicker, args []string, pidFile, logFile string) (host.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return host.Process{}, fmt.Errorf("finding this program: %w", err)
	}
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return host.Process{}, fmt.Errorf("opening the supervisor's log: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(self, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return host.Process{}, fmt.Errorf("starting the supervisor: %w", err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	for ticker := c.NewTicker(20 * time.Millisecond); ; {
		if p, ok := host.ReadProcess(pidFile); ok && p.PID == cmd.Process.Pid {
			ticker.Stop()
			return p, nil
		}
		select {
		case <-ticker.C():
		case <-ended:
			return host.Process{}, fmt.Errorf("the supervisor ended at once; %s says why", logFile)
		case <-ctx.Done():
			return host.Process{}, ctx.Err()
		}
	}
}

// Signals by which the supervisor is asked for a new start of a program.
const (
	KubeletSignal = unix.SIGHUP
	RuntimeSignal = unix.SIGUSR1
)

// AskKubelet tells the supervisor to start the kubelet anew.
func AskKubelet(p host.Process) error { return ask(p, KubeletSignal) }

// AskRuntime tells the supervisor to start the container runtime anew.
func AskRuntime(p host.Process) error { return ask(p, RuntimeSignal) }

func ask(p host.Process, signal unix.Signal) error {
	if err := unix.Kill(p.PID, signal); err != nil {
		return fmt.Errorf("asking the supervisor (process %d) for a new start: %w", p.PID, err)
	}
	return nil
}
