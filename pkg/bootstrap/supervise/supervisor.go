package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/bootstrap/host"
)

// ErrRunning says that another supervisor runs on this machine.
var ErrRunning = errors.New("a supervisor is running already")

// Supervisor keeps programs running.
type Supervisor struct {
	Programs []*Program // started in this order, stopped in the reverse
	PIDFile  string
	Clock    clock.WithTicker
	Log      logr.Logger
	// Restart asks for a new start of the program of that name.
	Restart <-chan string
}

// Logs are kept to this size each, with one older file beside it.
const (
	logSize   = 32 << 20
	logLooked = time.Minute
)

// Run works until ctx ends, and then stops the programs.
func (s *Supervisor) Run(ctx context.Context) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	asks := map[string]chan struct{}{}
	var stops []func() error
	for _, p := range s.Programs {
		asks[p.Name] = make(chan struct{}, 1)
		stops = append(stops, s.begin(p, asks[p.Name]))
	}
	s.serve(ctx, asks)
	for i := len(stops) - 1; i >= 0; i-- {
		err = errors.Join(err, stops[i]())
	}
	return err
}

// begin keeps the program running until the function that it answers is called.
func (s *Supervisor) begin(p *Program, restart <-chan struct{}) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	var err error
	wait.Go(func() { err = p.keep(ctx, s.Clock, s.Log, restart) })
	return func() error {
		cancel()
		wait.Wait()
		return err
	}
}

func (s *Supervisor) serve(ctx context.Context, asks map[string]chan struct{}) {
	ticker := s.Clock.NewTicker(logLooked)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case name := <-s.Restart:
			select {
			case asks[name] <- struct{}{}:
			default: // one is under way
			}
		case <-ticker.C():
			for _, p := range s.Programs {
				if err := rotate(p.LogFile, logSize); err != nil {
					s.Log.Error(err, "The log grows on", "program", p.Name)
				}
			}
		}
	}
}

// lock makes this the only supervisor. The lock ends with the process.
func (s *Supervisor) lock() (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(s.PIDFile), 0o755); err != nil {
		return nil, fmt.Errorf("making the directory of %s: %w", s.PIDFile, err)
	}
	f, err := os.OpenFile(s.PIDFile, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", s.PIDFile, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%w (%s is locked)", ErrRunning, s.PIDFile)
	}
	own, _ := host.FindProcess(os.Getpid())
	if err := own.WriteFile(s.PIDFile); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = os.Remove(s.PIDFile); _ = f.Close() }, nil
}

// rotate keeps a log that has grown beyond size as FILE.1 and begins it anew. The program goes on writing to
// the same file, to whose end every write goes.
func rotate(file string, size int64) error {
	info, err := os.Stat(file)
	if err != nil || info.Size() < size {
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".1", data, 0o640); err != nil {
		return err
	}
	return os.Truncate(file, 0)
}
