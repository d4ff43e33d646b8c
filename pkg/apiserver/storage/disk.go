package storage

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// spare is how many bytes must be free on the disk of an etcd in this process for it to take a write: a segment of its
// log, which it reserves when the one before is full, and what its database grows by until it is next flushed. An etcd
// that cannot write what it has taken ends its process, and then nobody can read either.
const spare = 80 << 20

// room says why a disk takes no further writes.
func room(dir string) error {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return fmt.Errorf("asking for the room in %s: %w", dir, err)
	}
	if free := s.Bavail * uint64(s.Bsize); free < spare {
		return fmt.Errorf("the disk of %s is full: of the %d MiB that a write may need %d are left", dir, spare>>20, free>>20)
	}
	return nil
}
