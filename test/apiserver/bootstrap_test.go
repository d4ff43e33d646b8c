package apiserver

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAClusterBeginsWithTheRecordedObjects reads what a new server made by itself.
func TestAClusterBeginsWithTheRecordedObjects(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	files, err := filepath.Glob(filepath.Join(oracle, "bootstrap", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no recorded objects: %v", err)
	}
	for _, file := range files {
		path := "/" + strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".json"), "__", "/")
		t.Run(path, func(t *testing.T) {
			code, list := admin.do(t, http.MethodGet, path, nil)
			if code != http.StatusOK {
				t.Fatalf("the list is answered %d", code)
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want []map[string]any
			if err := json.Unmarshal(data, &want); err != nil {
				t.Fatal(err)
			}
			items, _ := list["items"].([]any)
			if diff := cmp.Diff(comparable(t, want), comparable(t, items)); diff != "" {
				t.Errorf("recorded (-), here (+):\n%s", diff)
			}
		})
	}
}

// comparable gives objects by their names, without what differs from server to server.
func comparable(t *testing.T, list any) map[string]any {
	t.Helper()
	data, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	var items []map[string]any
	if err := json.Unmarshal(data, &items); err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	for _, o := range items {
		m, _ := o["metadata"].(map[string]any)
		for _, k := range []string{"uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"} {
			delete(m, k)
		}
		for _, k := range []string{"kind", "apiVersion", "status"} {
			delete(o, k)
		}
		// Where a server listens is its own: of the Service kubernetes and its endpoints.
		if spec, is := o["spec"].(map[string]any); is {
			delete(spec, "ports")
		}
		for _, k := range []string{"subsets", "endpoints", "ports"} {
			delete(o, k)
		}
		if data, is := o["data"].(map[string]any); is {
			delete(data, "since") // the day of the first start
		}
		out[at(o, "metadata.namespace")+"/"+at(o, "metadata.name")] = o
	}
	return out
}
