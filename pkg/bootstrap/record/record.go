// Package record keeps, on disk, what init and join found on a machine before they changed it, so that reset
// can put it back. It is written before each change, so that a machine that stops in the middle can be reset.
package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sampan-project/sampan/pkg/bootstrap/layout"
)

// Record is what was found.
type Record struct {
	Made       []string          `json:"made,omitempty"`    // paths where nothing was
	Saved      map[string]string `json:"saved,omitempty"`   // files that were changed, and where their old content is
	Sysctls    map[string]string `json:"sysctls,omitempty"` // kernel settings and their old values
	Tables     []string          `json:"tables"`            // nftables' tables; null before they were listed
	Links      []string          `json:"links,omitempty"`   // network interfaces
	Units      []string          `json:"units,omitempty"`   // units that were written
	Enabled    []string          `json:"enabled,omitempty"` // units that were enabled or started
	Supervised bool              `json:"supervised,omitempty"`
	Containerd bool              `json:"containerd,omitempty"` // containerd did not run
	NodeName   string            `json:"nodeName,omitempty"`
	Socket     string            `json:"socket,omitempty"`
	CgroupRoot string            `json:"cgroupRoot,omitempty"`
	PodCIDR    string            `json:"podCIDR,omitempty"`
	DataDir    string            `json:"dataDir,omitempty"`
	CertDir    string            `json:"certDir,omitempty"`
	CNIFiles   []string          `json:"cniFiles,omitempty"` // of a pod network, made by us
	// Namespaces are pods' network namespaces that a reset could not remove when it still knew whose they were.
	Namespaces []string `json:"namespaces,omitempty"`

	layout layout.Layout
}

// Open reads the record; an empty one where there is none.
func Open(l layout.Layout) (*Record, error) {
	r := &Record{layout: l}
	data, err := os.ReadFile(l.On(layout.RecordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what this machine was like before: %w", err)
	}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s is damaged (remove it to reset without it): %w", l.On(layout.RecordFile), err)
	}
	return r, nil
}

// Exists tells whether this machine was changed by init or join.
func Exists(l layout.Layout) bool {
	_, err := os.Stat(l.On(layout.RecordFile))
	return err == nil
}

// Write keeps the record.
func (r *Record) Write() error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	file := r.layout.On(layout.RecordFile)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("keeping what this machine was like before: %w", err)
	}
	if err := os.WriteFile(file+".new", data, 0o600); err != nil {
		return fmt.Errorf("keeping what this machine was like before: %w", err)
	}
	return os.Rename(file+".new", file)
}

// Claim notes which of the paths do not exist yet: with each the highest directory that is missing.
func (r *Record) Claim(paths ...string) {
	for _, p := range paths {
		missing := ""
		for at := p; at != "/" && at != "."; at = filepath.Dir(at) {
			if _, err := os.Lstat(r.layout.On(at)); err == nil {
				break
			}
			missing = at
		}
		if missing != "" && !slices.Contains(r.Made, missing) {
			r.Made = append(r.Made, missing)
		}
	}
}

// Ours tells whether nothing was at the path before.
func (r *Record) Ours(path string) bool {
	return slices.ContainsFunc(r.Made, func(m string) bool { return path == m || strings.HasPrefix(path, m+"/") })
}

// Save keeps a file's content before it is changed, once.
func (r *Record) Save(path string) error {
	if _, ok := r.Saved[path]; ok || r.Ours(path) {
		return nil
	}
	data, err := os.ReadFile(r.layout.On(path))
	if errors.Is(err, fs.ErrNotExist) {
		r.Claim(path)
		return r.Write()
	}
	if err != nil {
		return fmt.Errorf("keeping %s as it is: %w", path, err)
	}
	kept := filepath.Join(layout.StateDir, "saved", strings.ReplaceAll(strings.Trim(path, "/"), "/", "-"))
	if err := os.MkdirAll(filepath.Dir(r.layout.On(kept)), 0o700); err != nil {
		return fmt.Errorf("keeping %s as it is: %w", path, err)
	}
	if err := os.WriteFile(r.layout.On(kept), data, 0o600); err != nil {
		return fmt.Errorf("keeping %s as it is: %w", path, err)
	}
	if r.Saved == nil {
		r.Saved = map[string]string{}
	}
	r.Saved[path] = kept
	return r.Write()
}

// Restore puts the saved files back.
func (r *Record) Restore() (restored []string, err error) {
	for path, kept := range r.Saved {
		data, readErr := os.ReadFile(r.layout.On(kept))
		if readErr == nil {
			readErr = os.WriteFile(r.layout.On(path), data, 0o644)
		}
		if readErr != nil {
			err = errors.Join(err, fmt.Errorf("putting %s back: %w", path, readErr))
			continue
		}
		restored = append(restored, path)
	}
	slices.Sort(restored)
	return restored, err
}

// Remove removes the record and what it saved, and its directory if there was none before.
func (r *Record) Remove() error {
	for _, path := range []string{filepath.Join(layout.StateDir, "saved"), layout.RecordFile} {
		if err := os.RemoveAll(r.layout.On(path)); err != nil {
			return fmt.Errorf("removing what was kept for a reset: %w", err)
		}
	}
	if !r.Ours(layout.StateDir) {
		return nil
	}
	return os.Remove(r.layout.On(layout.StateDir))
}
