package apiserver

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"

	"github.com/sampan-project/sampan/pkg/apiserver/storage"
)

// eachLine decodes a file of one JSON value a line.
func eachLine[T any](t *testing.T, file string, f func(T)) {
	t.Helper()
	in, err := os.Open(filepath.Join(oracle, "storage", file))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var v T
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		f(v)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// TestWhatKubeAPIServerStoredIsServedAlike starts on the data of a kube-apiserver.
func TestWhatKubeAPIServerStoredIsServedAlike(t *testing.T) {
	dir := t.TempDir()
	etcd, err := storage.Embedded(t.Context(), dir, "", logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	eachLine(t, "dump.jsonl", func(kv struct{ Key, Value string }) {
		value, err := base64.StdEncoding.DecodeString(kv.Value)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := etcd.Create(t.Context(), kv.Key, value, 0); err != nil {
			t.Fatal(err)
		}
	})
	if err := etcd.Close(); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir)
	admin := s.as(adminToken)
	served := 0
	eachLine(t, "served.jsonl", func(want struct {
		Path   string
		Object map[string]any
	}) {
		if repaired(t, admin, want.Path, want.Object) {
			return
		}
		code, got := admin.do(t, http.MethodGet, want.Path, nil)
		if code == http.StatusNotFound && at(got, "message") == "the server could not find the requested resource" || got["text"] != nil {
			return // the resource is not served
		}
		served++
		for _, o := range []map[string]any{want.Object, got} {
			if m, is := o["metadata"].(map[string]any); is {
				delete(m, "resourceVersion") // of another etcd
			}
		}
		if diff := cmp.Diff(want.Object, got); diff != "" {
			t.Errorf("%s: recorded (-), here (+):\n%s", want.Path, diff)
		}
	})
	t.Logf("%d recorded objects are of resources that are served", served)
	if served < 150 {
		t.Errorf("only %d of the recorded objects are of resources that are served", served)
	}
}

// repaired says whether an object is one that a starting server puts right: the Service that leads to
// it, and addresses that are taken for a Service that is not there.
func repaired(t *testing.T, admin *client, path string, object map[string]any) bool {
	t.Helper()
	if path == "/api/v1/namespaces/default/services/kubernetes" {
		return true
	}
	if at(object, "kind") != "IPAddress" || at(object, "spec.parentRef.resource") != "services" {
		return false
	}
	service := "/api/v1/namespaces/" + at(object, "spec.parentRef.namespace") + "/services/" + at(object, "spec.parentRef.name")
	code, _ := admin.do(t, http.MethodGet, service, nil)
	return code == http.StatusNotFound
}
