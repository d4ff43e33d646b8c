// Package supervise keeps a node's programs running where no systemd does: the container runtime and the
// kubelet. It starts them, starts them again when they end, and finds those that an earlier supervisor
// started. It does not know what they do.
package supervise

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/bootstrap/host"
)

// Program is one that is to run.
type Program struct {
	Name    string
	Path    string
	Args    func() ([]string, error) // asked for at each start
	PIDFile string
	LogFile string
	Grace   time.Duration // between the request to end and the end
}

// How long to wait before a program that ended is started again: the first time, at most, and for how long
// it must have run for the count to begin anew.
const (
	firstPause = time.Second
	mostPause  = 30 * time.Second
	steady     = time.Minute
)

// backoff is the pause before the next start.
type backoff struct{ next time.Duration }

func (b *backoff) after(ran time.Duration) time.Duration {
	if b.next == 0 || ran >= steady {
		b.next = firstPause
	}
	pause := b.next
	b.next = min(2*b.next, mostPause)
	return pause
}

// keep runs the program until ctx ends, and then stops it. A value on restart starts it anew at once.
func (p *Program) keep(ctx context.Context, c clock.Clock, log logr.Logger, restart <-chan struct{}) error {
	var wait backoff
	for {
		began := c.Now()
		process, err := p.Start()
		if err != nil {
			log.Error(err, "Not started", "program", p.Name)
		} else {
			log.Info("Running", "program", p.Name, "pid", process.PID)
			if again := p.watch(ctx, process, log, restart); again {
				continue
			}
		}
		if ctx.Err() != nil {
			return p.stop(context.WithoutCancel(ctx), process)
		}
		pause := wait.after(c.Since(began))
		log.Info("Ended; it will be started again", "program", p.Name, "in", pause.String())
		select {
		case <-c.After(pause):
		case <-restart:
		case <-ctx.Done():
			return nil
		}
	}
}

// watch returns when the process has ended, or ctx has, or a restart was asked for, which it does.
func (p *Program) watch(ctx context.Context, process host.Process, log logr.Logger, restart <-chan struct{}) (again bool) {
	ended, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = process.Wait(ended)
	}()
	select {
	case <-done:
		return false
	case <-restart:
		cancel()
		<-done
		if err := process.Stop(ctx, p.Grace); err != nil {
			log.Error(err, "Restarting", "program", p.Name)
		}
		return ctx.Err() == nil
	}
}

func (p *Program) stop(ctx context.Context, process host.Process) error {
	if process.PID == 0 {
		return nil
	}
	err := process.Stop(ctx, p.Grace)
	if err == nil {
		_ = os.Remove(p.PIDFile)
	}
	return err
}

// Start starts the program, or answers the one that an earlier supervisor started and that still runs.
func (p *Program) Start() (host.Process, error) {
	if running, ok := host.ReadProcess(p.PIDFile); ok {
		return running, nil
	}
	args, err := p.Args()
	if err != nil {
		return host.Process{}, err
	}
	log, err := os.OpenFile(p.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return host.Process{}, fmt.Errorf("opening the log of %s: %w", p.Name, err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(p.Path, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives us, and no terminal's signal reaches it
	if err := cmd.Start(); err != nil {
		return host.Process{}, fmt.Errorf("starting %s: %w", p.Name, err)
	}
	go func() { _ = cmd.Wait() }() // so that it does not stay as a zombie
	process, ok := host.FindProcess(cmd.Process.Pid)
	if !ok {
		return host.Process{}, fmt.Errorf("%s ended at once; %s says why", p.Name, p.LogFile)
	}
	return process, process.WriteFile(p.PIDFile)
}
