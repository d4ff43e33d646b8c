package source

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	corev1 "k8s.io/api/core/v1"
)

// settle is how long a directory is left alone after a change, so that a file which is being written is
// read once.
const settle = 100 * time.Millisecond

// followFiles tells the static pods of the path, now and whenever they change.
func (s *Source) followFiles(ctx context.Context) {
	files := &files{path: s.config.StaticPath, good: map[string]*corev1.Pod{}, source: s}
	var events <-chan fsnotify.Event
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer func() { _ = watcher.Close() }()
		events = watcher.Events
	} else {
		s.config.Log.Error(err, "Changes of static pods are seen late: the system does not tell of changed files", "every", s.config.FileCheck.String())
	}
	ticker := s.config.Clock.NewTicker(s.config.FileCheck)
	defer ticker.Stop()
	for {
		if watcher != nil {
			// Adding what is watched already changes nothing, and a directory may have been made anew. Of a
			// single file the directory is watched: editors replace files.
			_ = watcher.Add(files.directory())
		}
		if pods, err := files.read(); err != nil {
			s.config.Log.Error(err, "Static pods stay as they are: they cannot be read", "path", files.path)
		} else {
			s.setStatic(ctx, fileSource, pods)
		}
		if !files.await(ctx, events, ticker.C()) {
			return
		}
	}
}

// files is a path of static pods.
type files struct {
	source *Source
	path   string
	good   map[string]*corev1.Pod // the last pod of each file that could be read
	said   string                 // the last complaint, not to be repeated at each look
}

func (f *files) directory() string {
	if info, err := os.Stat(f.path); err == nil && info.IsDir() {
		return f.path
	}
	return filepath.Dir(f.path)
}

// await returns when it is time to look again; false means that ctx ended.
func (f *files) await(ctx context.Context, events <-chan fsnotify.Event, tick <-chan time.Time) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick:
			return true
		case e, ok := <-events:
			if !ok {
				events = nil
			} else if f.concerns(e.Name) {
				return f.drain(ctx, events)
			}
		}
	}
}

func (f *files) concerns(name string) bool {
	return filepath.Clean(name) == filepath.Clean(f.path) ||
		filepath.Dir(name) == filepath.Clean(f.path) && !strings.HasPrefix(filepath.Base(name), ".")
}

// drain waits until nothing more happens for a moment.
func (f *files) drain(ctx context.Context, events <-chan fsnotify.Event) bool {
	timer := f.source.config.Clock.NewTimer(settle)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C():
			return true
		case _, ok := <-events:
			if !ok {
				return true
			}
		}
	}
}

// read answers the pods of all files. A file that cannot be understood keeps the pod that it held before:
// half a file must not take a control plane down.
func (f *files) read() ([]*corev1.Pod, error) {
	names, err := f.list()
	if err != nil {
		return nil, err
	}
	var complaints []string
	found := map[string]*corev1.Pod{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var pod *corev1.Pod
		if err == nil {
			pod, err = f.source.decode(data, fileSource, name)
		}
		if err != nil {
			complaints = append(complaints, err.Error())
			pod = f.good[name]
		}
		if pod != nil {
			found[name] = pod
		}
	}
	f.good = found
	if said := strings.Join(complaints, "; "); said != f.said {
		f.said = said
		if said != "" {
			f.source.config.Log.Error(errors.New(said), "Some static pods cannot be read; repair their files")
		}
	}
	return unique(found), nil
}

// list names the files to read. A path that does not exist holds no pods.
func (f *files) list() ([]string, error) {
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{f.path}, nil
	}
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name := filepath.Join(f.path, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			names = append(names, name)
		}
	}
	return names, nil
}

// unique takes, of pods with the same name or UID, the one of the first file.
func unique(found map[string]*corev1.Pod) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, file := range slices.Sorted(maps.Keys(found)) {
		p := found[file]
		if !slices.ContainsFunc(pods, func(o *corev1.Pod) bool {
			return o.UID == p.UID || o.Namespace == p.Namespace && o.Name == p.Name
		}) {
			pods = append(pods, p)
		}
	}
	return pods
}
