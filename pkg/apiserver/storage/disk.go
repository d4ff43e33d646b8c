package storage

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/sys/unix"
)

// What must be free on the disk of an etcd in this process, in bytes, for it to take a write. An etcd that cannot write
// what it has taken ends its process, and then nobody can read either.
const (
	// spare is for any write: a segment of etcd's log, which it reserves when the one before is full, and what its
	// database grows by until it is next flushed.
	spare = 80 << 20
	// reserve is for deletions, without which nobody gets room back. The segment after the present one was reserved while
	// there was room, and holds more than a hundred thousand of them; the database alone grows. Leases, which are written
	// for ever, would use that segment up.
	reserve = 16 << 20
)

type deletionKey struct{}

// ForDeletion marks what is written with the context as a step on the way to an object's deletion: it may take the room
// that is kept for deletions.
func ForDeletion(ctx context.Context) context.Context {
	return context.WithValue(ctx, deletionKey{}, true)
}

// IsForDeletion says whether a context is so marked.
func IsForDeletion(ctx context.Context) bool { return ctx.Value(deletionKey{}) != nil }

// room says why the disk does not take a write.
func (p *inProcess) room(ctx context.Context, r *etcdserverpb.TxnRequest) error {
	free, err := p.free()
	if err != nil {
		return err
	}
	need, what := uint64(spare), "write"
	if IsForDeletion(ctx) || len(r.GetSuccess()) == 1 && r.Success[0].GetRequestDeleteRange() != nil {
		need, what = reserve, "deletion"
	}
	if free < need {
		return fmt.Errorf("the disk of %s is full: of the %d MiB that a %s may need %d are left", p.dir, need>>20, what, free>>20)
	}
	return nil
}

// freeOn asks how many bytes are free where a directory is.
func freeOn(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("asking for the room in %s: %w", dir, err)
	}
	return s.Bavail * uint64(s.Bsize), nil
}
