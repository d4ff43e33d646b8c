package storage_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/sampan-project/sampan/pkg/apiserver/storage"
	"github.com/sampan-project/sampan/pkg/apiserver/storage/storagetest"
)

func TestMemory(t *testing.T) { storagetest.Run(t, storage.NewMemory()) }

func embedded(t *testing.T, dir string) *storage.Etcd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	e, err := storage.Embedded(ctx, dir, "", logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEtcd(t *testing.T) {
	e := embedded(t, t.TempDir())
	defer func() { _ = e.Close() }()
	storagetest.Run(t, e)
}

func TestEmbeddedKeepsItsDataOverARestart(t *testing.T) {
	dir := t.TempDir()
	e := embedded(t, dir)
	written, err := e.Create(context.Background(), "/registry/x", []byte("kept"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = embedded(t, dir)
	defer func() { _ = e.Close() }()
	kv, _, err := e.Get(context.Background(), "/registry/x")
	if err != nil || string(kv.Value) != "kept" || kv.ModRevision != written {
		t.Errorf("%+v, %v", kv, err)
	}
}

func TestEmbeddedSaysWhenItsDirectoryCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := storage.Embedded(context.Background(), filepath.Join(file, "data"), "", logr.Discard())
	if err == nil || !strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("got %v", err)
	}
}
