package containerd

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/sampan-project/sampan/pkg/bootstrap/host"
)

// Archive is a file with an image.
type Archive struct {
	ID     string // the file's name without its ending
	File   string
	Name   string // the image's
	Digest string
}

// Archives reads which images the files *.tar of a directory hold.
func Archives(dir string) ([]Archive, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.tar"))
	if err != nil {
		return nil, err
	}
	var list []Archive
	for _, f := range files {
		a, err := readArchive(f)
		if err != nil {
			return nil, fmt.Errorf("%s is no image archive: %w", f, err)
		}
		list = append(list, a)
	}
	return list, nil
}

// nameAnnotations say in an OCI layout's index what an image is called.
var nameAnnotations = []string{"io.containerd.image.name", "org.opencontainers.image.ref.name"}

func readArchive(file string) (Archive, error) {
	a := Archive{ID: strings.TrimSuffix(filepath.Base(file), ".tar"), File: file}
	f, err := os.Open(file)
	if err != nil {
		return a, err
	}
	defer func() { _ = f.Close() }()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return a, errors.New("it holds no index.json")
		}
		if err != nil {
			return a, err
		}
		if h.Name != "index.json" {
			continue
		}
		var index struct {
			Manifests []struct {
				Digest      string            `json:"digest"`
				Annotations map[string]string `json:"annotations"`
			} `json:"manifests"`
		}
		if err := json.NewDecoder(r).Decode(&index); err != nil {
			return a, err
		}
		for _, m := range index.Manifests {
			for _, key := range nameAnnotations {
				if name := m.Annotations[key]; name != "" {
					a.Name, a.Digest = name, m.Digest
					return a, nil
				}
			}
		}
		return a, errors.New("its index.json names no image")
	}
}

// Store is containerd's namespace of a cluster, reached by ctr.
type Store struct{ Socket string }

func (s Store) ctr(ctx context.Context, args ...string) (string, error) {
	ctr := host.Program("ctr")
	if ctr == "" {
		return "", errors.New("ctr is missing, which comes with containerd: apt-get install containerd")
	}
	return host.Run(ctx, ctr, append([]string{"--address", s.Socket, "--namespace", "k8s.io"}, args...)...)
}

// Images answers names and digests of the images.
func (s Store) Images(ctx context.Context) (map[string]string, error) {
	out, err := s.ctr(ctx, "images", "list")
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 2 && f[0] != "REF" {
			found[f[0]] = f[2]
		}
	}
	return found, nil
}

// Import brings the archives' images in, but those that are there. The pause image gets the name that the
// runtime asks for too.
func (s Store) Import(ctx context.Context, archives []Archive, sandbox string, say func(string, ...any)) error {
	have, err := s.Images(ctx)
	if err != nil {
		return err
	}
	for _, a := range archives {
		if have[a.Name] != a.Digest {
			if _, err := s.ctr(ctx, "images", "import", "--snapshotter", "overlayfs", a.File); err != nil {
				return fmt.Errorf("importing the image %s: %w", a.Name, err)
			}
			say("imported %s", a.Name)
		}
		if a.ID == "pause" && sandbox != "" && sandbox != a.Name && have[sandbox] != a.Digest {
			if _, err := s.ctr(ctx, "images", "tag", "--force", a.Name, sandbox); err != nil {
				return fmt.Errorf("naming the image %s as the runtime asks for it: %w", a.Name, err)
			}
			say("%s is named %s, too, which containerd is configured for", a.Name, sandbox)
		}
	}
	return nil
}

// Empty removes all tasks, containers, images and content of the namespace, and the namespace.
func (s Store) Empty(ctx context.Context) (removed int, err error) {
	for _, kind := range []struct{ what, remove []string }{
		{[]string{"tasks", "list", "-q"}, []string{"tasks", "delete", "--force"}},
		{[]string{"containers", "list", "-q"}, []string{"containers", "delete"}},
		{[]string{"images", "list", "-q"}, []string{"images", "delete", "--sync"}},
		{[]string{"leases", "list", "-q"}, []string{"leases", "delete", "--sync"}},
		{[]string{"snapshots", "list"}, []string{"snapshots", "delete"}},
		{[]string{"content", "list", "-q"}, []string{"content", "delete"}},
	} {
		n, e := s.empty(ctx, kind.what, kind.remove)
		removed, err = removed+n, errors.Join(err, e)
	}
	if _, e := s.ctr(ctx, "namespaces", "remove", "k8s.io"); e != nil && !strings.Contains(e.Error(), "not found") {
		err = errors.Join(err, e)
	}
	return removed, err
}

// empty removes what a listing names. Snapshots lie on one another: a pass that removes some makes way for
// the next.
func (s Store) empty(ctx context.Context, list, remove []string) (removed int, err error) {
	for {
		out, err := s.ctr(ctx, list...)
		if err != nil {
			return removed, err
		}
		done := 0
		var last error
		for line := range strings.Lines(out) {
			f := strings.Fields(line)
			if len(f) == 0 || f[0] == "KEY" {
				continue
			}
			if _, e := s.ctr(ctx, append(remove, f[0])...); e != nil {
				last = e
			} else {
				done++
			}
		}
		removed += done
		if done == 0 || last == nil {
			return removed, last
		}
	}
}
