package storage_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"

	"github.com/sampan-project/sampan/pkg/apiserver/storage"
)

// What is on disk after an answer is what a killed process leaves behind.
func TestWhatWasAcknowledgedOutlivesAKilledProcess(t *testing.T) {
	dir, left := t.TempDir(), t.TempDir()
	e, err := storage.Embedded(t.Context(), dir, "", logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	key := func(i int) string { return fmt.Sprintf("/registry/configmaps/default/written-%d", i) }
	const writes = 20
	for i := range writes {
		if _, err := e.Create(t.Context(), key(i), []byte("value"), 0); err != nil {
			t.Fatal(err)
		}
	}
	// The log last: the database may lag behind it, but not be ahead.
	for _, part := range []string{"snap", "wal"} {
		if err := os.CopyFS(filepath.Join(left, "member", part), os.DirFS(filepath.Join(dir, "member", part))); err != nil {
			t.Fatal(err)
		}
	}
	after, err := storage.Embedded(t.Context(), left, "", logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = after.Close() }()
	for i := range writes {
		if kv, _, err := after.Get(t.Context(), key(i)); err != nil || string(kv.Value) != "value" {
			t.Errorf("write %d is lost: %q, %v", i, kv.Value, err)
		}
	}
}
