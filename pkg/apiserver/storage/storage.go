// Package storage is the one door to etcd: keys, values and revisions. It knows no kinds and no rules.
package storage

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// MaxValue is the largest value in bytes that a write may carry, as in kube-apiserver's use of etcd.
const MaxValue = 1536 << 10

// Errors by which a caller tells what happened; match them with errors.Is.
var (
	// ErrNotFound: there is no such key.
	ErrNotFound = errors.New("key not found")
	// ErrExists: the key that was to be created exists.
	ErrExists = errors.New("key exists already")
	// ErrCompacted: the revision that was asked for is no longer kept.
	ErrCompacted = errors.New("the revision has been compacted")
	// ErrFuture: the revision that was asked for has not been reached.
	ErrFuture = errors.New("the revision is in the future")
	// ErrTooLarge: the value is larger than MaxValue, or than what etcd takes.
	ErrTooLarge = errors.New("the value is too large for etcd")
)

// ConflictError says that a key was not at the revision that a write expected.
type ConflictError struct {
	// Current is what the key holds, nil where it is gone.
	Current *KeyValue
}

func (e *ConflictError) Error() string {
	if e.Current == nil {
		return "the key is gone"
	}
	return fmt.Sprintf("the key is at revision %d", e.Current.ModRevision)
}

// KeyValue is a key as it stood at a revision.
type KeyValue struct {
	Key            string
	Value          []byte
	CreateRevision int64
	ModRevision    int64
}

// Page is a part of a list, all as of Revision.
type Page struct {
	Items    []KeyValue
	Revision int64
	More     bool
}

// Event is one change of one key. Deleted events carry no value.
type Event struct {
	KeyValue
	Deleted bool
}

// Batch is what a watch delivers: all events up to and including Revision, in order. Without events it
// is progress: nothing happened up to Revision. With Err the watch is over.
type Batch struct {
	Events   []Event
	Revision int64
	Err      error
}

// Interface is a store of keys with one sequence of revisions. Etcd is the real one, Memory the fake;
// storagetest is the contract of both.
type Interface interface {
	// Get reads one key, linearizably. revision is the store's.
	Get(ctx context.Context, key string) (kv KeyValue, revision int64, err error)
	// Create writes a key that must not exist. ttl 0 is for ever; others are rounded up to seconds.
	Create(ctx context.Context, key string, value []byte, ttl time.Duration) (revision int64, err error)
	// Update writes a key that must be at the mod revision expected; else *ConflictError.
	Update(ctx context.Context, key string, value []byte, expected int64, ttl time.Duration) (revision int64, err error)
	// Delete removes a key that must be at the mod revision expected; else *ConflictError. It answers the
	// revision of the deletion.
	Delete(ctx context.Context, key string, expected int64) (revision int64, err error)
	// List reads up to limit keys (0: all) under prefix, beginning at the key from ("": the first), as of a
	// revision (0: now).
	List(ctx context.Context, prefix string, revision int64, limit int64, from string) (Page, error)
	// Watch delivers every change under prefix after a revision, until ctx ends or an error, of which the
	// last batch tells.
	Watch(ctx context.Context, prefix string, after int64) <-chan Batch
	// RequestProgress asks the store to tell every watch of ctx's kind how far it is, now.
	RequestProgress(ctx context.Context) error
	// Revision is the current one, linearizably.
	Revision(ctx context.Context) (int64, error)
	// Compact forgets what was before a revision.
	Compact(ctx context.Context, revision int64) error
	// Size is how many bytes the store's file takes on its disk, what is free within it included.
	Size(ctx context.Context) (int64, error)
	// Healthy answers why the store cannot serve, nil where it can.
	Healthy(ctx context.Context) error
	Close() error
}
