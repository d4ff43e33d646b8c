package watchcheck

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// disk is a file system in memory, which nothing but a descriptor of this process leads to: it goes with the process.
type disk struct{ path string }

// smallDisk makes one of so many MiB.
func smallDisk(t *testing.T, mib int64) disk {
	t.Helper()
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err == nil {
		defer func() { _ = unix.Close(fs) }()
		err = unix.FsconfigSetString(fs, "size", fmt.Sprintf("%dm", mib))
	}
	if err == nil {
		err = unix.FsconfigCreate(fs)
	}
	var mount int
	if err == nil {
		mount, err = unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	}
	if err != nil {
		t.Fatalf("making a small disk, which needs root: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(mount) })
	return disk{fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), mount)}
}

// fill takes what is there of room but for some MiB. free gives it back.
func (d disk) fill(t *testing.T, leave int64) {
	t.Helper()
	f, err := os.Create(d.path + "/filling")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for taken := int64(0); ; {
		var s unix.Statfs_t
		if err := unix.Fstatfs(int(f.Fd()), &s); err != nil {
			t.Fatal(err)
		}
		more := int64(s.Bavail)*s.Bsize - leave<<20
		if more <= 0 {
			return
		}
		switch err := unix.Fallocate(int(f.Fd()), 0, taken, more); {
		case err == nil:
			taken += more
		case !errors.Is(err, unix.ENOSPC): // others have taken some of it meanwhile
			t.Fatal(err)
		}
	}
}

func (d disk) free(t *testing.T) {
	t.Helper()
	if err := os.Remove(d.path + "/filling"); err != nil {
		t.Fatal(err)
	}
}

// TestAFullDiskRefusesWritesAndLosesNothing fills the disk of an etcd under load, which has it end.
func TestAFullDiskRefusesWritesAndLosesNothing(t *testing.T) {
	d := smallDisk(t, 256)
	etcd := startEtcd(t, "--data-dir="+d.path+"/etcd")
	h := Follow(t.Context(), etcd.Client)
	f := startFleet(t, 1, "--etcd-servers="+etcd.url)
	f.furnish(t)
	l := f.startLoad(t, 20, 100)
	l.goOn(t, 50)
	d.fill(t, 0)
	f.fillUp(t, l.ledger)
	f.answered(t, "with a full disk",
		ask{method: http.MethodPost, path: wide, media: formatJSON, object: Object("configmaps", "wide", "one-more", "", "red", ""), within: patience},
		ask{method: http.MethodGet, path: wide, within: patience},
		ask{method: http.MethodGet, path: wide + "?resourceVersion=0", code: http.StatusOK},
	)
	_ = etcd.cmd.Wait() // it has given up
	d.free(t)
	etcd.start(t)
	l.goOn(t, 100)
	l.end()
	judgeLedger(t, h, l.ledger, etcd.Client)
}

// TestAFullDiskIsStillRead fills the disk of a server with an etcd of its own, which must not end for that.
func TestAFullDiskIsStillRead(t *testing.T) {
	d := smallDisk(t, 320)
	url := fmt.Sprintf("127.0.0.1:%d", port(t))
	f := startFleet(t, 1, "--data-dir="+d.path+"/etcd", "--etcd-listen="+url)
	etcd := dialEtcd(t, "http://"+url)
	h := Follow(t.Context(), etcd)
	f.furnish(t)
	l := f.startLoad(t, 20, 100)
	l.goOn(t, 50)
	d.fill(t, 40) // a disk fills up slowly, beside a file that is filled in a moment
	f.fillUp(t, l.ledger)
	full := []ask{
		{method: http.MethodPost, path: wide, media: formatJSON, object: Object("configmaps", "wide", "one-more", "", "red", "")},
		{method: http.MethodPost, path: "/api/v1/namespaces/wide/events", media: formatJSON, object: Object("events", "wide", "event", "", "red", "")},
		{method: http.MethodGet, path: wide, code: http.StatusOK},
		{method: http.MethodGet, path: "/readyz", code: http.StatusOK},
	}
	f.answered(t, "with a full disk", full...)
	readyInTime(t, f.restart(t, 0, syscall.SIGKILL))
	f.answered(t, "with a full disk, after a restart", full...)
	d.free(t)
	l.goOn(t, 100)
	l.end()
	judgeLedger(t, h, l.ledger, etcd)
}
