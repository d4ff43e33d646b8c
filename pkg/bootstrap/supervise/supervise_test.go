package supervise

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/bootstrap/host"
)

func TestPausesGrowAndBeginAnew(t *testing.T) {
	var b backoff
	for _, c := range []struct{ ran, want time.Duration }{
		{0, time.Second}, {0, 2 * time.Second}, {time.Second, 4 * time.Second}, {steady, time.Second}, {0, 2 * time.Second},
	} {
		if got := b.after(c.ran); got != c.want {
			t.Errorf("after %s it waits %s, want %s", c.ran, got, c.want)
		}
	}
	for range 10 {
		if got := b.after(0); got > mostPause {
			t.Errorf("it waits %s, want at most %s", got, mostPause)
		}
	}
}

// sleeper is a program that does nothing until it is stopped.
func sleeper(t *testing.T, dir string) *Program {
	t.Helper()
	return &Program{
		Name: "sleeper", Path: "/bin/sleep", Args: func() ([]string, error) { return []string{"1000"}, nil },
		PIDFile: filepath.Join(dir, "sleeper.pid"), LogFile: filepath.Join(dir, "log"), Grace: 10 * time.Second,
	}
}

// another waits until the program runs as another process than before.
func another(t *testing.T, p *Program, before host.Process) host.Process {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for {
		if now, ok := host.ReadProcess(p.PIDFile); ok && now != before {
			return now
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal("it does not run again")
		}
	}
}

func TestAProgramThatDiesIsStartedAgain(t *testing.T) {
	p := sleeper(t, t.TempDir())
	restart := make(chan string)
	s := &Supervisor{Programs: []*Program{p}, PIDFile: filepath.Join(t.TempDir(), "s.pid"), Clock: clock.RealClock{}, Log: logr.Discard(), Restart: restart}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	first := another(t, p, host.Process{})
	if err := (&Supervisor{PIDFile: s.PIDFile, Clock: clock.RealClock{}}).Run(ctx); !errors.Is(err, ErrRunning) {
		t.Errorf("a second supervisor: %v", err)
	}
	if err := unix.Kill(first.PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second := another(t, p, first)
	restart <- "sleeper"
	third := another(t, p, second)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if third.Running() {
		t.Error("the program outlives its supervisor that was told to stop")
	}
	if _, err := os.Stat(s.PIDFile); err == nil {
		t.Error("the supervisor's file is left")
	}
}

func TestAProgramOfAnEarlierSupervisorIsKept(t *testing.T) {
	p := sleeper(t, t.TempDir())
	running, err := p.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = running.Kill(context.Background()) })
	again, err := p.Start()
	if err != nil || again != running {
		t.Errorf("started %v, %v; want the one that runs, %v", again, err, running)
	}
}

func TestLogsAreKeptToASize(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, []byte(strings.Repeat("x", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := rotate(file, 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file + ".1"); err == nil {
		t.Error("a small log was turned")
	}
	if err := rotate(file, 100); err != nil {
		t.Fatal(err)
	}
	old, err := os.ReadFile(file + ".1")
	now, _ := os.Stat(file)
	if err != nil || len(old) != 100 || now.Size() != 0 {
		t.Errorf("the old log has %d bytes and the new one %d, want 100 and none", len(old), now.Size())
	}
}
