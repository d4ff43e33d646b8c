package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// closure returns the files that a program needs to run: its loader and all shared libraries that it and
// they name, sorted. A static program needs none. What a program opens later by itself is not found.
func closure(program string) ([]string, error) {
	search, err := searchPath("/etc/ld.so.conf")
	if err != nil {
		return nil, err
	}
	first, err := readNeeds(program)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	if first.loader != "" {
		found[first.loader] = true
	}
	for queue := []needs{first}; len(queue) > 0; queue = queue[1:] {
		user := queue[0]
		for _, library := range user.libraries {
			file, err := locate(library, slices.Concat(user.runpath, search), user.machine)
			if err != nil {
				return nil, fmt.Errorf("%s needs %s: %w", user.file, library, err)
			}
			if filepath.Base(file) == filepath.Base(first.loader) || found[file] {
				continue // the loader is itself a library, and lies where the program says
			}
			found[file] = true
			next, err := readNeeds(file)
			if err != nil {
				return nil, err
			}
			queue = append(queue, next)
		}
	}
	files := make([]string, 0, len(found))
	for f := range found {
		files = append(files, f)
	}
	slices.Sort(files)
	return files, nil
}

// needs is what a program or library says about what it must be loaded with.
type needs struct {
	file, loader       string
	machine            elf.Machine
	libraries, runpath []string
}

func readNeeds(file string) (needs, error) {
	f, err := elf.Open(file)
	if err != nil {
		return needs{}, fmt.Errorf("reading %s: %w", file, err)
	}
	defer f.Close()
	n := needs{file: file, machine: f.Machine}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			name := make([]byte, p.Filesz)
			if _, err := p.ReadAt(name, 0); err != nil {
				return needs{}, fmt.Errorf("reading the loader's name in %s: %w", file, err)
			}
			n.loader = strings.TrimRight(string(name), "\x00")
		}
	}
	// A file without a dynamic section is static: it needs nothing.
	if n.libraries, err = f.ImportedLibraries(); err != nil {
		return needs{}, fmt.Errorf("reading the libraries of %s: %w", file, err)
	}
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		paths, err := f.DynString(tag)
		if err != nil {
			return needs{}, fmt.Errorf("reading the search path of %s: %w", file, err)
		}
		for _, p := range paths {
			n.runpath = append(n.runpath, strings.Split(strings.ReplaceAll(p, "$ORIGIN", filepath.Dir(file)), ":")...)
		}
	}
	return n, nil
}

// locate finds a library of the right machine: folders of several architectures may be searched.
func locate(library string, search []string, machine elf.Machine) (string, error) {
	for _, dir := range search {
		// The loader in the image searches real folders: there, /lib is not a link to /usr/lib.
		real, err := filepath.EvalSymlinks(dir)
		if err != nil {
			continue
		}
		file := filepath.Join(real, library)
		f, err := elf.Open(file)
		if err != nil {
			continue
		}
		f.Close()
		if f.Machine == machine {
			return file, nil
		}
	}
	return "", fmt.Errorf("not found in %s", strings.Join(search, ", "))
}

// searchPath returns the folders that the loader searches: those in its configuration, which may include
// other files, and those that it knows by itself.
func searchPath(config string) ([]string, error) {
	dirs, err := configured(config, 0)
	if err != nil {
		return nil, err
	}
	return append(dirs, "/lib64", "/usr/lib64", "/lib", "/usr/lib"), nil
}

func configured(config string, depth int) ([]string, error) {
	if depth > 8 {
		return nil, fmt.Errorf("%s: files that include files nine deep: is there a circle?", config)
	}
	content, err := os.ReadFile(config)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var dirs []string
	for line := range strings.Lines(string(content)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
		case fields[0] != "include":
			dirs = append(dirs, fields[0])
		default:
			for _, pattern := range fields[1:] {
				if !filepath.IsAbs(pattern) {
					pattern = filepath.Join(filepath.Dir(config), pattern)
				}
				included, err := filepath.Glob(pattern) // sorted
				if err != nil {
					return nil, fmt.Errorf("%s: %w", config, err)
				}
				for _, file := range included {
					more, err := configured(file, depth+1)
					if err != nil {
						return nil, err
					}
					dirs = append(dirs, more...)
				}
			}
		}
	}
	return dirs, nil
}
