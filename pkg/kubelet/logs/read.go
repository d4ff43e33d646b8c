package logs

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/fsnotify/fsnotify"
)

// Read writes the wanted part of the log at path, and of what it was rotated to, to stdout and stderr, which may be the
// same. With Options.Follow it goes on until ended is closed, the limit is reached, a writer fails or ctx
// ends; ended may be nil for a container that does not run. Lines that are not in CRI's format are left out.
func Read(ctx context.Context, path string, o Options, ended <-chan struct{}, stdout, stderr io.Writer) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("finding the log: %w", err)
	}
	r := &reader{path: real, out: newWriter(o, stdout, stderr)}
	defer r.close()
	if o.Limit == 0 {
		return nil
	}
	if o.Follow && ended != nil {
		if err := r.watch(); err != nil {
			return err
		}
	}
	err = r.start(ctx, o)
	if err == nil && r.watcher != nil {
		err = r.follow(ctx, ended)
	}
	if errors.Is(err, errLimit) {
		return nil
	}
	return err
}

// reader reads one log, through all files that it consists of.
type reader struct {
	path    string
	out     *writer
	file    *os.File // the one that is read now: the newest
	lines   *bufio.Reader
	begun   []byte // an entry of which the end is not written yet
	watcher *fsnotify.Watcher
}

func (r *reader) close() {
	if r.file != nil {
		_ = r.file.Close()
	}
	if r.watcher != nil {
		_ = r.watcher.Close()
	}
}

// start reads what there is up to the end of the newest file.
func (r *reader) start(ctx context.Context, o Options) error {
	f, err := os.Open(r.path)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	r.file, r.lines = f, bufio.NewReaderSize(f, 64<<10)
	older, err := Rotated(r.path)
	if err != nil {
		return fmt.Errorf("finding what the log was rotated to: %w", err)
	}
	older = r.recent(older, o)
	var skip int64
	if o.Tail >= 0 {
		var offset int64
		if offset, older, skip, err = tail(f, older, o.Tail); err != nil {
			return err
		}
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			return fmt.Errorf("finding the last lines of the log: %w", err)
		}
	}
	for _, name := range older {
		if err := r.older(ctx, name, skip); err != nil {
			return err
		}
		skip = 0
	}
	return r.drain(ctx)
}

// recent leaves out the files to which nothing was written since what is wanted begins, and the one that the
// newest became while it was being opened.
func (r *reader) recent(files []string, o Options) (out []string) {
	newest, err := r.file.Stat()
	for _, name := range files {
		info, statErr := os.Stat(name)
		if statErr != nil || err == nil && os.SameFile(info, newest) {
			continue
		}
		if !o.Since.IsZero() && !strings.HasSuffix(name, compressedSuffix) && info.ModTime().Before(o.Since) {
			continue // of compressed files the time is that of their compression
		}
		out = append(out, name)
	}
	return out
}

// older reads a whole rotated file, without its first bytes.
func (r *reader) older(ctx context.Context, name string, skip int64) error {
	content, err := open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil // rotated away meanwhile
	}
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	if _, err := io.CopyN(io.Discard, content, skip); err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	lines := bufio.NewReaderSize(content, 64<<10)
	for ctx.Err() == nil {
		raw, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		if err := r.pass(raw); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// drain passes on all whole entries up to the present end of the file.
func (r *reader) drain(ctx context.Context) error {
	for ctx.Err() == nil {
		raw, err := r.lines.ReadBytes('\n')
		r.begun = append(r.begun, raw...)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the log: %w", err)
		}
		whole := r.begun
		r.begun = nil
		if err := r.pass(whole); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (r *reader) pass(raw []byte) error {
	l, err := parse(raw)
	if err != nil {
		return nil // a line that was cut by a crash of the runtime must not hide those after it
	}
	return r.out.write(l)
}

// watch is told of writes and of new files before the first reading, so that nothing falls between.
func (r *reader) watch() error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("following a log (raise fs.inotify.max_user_instances where too many are open): %w", err)
	}
	r.watcher = w
	if err := w.Add(filepath.Dir(r.path)); err != nil {
		return fmt.Errorf("following a log (raise fs.inotify.max_user_watches where there are too many): %w", err)
	}
	return nil
}

// follow passes on what is written, until the container has ended and its log is read to the end.
func (r *reader) follow(ctx context.Context, ended <-chan struct{}) error {
	for last := false; ; {
		if err := r.drain(ctx); err != nil {
			return err
		}
		next, err := r.next(ctx)
		if err != nil {
			return err
		}
		if next {
			continue
		}
		if last {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			last = true
		case _, ok := <-r.watcher.Events:
			if !ok {
				return errors.New("following the log was interrupted; ask again")
			}
		case err := <-r.watcher.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) { // after an overflow reading on is all that is needed
				return fmt.Errorf("following the log: %w", err)
			}
		}
	}
}

// next goes over to the file that the log was rotated to, where there is one. What was written to the old
// file before the change is read first.
func (r *reader) next(ctx context.Context) (bool, error) {
	now, err := os.Stat(r.path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil // between renaming and reopening
	}
	if err != nil {
		return false, fmt.Errorf("following the log: %w", err)
	}
	have, err := r.file.Stat()
	if err != nil {
		return false, fmt.Errorf("following the log: %w", err)
	}
	if os.SameFile(now, have) {
		return false, nil
	}
	if err := r.drain(ctx); err != nil {
		return false, err
	}
	f, err := os.Open(r.successor(have))
	if err != nil {
		return false, fmt.Errorf("following the log into its next file: %w", err)
	}
	_ = r.file.Close()
	r.file, r.lines, r.begun = f, bufio.NewReaderSize(f, 64<<10), nil
	return true, nil
}

// successor is the file that was begun after the one given: a rotated one where the reader is that far behind.
func (r *reader) successor(have os.FileInfo) string {
	files, err := Rotated(r.path)
	if err != nil {
		return r.path
	}
	for i, name := range files {
		info, err := os.Stat(name)
		if err == nil && os.SameFile(info, have) && i+1 < len(files) {
			return files[i+1]
		}
	}
	return r.path
}

// open opens a rotated file, unpacking it where it is compressed.
func open(name string) (io.ReadCloser, error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) && !strings.HasSuffix(name, compressedSuffix) {
		name += compressedSuffix // compressed since it was listed
		f, err = os.Open(name)
	}
	if err != nil {
		return nil, fmt.Errorf("opening a rotated log: %w", err)
	}
	if !strings.HasSuffix(name, compressedSuffix) {
		return f, nil
	}
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("unpacking %s: %w", name, err)
	}
	return struct {
		io.Reader
		io.Closer
	}{unzipped, f}, nil
}
