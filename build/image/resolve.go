package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// entry is a file of a layer with all that is known about it.
type entry struct {
	to, from, link string
	mode           int64
	folder         bool
}

// resolve turns the declaration of an image into the files of its layer: programs are found in bin, those of
// the machine get their libraries, and folders that lead to a file are added.
func resolve(i Image, bin string) ([]entry, error) {
	var all []entry
	for _, f := range i.Files {
		e := entry{to: f.To, from: f.From, link: f.Link, mode: f.Mode, folder: f.Folder}
		e.mode = cmp.Or(e.mode, 0o755)
		if e.from != "" && !filepath.IsAbs(e.from) {
			e.from = filepath.Join(bin, e.from)
		}
		if err := present(e.from); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	for _, p := range i.HostPrograms {
		found, err := hostProgram(p)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return withFolders(all)
}

func present(file string) error {
	if file == "" {
		return nil
	}
	_, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: make it first, as with make images", err)
	}
	return err
}

// hostProgram finds a program of this machine, what it loads and the names it is also called by.
func hostProgram(p HostProgram) ([]entry, error) {
	file, err := look(p.Name)
	if err != nil {
		return nil, fmt.Errorf("%w: install it, on Debian with apt install %s", err, p.Package)
	}
	to := p.To
	to = cmp.Or(to, file)
	found := []entry{{to: to, from: file, mode: 0o755}}
	libraries, err := loaded(file, p.Plugins)
	if err != nil {
		return nil, err
	}
	for _, l := range libraries {
		found = append(found, entry{to: l, from: l, mode: 0o755})
	}
	aliases, err := p.aliases(file)
	if err != nil {
		return nil, err
	}
	for _, name := range aliases {
		if link := path.Join(path.Dir(to), name); link != to {
			found = append(found, entry{to: link, link: path.Base(to), mode: 0o777})
		}
	}
	return found, nil
}

// loaded returns the libraries that a program loads at its start, its plugins, and what those load.
func loaded(program, plugins string) ([]string, error) {
	libraries, err := closure(program)
	if err != nil || plugins == "" {
		return libraries, err
	}
	found, err := filepath.Glob(plugins)
	if err != nil {
		return nil, fmt.Errorf("the pattern of plugins of %s: %w", program, err)
	}
	for _, plugin := range found {
		more, err := closure(plugin)
		if err != nil {
			return nil, err
		}
		libraries = append(append(libraries, plugin), more...)
	}
	return libraries, nil
}

func (p HostProgram) aliases(file string) ([]string, error) {
	if len(p.AskAliases) == 0 {
		return p.Aliases, nil
	}
	out, err := exec.Command(file, p.AskAliases...).Output()
	if err != nil {
		return nil, fmt.Errorf("asking %s for its names: %w", file, err)
	}
	return append(slices.Clone(p.Aliases), strings.Fields(string(out))...), nil
}

// look finds a program in PATH and where programs of root lie, which is not in everyone's PATH.
func look(program string) (string, error) {
	file, err := exec.LookPath(program)
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if err == nil {
			break
		}
		if found, elsewhere := exec.LookPath(filepath.Join(dir, program)); elsewhere == nil {
			file, err = found, nil
		}
	}
	if err != nil {
		return "", err
	}
	// Where /bin is a link to /usr/bin the program lies in the image as it does on the machine.
	dir, err := filepath.EvalSymlinks(filepath.Dir(file))
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, filepath.Base(file)), nil
}

// withFolders adds the folders that lead to the entries, and refuses two different entries for one path.
func withFolders(all []entry) ([]entry, error) {
	by := map[string]entry{}
	for _, e := range all {
		if !path.IsAbs(e.to) || path.Clean(e.to) != e.to {
			return nil, fmt.Errorf("the path %q in the image is not absolute and clean", e.to)
		}
		if other, ok := by[e.to]; ok && other != e {
			return nil, fmt.Errorf("%s is declared twice, from %q and %q", e.to, other.from, e.from)
		}
		by[e.to] = e
	}
	for _, e := range all {
		for dir := path.Dir(e.to); dir != "/"; dir = path.Dir(dir) {
			if above, ok := by[dir]; !ok {
				by[dir] = entry{to: dir, mode: 0o755, folder: true}
			} else if !above.folder {
				return nil, fmt.Errorf("%s lies under %s, which is a file", e.to, dir)
			}
		}
	}
	complete := make([]entry, 0, len(by))
	for _, e := range by {
		complete = append(complete, e)
	}
	return complete, nil
}
