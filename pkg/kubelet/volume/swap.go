package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	current = "..data"     // leads to the directory with the content
	next    = "..data_tmp" // renamed over current: that is the moment of change
)

// swap makes p the content of dir, all at once: whoever reads through ..data sees the old files or the
// new, never some of each.
//
//	dir/..2026_01_02_15_04_05.123   the content
//	dir/..data                      -> ..2026_01_02_15_04_05.123
//	dir/name                        -> ..data/name, for the first element of each path
//
// prepare is called before the change, when the new files lie there.
func swap(dir string, p payload, now time.Time, prepare func() error) error {
	p, err := p.normal()
	if err != nil {
		return err
	}
	old, err := os.Readlink(filepath.Join(dir, current))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the volume's present state: %w", err)
	}
	if old != "" && p.sameAs(filepath.Join(dir, old)) {
		return p.show(dir, old) // which an earlier change may not have come to
	}
	fresh, err := os.MkdirTemp(dir, now.UTC().Format("..2006_01_02_15_04_05."))
	if err != nil {
		return fmt.Errorf("making a directory for the volume's content: %w", err)
	}
	if err := errors.Join(p.write(fresh), prepare()); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	if err := point(dir, filepath.Base(fresh)); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	return p.show(dir, filepath.Base(fresh))
}

// point makes ..data lead to the directory name.
func point(dir, name string) error {
	if err := os.Remove(filepath.Join(dir, next)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing what an interrupted change left: %w", err)
	}
	if err := os.Symlink(name, filepath.Join(dir, next)); err != nil {
		return fmt.Errorf("changing the volume's content: %w", err)
	}
	if err := os.Rename(filepath.Join(dir, next), filepath.Join(dir, current)); err != nil {
		return fmt.Errorf("changing the volume's content: %w", err)
	}
	return nil
}

// normal is p with paths as they are on disk. It refuses those that would lead out of the volume or into
// its bookkeeping.
func (p payload) normal() (payload, error) {
	out := payload{}
	for path, f := range p {
		switch {
		case path == "":
			return nil, errors.New("invalid path: must not be empty")
		case filepath.IsAbs(path):
			return nil, fmt.Errorf("invalid path: must be relative path: %s", path)
		case len(path) > 4096:
			return nil, fmt.Errorf("invalid path: must be less than or equal to %d characters", 4096)
		case slices.Contains(strings.Split(path, "/"), ".."):
			return nil, fmt.Errorf("invalid path: must not contain '..': %s", path)
		case strings.HasPrefix(path, ".."):
			return nil, fmt.Errorf("invalid path: must not start with '..': %s", path)
		}
		out[filepath.Clean(path)] = f
	}
	return out, nil
}

// sameAs tells whether dir holds exactly p.
func (p payload) sameAs(dir string) bool {
	found := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		want, has := p[relative]
		have, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !has || !bytes.Equal(have, want.data) {
			return errors.New("differs")
		}
		found++
		return nil
	})
	return err == nil && found == len(p)
}

func (p payload) write(dir string) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return fmt.Errorf("writing the volume's content: %w", err)
	}
	for path, f := range p {
		full := filepath.Join(dir, path)
		if err := makeParents(dir, filepath.Dir(path)); err != nil {
			return fmt.Errorf("writing the volume's content: %w", err)
		}
		if err := f.write(full); err != nil {
			return fmt.Errorf("writing the volume's content: %w", err)
		}
	}
	return nil
}

// makeParents makes the directories of relative below dir, whatever the umask is.
func makeParents(dir, relative string) error {
	for name := range strings.SplitSeq(relative, "/") {
		dir = filepath.Join(dir, name)
		if err := os.Mkdir(dir, 0o755); errors.Is(err, fs.ErrExist) {
			continue
		} else if err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func (f file) write(path string) error {
	if err := os.WriteFile(path, f.data, 0o600); err != nil {
		return err
	}
	if f.uid != nil {
		if err := os.Chown(path, int(*f.uid), -1); err != nil {
			return err
		}
	}
	return os.Chmod(path, permissions(f.mode)) // after chown, which clears some of them
}

// permissions translates the API's mode to Go's.
func permissions(mode int32) fs.FileMode {
	m := fs.FileMode(mode) & fs.ModePerm
	for bit, flag := range map[int32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if mode&bit != 0 {
			m |= flag
		}
	}
	return m
}

// names are the first elements of p's paths: what is seen in the volume.
func (p payload) names() map[string]bool {
	all := map[string]bool{}
	for path := range p {
		first, _, _ := strings.Cut(path, "/")
		all[first] = true
	}
	return all
}

// show makes the volume look as p says, with the content in the directory named content.
func (p payload) show(dir, content string) error {
	if err := p.link(dir); err != nil {
		return err
	}
	return p.clean(dir, content)
}

// link makes the names that are seen in the volume.
func (p payload) link(dir string) error {
	for name := range p.names() {
		path := filepath.Join(dir, name)
		if _, err := os.Readlink(path); err == nil {
			continue
		}
		if err := os.Symlink(filepath.Join(current, name), path); err != nil {
			return fmt.Errorf("showing %s in the volume: %w", name, err)
		}
	}
	return nil
}

// clean removes names that are no longer there and every directory but the one named keep.
func (p payload) clean(dir, keep string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("cleaning the volume: %w", err)
	}
	names := p.names()
	for _, e := range entries {
		if e.Name() == current || e.Name() == keep || names[e.Name()] {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("cleaning the volume: %w", err)
		}
	}
	return nil
}
