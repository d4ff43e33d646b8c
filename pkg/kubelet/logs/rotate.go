package logs

import (
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

// stampFormat names rotated files by when they were rotated: 0.log.20060102-150405. Names sort by age.
const stampFormat = "20060102-150405"

const (
	compressedSuffix = ".gz"
	unfinishedSuffix = ".tmp"
)

// RotationConfig says when logs are rotated.
type RotationConfig struct {
	Runtime  cri.Runtime
	MaxSize  int64         // containerLogMaxSize in bytes; negative: logs are never rotated
	MaxFiles int           // containerLogMaxFiles, the one that is written to included; at least 2
	Interval time.Duration // containerLogMonitorInterval; 0: 10 s
	Clock    clock.WithTicker
	Log      logr.Logger
}

// Rotator keeps the logs of running containers below a size.
type Rotator struct{ cfg RotationConfig }

// NewRotator makes a Rotator.
func NewRotator(cfg RotationConfig) *Rotator {
	cfg.Interval = cmp.Or(cfg.Interval, 10*time.Second)
	cfg.MaxFiles = max(cfg.MaxFiles, 2)
	return &Rotator{cfg: cfg}
}

// Run looks after the logs until ctx ends.
func (r *Rotator) Run(ctx context.Context) {
	if r.cfg.MaxSize < 0 {
		return
	}
	ticker := r.cfg.Clock.NewTicker(r.cfg.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
			if err := r.Rotate(ctx); err != nil && ctx.Err() == nil {
				r.cfg.Log.Error(err, "Rotating container logs")
			}
		}
	}
}

// Rotate rotates once what has grown too large.
func (r *Rotator) Rotate(ctx context.Context) error {
	running, err := r.cfg.Runtime.ListContainers(ctx, &cri.ContainerFilter{State: &cri.ContainerStateValue{State: cri.ContainerRunning}})
	if err != nil {
		return fmt.Errorf("listing the running containers: %w", err)
	}
	var failed []error
	for _, c := range running {
		if err := r.rotateOne(ctx, c.Id); err != nil {
			failed = append(failed, fmt.Errorf("container %s: %w", c.Id, err))
		}
	}
	return errors.Join(failed...)
}

func (r *Rotator) rotateOne(ctx context.Context, id string) error {
	answer, err := r.cfg.Runtime.ContainerStatus(ctx, id, false)
	if cri.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking for its log: %w", err)
	}
	path := answer.GetStatus().GetLogPath()
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		// An earlier rotation stopped between the renaming and the reopening.
		return r.cfg.Runtime.ReopenContainerLog(ctx, id)
	}
	if err != nil {
		return err
	}
	if info.Size() < r.cfg.MaxSize {
		return nil
	}
	if err := r.tidy(path); err != nil {
		return err
	}
	return r.rename(ctx, id, path)
}

// tidy removes what an earlier rotation left unfinished and what is one too many, and compresses all but
// what a reader may just be following.
func (r *Rotator) tidy(path string) error {
	old, err := Rotated(path)
	if err != nil {
		return err
	}
	unfinished, err := filepath.Glob(path + ".*" + unfinishedSuffix)
	if err != nil {
		return err
	}
	for _, f := range unfinished {
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	keep := r.cfg.MaxFiles - 2 // beside the file written to and the one that it becomes now
	for len(old) > keep {
		if err := os.Remove(old[0]); err != nil {
			return err
		}
		old = old[1:]
	}
	for _, f := range old {
		if strings.HasSuffix(f, compressedSuffix) {
			continue
		}
		if err := compress(f); err != nil {
			return fmt.Errorf("compressing %s: %w", f, err)
		}
	}
	return nil
}

// rename gives the log its dated name and has the runtime begin another. Where that fails the name is given
// back: the runtime writes to the file whatever it is called.
func (r *Rotator) rename(ctx context.Context, id, path string) error {
	to := path + "." + r.cfg.Clock.Now().Format(stampFormat)
	if _, err := os.Lstat(to); err == nil {
		return nil // rotated within this second already
	}
	if err := os.Rename(path, to); err != nil {
		return err
	}
	if err := r.cfg.Runtime.ReopenContainerLog(ctx, id); err != nil {
		return errors.Join(fmt.Errorf("having the runtime begin a new log: %w", err), os.Rename(to, path))
	}
	return nil
}

// compress replaces a file by its gzip form; a crash leaves the one or the other.
func compress(path string) (err error) {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	unfinished := path + unfinishedSuffix
	out, err := os.OpenFile(unfinished, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	zipped := gzip.NewWriter(out)
	_, err = io.Copy(zipped, in)
	if err = errors.Join(err, zipped.Close(), out.Close()); err != nil {
		return errors.Join(err, os.Remove(unfinished))
	}
	if err := os.Rename(unfinished, path+compressedSuffix); err != nil {
		return err
	}
	return os.Remove(path)
}

// Rotated lists the files that a log was rotated to, the oldest first.
func Rotated(path string) ([]string, error) {
	found, err := filepath.Glob(path + ".*")
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(f string) bool {
		stamp := strings.TrimSuffix(strings.TrimPrefix(f, path+"."), compressedSuffix)
		_, err := time.Parse(stampFormat, stamp)
		return err != nil
	})
	slices.Sort(found)
	return found, nil
}
