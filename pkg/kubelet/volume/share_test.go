package volume

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMountsBelowRootAreShared(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("mounting needs root: run the tests as root, as make test does")
	}
	private := t.TempDir()
	if err := unix.Mount("tmpfs", private, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(private, 0); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Mount("", private, "", unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	m := New(Config{Root: filepath.Join(private, "pods")})
	t.Cleanup(func() { _ = unix.Unmount(m.Root, 0) })
	for range 2 {
		if err := m.ShareRoot(); err != nil {
			t.Fatal(err)
		}
		if shared, err := isShared(m.Root); err != nil || !shared {
			t.Errorf("%v, %v", shared, err)
		}
	}
	if shared, err := isShared(private); err != nil || shared {
		t.Errorf("what lies around it: %v, %v", shared, err)
	}
	if err := unix.Unmount(m.Root, 0); err != nil {
		t.Fatal(err)
	}
	if shared, err := isShared(m.Root); err != nil || shared {
		t.Errorf("it was mounted twice: %v, %v", shared, err)
	}
}
