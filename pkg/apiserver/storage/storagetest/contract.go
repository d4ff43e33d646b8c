// Package storagetest is the contract that every store keeps.
package storagetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sampan-project/sampan/pkg/apiserver/storage"
)

// Run tests a new, empty store.
func Run(t *testing.T, s storage.Interface) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	t.Run("a key lives once", func(t *testing.T) {
		created := must(t)(s.Create(ctx, "/a/1", []byte("one"), 0))
		if _, err := s.Create(ctx, "/a/1", nil, 0); !errors.Is(err, storage.ErrExists) {
			t.Errorf("a second creation: %v", err)
		}
		kv, revision, err := s.Get(ctx, "/a/1")
		if err != nil || string(kv.Value) != "one" || kv.ModRevision != created || kv.CreateRevision != created || revision < created {
			t.Errorf("got %+v at %d, %v", kv, revision, err)
		}
		updated := must(t)(s.Update(ctx, "/a/1", []byte("two"), created, 0))
		var conflict *storage.ConflictError
		if _, err := s.Update(ctx, "/a/1", nil, created, 0); !errors.As(err, &conflict) || conflict.Current == nil ||
			conflict.Current.ModRevision != updated || string(conflict.Current.Value) != "two" || conflict.Current.CreateRevision != created {
			t.Errorf("an update of an old revision: %v", err)
		}
		if _, err := s.Delete(ctx, "/a/1", created); !errors.As(err, &conflict) {
			t.Errorf("a deletion of an old revision: %v", err)
		}
		if gone := must(t)(s.Delete(ctx, "/a/1", updated)); gone <= updated {
			t.Errorf("deleted at %d, updated at %d", gone, updated)
		}
		if _, err := s.Delete(ctx, "/a/1", updated); !errors.As(err, &conflict) || conflict.Current != nil {
			t.Errorf("a second deletion: %v", err)
		}
		if _, _, err := s.Get(ctx, "/a/1"); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("reading what is gone: %v", err)
		}
	})
	t.Run("lists are pages of one revision", func(t *testing.T) { lists(ctx, t, s) })
	t.Run("a watch is the history", func(t *testing.T) { watches(ctx, t, s) })
	t.Run("a value may be as large as the bound", func(t *testing.T) {
		must(t)(s.Create(ctx, "/large/1", make([]byte, storage.MaxValue), 0))
		if _, err := s.Create(ctx, "/large/2", make([]byte, storage.MaxValue+1), 0); !errors.Is(err, storage.ErrTooLarge) {
			t.Errorf("one byte more: %v", err)
		}
	})
	t.Run("what is written takes room", func(t *testing.T) {
		if size, err := s.Size(ctx); err != nil || size < 1 {
			t.Errorf("%d bytes, %v", size, err)
		}
	})
	t.Run("what is compacted is refused", func(t *testing.T) {
		first := must(t)(s.Create(ctx, "/c/1", nil, 0))
		second := must(t)(s.Update(ctx, "/c/1", nil, first, 0))
		if err := s.Compact(ctx, second); err != nil {
			t.Fatal(err)
		}
		if _, err := s.List(ctx, "/c/", first, 0, ""); !errors.Is(err, storage.ErrCompacted) {
			t.Errorf("list: %v", err)
		}
		if b := next(ctx, t, s.Watch(ctx, "/c/", first-1)); !errors.Is(b.Err, storage.ErrCompacted) {
			t.Errorf("watch: %+v", b)
		}
		if _, err := s.List(ctx, "/c/", second+1000, 0, ""); !errors.Is(err, storage.ErrFuture) {
			t.Errorf("a revision that is not reached: %v", err)
		}
	})
}

func lists(ctx context.Context, t *testing.T, s storage.Interface) {
	for i := range 5 {
		must(t)(s.Create(ctx, fmt.Sprintf("/l/%d", i), []byte{byte(i)}, 0))
	}
	page, err := s.List(ctx, "/l/", 0, 2, "")
	if err != nil || len(page.Items) != 2 || !page.More || page.Items[0].Key != "/l/0" {
		t.Fatalf("%+v, %v", page, err)
	}
	must(t)(s.Delete(ctx, "/l/3", currentOf(ctx, t, s, "/l/3")))
	must(t)(s.Create(ctx, "/l/9", nil, 0))
	rest, err := s.List(ctx, "/l/", page.Revision, 0, "/l/2")
	if err != nil || len(rest.Items) != 3 || rest.More || rest.Items[1].Key != "/l/3" || rest.Revision != page.Revision {
		t.Errorf("the rest of an old page: %+v, %v", rest, err)
	}
}

func watches(ctx context.Context, t *testing.T, s storage.Interface) {
	start := must(t)(s.Create(ctx, "/w/0", nil, 0))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes := s.Watch(ctx, "/w/", start)
	one := must(t)(s.Create(ctx, "/w/1", []byte("x"), 0))
	must(t)(s.Create(ctx, "/elsewhere/1", nil, 0))
	two := must(t)(s.Update(ctx, "/w/1", []byte("y"), one, 0))
	three := must(t)(s.Delete(ctx, "/w/1", two))
	var got []storage.Event
	for len(got) < 3 {
		b := next(ctx, t, changes)
		if b.Err != nil {
			t.Fatal(b.Err)
		}
		got = append(got, b.Events...)
	}
	if got[0].ModRevision != one || got[1].ModRevision != two || string(got[1].Value) != "y" || !got[2].Deleted || got[2].ModRevision != three {
		t.Errorf("got %+v", got)
	}
	last := must(t)(s.Create(ctx, "/elsewhere/2", nil, 0))
	for reached := int64(0); reached < last; { // progress tells of what this watch does not see
		if err := s.RequestProgress(ctx); err != nil {
			t.Fatal(err)
		}
		b := next(ctx, t, changes)
		if b.Err != nil || len(b.Events) > 0 {
			t.Fatalf("progress stands at %d, want %d: %+v", reached, last, b)
		}
		reached = b.Revision
	}
}

// next is what a watch tells next. One that is silent, or over without an error, fails the test.
func next(ctx context.Context, t *testing.T, changes <-chan storage.Batch) storage.Batch {
	t.Helper()
	select {
	case b, open := <-changes:
		if !open {
			t.Fatal("the watch has ended without a word")
		}
		return b
	case <-ctx.Done():
		t.Fatalf("the watch is silent: %v", ctx.Err())
	}
	return storage.Batch{}
}

func must(t *testing.T) func(int64, error) int64 {
	return func(revision int64, err error) int64 {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return revision
	}
}

func currentOf(ctx context.Context, t *testing.T, s storage.Interface, key string) int64 {
	t.Helper()
	kv, _, err := s.Get(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	return kv.ModRevision
}
