package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sampan-project/sampan/manifests"
	"github.com/sampan-project/sampan/pkg/bootstrap/containerd"
	"github.com/sampan-project/sampan/pkg/bootstrap/host"
	"github.com/sampan-project/sampan/pkg/bootstrap/layout"
	"github.com/sampan-project/sampan/pkg/bootstrap/phase"
	"github.com/sampan-project/sampan/pkg/bootstrap/supervise"
)

// services is who keeps containerd and the kubelet running: systemd where it does, else our own supervisor.
type services interface {
	runtime(ctx context.Context, m *machine, answered, changed bool, say phase.Say) error
	kubelet(ctx context.Context, m *machine, say phase.Say) error
}

func (m *machine) services() services {
	if m.systemd {
		return bySystemd{}
	}
	return bySupervisor{}
}

// answerWithin is how long a program that was started may take to answer.
const answerWithin = time.Minute

// awaitRuntime returns once the container runtime answers.
func (m *machine) awaitRuntime(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return m.await(ctx, 50*time.Millisecond, func(ctx context.Context) error { return containerd.Answers(ctx, m.Socket()) })
}

// await tries until it succeeds, and answers the last failure when ctx ends: not that of a try which ctx has cut
// short, which would say nothing of what is missing.
func (m *machine) await(ctx context.Context, every time.Duration, try func(ctx context.Context) error) error {
	ticker := m.clock.NewTicker(every)
	defer ticker.Stop()
	var last error
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ticker.C():
		case <-ctx.Done():
			return last
		}
	}
}

// bySystemd leaves it to systemd.
type bySystemd struct{}

func (bySystemd) runtime(ctx context.Context, m *machine, answered, changed bool, say phase.Say) error {
	if answered && !changed {
		return nil
	}
	if !answered {
		m.record.Enabled = append(m.record.Enabled, "containerd.service")
		if err := m.record.Write(); err != nil {
			return err
		}
	}
	say("systemd runs containerd")
	if _, err := host.Run(ctx, "systemctl", "restart", "containerd.service"); err != nil {
		return fmt.Errorf("containerd does not start (journalctl -u containerd says why): %w", err)
	}
	return m.awaitRuntime(ctx)
}

// kubelet writes the unit where no package has brought one, and starts it anew.
func (bySystemd) kubelet(ctx context.Context, m *machine, say phase.Say) error {
	packaged := false
	for _, dir := range []string{"/lib/systemd/system", "/usr/lib/systemd/system"} {
		_, err := os.Stat(filepath.Join(dir, "kubelet.service"))
		packaged = packaged || err == nil
	}
	if !packaged {
		if err := m.writeUnits(); err != nil {
			return err
		}
	}
	m.record.Enabled = append(m.record.Enabled, "kubelet.service")
	if err := m.record.Write(); err != nil {
		return err
	}
	say("systemd runs the kubelet")
	for _, args := range [][]string{{"daemon-reload"}, {"enable", "kubelet.service"}, {"restart", "kubelet.service"}} {
		if _, err := host.Run(ctx, "systemctl", args...); err != nil {
			return fmt.Errorf("the kubelet does not start (journalctl -u kubelet says why): %w", err)
		}
	}
	return nil
}

// unitDir is where an administrator's units are.
const unitDir = "/etc/systemd/system"

func (m *machine) writeUnits() error {
	for _, name := range []string{"kubelet.service", "kubelet.service.d/10-kubeadm.conf"} {
		data, err := manifests.Units.ReadFile("systemd/" + name)
		if err != nil {
			return err
		}
		path := filepath.Join(unitDir, name)
		m.record.Claim(path)
		if err := m.record.Write(); err != nil {
			return err
		}
		if err := m.write(path, replaceProgram(data, m.kubeletPath()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// bySupervisor keeps them running itself.
type bySupervisor struct{}

// Files of the supervisor and its programs.
var (
	supervisorPID = filepath.Join(layout.RunDir, "supervisor.pid")
	supervisorLog = filepath.Join(layout.LogDir, "supervisor.log")
	containerdPID = filepath.Join(layout.RunDir, "containerd.pid")
	kubeletPID    = filepath.Join(layout.RunDir, "kubelet.pid")
)

func (bySupervisor) runtime(ctx context.Context, m *machine, answered, changed bool, say phase.Say) error {
	for _, dir := range []string{layout.RunDir, layout.LogDir} {
		if err := os.MkdirAll(m.On(dir), 0o755); err != nil {
			return fmt.Errorf("making %s: %w", dir, err)
		}
	}
	_, ours := host.ReadProcess(containerdPID)
	if answered && !ours && changed {
		return errors.New("containerd runs already and does not see its new configuration: start it anew, then run ctl init again")
	}
	args := []string{"supervise", "--kubelet=" + m.kubeletPath()}
	if !answered || ours {
		args = append(args, "--containerd="+host.Program("containerd"))
		m.record.Containerd = true
	}
	m.record.Supervised = true
	if err := m.record.Write(); err != nil {
		return err
	}
	p, running := host.ReadProcess(supervisorPID)
	if !running {
		within, cancel := context.WithTimeout(ctx, answerWithin)
		defer cancel()
		var err error
		if p, err = supervise.Detach(within, m.clock, args, supervisorPID, supervisorLog); err != nil {
			return err
		}
		say("no systemd runs here: ctl keeps containerd and the kubelet running itself (process %d; logs in %s)", p.PID, layout.LogDir)
	} else if changed && ours {
		if err := supervise.AskRuntime(p); err != nil {
			return err
		}
	}
	if err := m.awaitRuntime(ctx); err != nil {
		return fmt.Errorf("containerd does not answer (%s/containerd.log says why): %w", layout.LogDir, err)
	}
	return nil
}

func (bySupervisor) kubelet(_ context.Context, _ *machine, _ phase.Say) error {
	p, running := host.ReadProcess(supervisorPID)
	if !running {
		return errors.New("the supervisor does not run: run the phase containerd first")
	}
	return supervise.AskKubelet(p)
}
