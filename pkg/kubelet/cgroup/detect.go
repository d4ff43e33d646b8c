package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// detect reads the mount table: is one unified hierarchy mounted, or one for each controller?
func detect(c Config) (tree, error) {
	f, err := os.Open(c.MountInfo)
	if err != nil {
		return nil, fmt.Errorf("looking for cgroups: %w", err)
	}
	defer func() { _ = f.Close() }()
	mounts, unified := map[string]string{}, false
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		before, after, ok := strings.Cut(scanner.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		at := left[4]
		switch right[0] {
		case "cgroup2":
			if at == filepath.Clean(c.Mount) {
				unified = true
			} else if strings.HasPrefix(at, filepath.Clean(c.Mount)+"/") {
				mounts["unified"] = at // beside v1's, without controllers: the runtime makes groups there too
			}
		case "cgroup":
			if at != filepath.Clean(c.Mount) && !strings.HasPrefix(at, filepath.Clean(c.Mount)+"/") {
				continue
			}
			for controller := range strings.SplitSeq(right[2], ",") {
				if slices.Contains([]string{"rw", "ro", "xattr", "noprefix", "clone_children"}, controller) || strings.HasPrefix(controller, "release_agent=") {
					continue
				}
				mounts[controller] = at
			}
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("looking for cgroups: %w", err)
	}
	reaper := reaper{clock: c.Clock, log: c.Log}
	if unified {
		return &v2{mount: c.Mount, reaper: reaper}, nil
	}
	var missing []string
	for _, needed := range []string{"cpu", "memory"} {
		if mounts[needed] == "" {
			missing = append(missing, needed)
		}
	}
	if len(missing) > 0 {
		return nil, errors.New("pods cannot be limited: no cgroups are mounted under " + c.Mount + " for " + strings.Join(missing, " and "))
	}
	return &v1{mounts: mounts, reaper: reaper}, nil
}
