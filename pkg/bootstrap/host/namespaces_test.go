package host

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNamespacesAreRemovedBeneathOtherMounts in a copy of what is mounted, which goes with the thread.
func TestNamespacesAreRemovedBeneathOtherMounts(t *testing.T) {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Fatalf("run this as root: %v", err)
	}
	mount := func(source, target, kind string, flags uintptr) {
		t.Helper()
		if err := unix.Mount(source, target, kind, flags, ""); err != nil {
			t.Fatalf("mounting %s at %s: %v", source, target, err)
		}
	}
	mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE)
	for name, cover := range map[string]func(run, dir string){
		"nothing":                 func(string, string) {},
		"the directory":           func(_, dir string) { mount(dir, dir, "", unix.MS_BIND) },
		"the directory, as of ip": func(_, dir string) { mount(dir, dir, "", unix.MS_BIND|unix.MS_REC); mount("", dir, "", unix.MS_SHARED) },
		"the directory, twice":    func(_, dir string) { mount(dir, dir, "", unix.MS_BIND); mount(dir, dir, "", unix.MS_BIND|unix.MS_REC) },
		"an empty one":            func(_, dir string) { mount("tmpfs", dir, "tmpfs", 0) },
		"all above":               func(run, _ string) { mount("tmpfs", run, "tmpfs", 0) },
	} {
		run := t.TempDir()
		dir := filepath.Join(run, "netns")
		file, other := filepath.Join(dir, "cni-1"), filepath.Join(dir, "mine")
		mount("tmpfs", run, "tmpfs", 0)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{file, other} {
			if err := os.WriteFile(f, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			mount("/proc/thread-self/ns/net", f, "", unix.MS_BIND)
		}
		cover(run, dir)
		before, _ := MountsUnder(nil, []string{other, dir, run})
		if found, err := MountsUnder(nil, []string{file}); err != nil || len(found) == 0 {
			t.Errorf("beneath %s it is not seen: %v", name, err)
		}
		for range 2 { // it may have gone meanwhile
			if err := RemoveNamespace(file); err != nil {
				t.Errorf("beneath %s: %v", name, err)
			}
		}
		if found, err := MountsUnder(nil, []string{file}); err != nil || len(found) > 0 {
			t.Errorf("beneath %s %v are left: %v", name, found, err)
		}
		if after, _ := MountsUnder(nil, []string{other, dir, run}); len(after) != len(before) {
			t.Errorf("beneath %s %v are left of %v, which are others'", name, after, before)
		}
		for unix.Unmount(run, unix.MNT_DETACH) == nil {
		}
	}
}
