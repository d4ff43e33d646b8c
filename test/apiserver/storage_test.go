package apiserver

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

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

// onStoredData starts a server on the data of a kube-apiserver.
func onStoredData(t *testing.T) *client {
	t.Helper()
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
	return start(t, dir).as(adminToken)
}

// servedObject is one recorded answer.
type servedObject struct {
	Path   string
	Object map[string]any
}

// without gives an object without fields of its metadata.
func without(o map[string]any, fields ...string) map[string]any {
	out := maps.Clone(o)
	if m, is := o["metadata"].(map[string]any); is {
		m = maps.Clone(m)
		for _, f := range fields {
			delete(m, f)
		}
		out["metadata"] = m
	}
	return out
}

func TestWhatKubeAPIServerStoredIsServedAlike(t *testing.T) {
	admin := onStoredData(t)
	served := 0
	lists := map[string]map[string]map[string]any{}
	eachLine(t, "served.jsonl", func(want servedObject) {
		if repaired(t, admin, want.Path, want.Object) {
			return
		}
		code, got := admin.do(t, http.MethodGet, want.Path, nil)
		if code != http.StatusOK {
			t.Errorf("%s: %d: %v", want.Path, code, got)
			return
		}
		served++
		// The version is of another etcd.
		if diff := cmp.Diff(without(want.Object, "resourceVersion"), without(got, "resourceVersion")); diff != "" {
			t.Errorf("%s: recorded (-), here (+):\n%s", want.Path, diff)
		}
		collection, name := path.Split(want.Path)
		if lists[collection] == nil {
			lists[collection] = itemsOf(t, admin, strings.TrimSuffix(collection, "/"))
		}
		item := lists[collection][name]
		delete(got, "apiVersion")
		delete(got, "kind")
		delete(item, "apiVersion") // custom resources say in lists too what they are
		delete(item, "kind")
		if diff := cmp.Diff(got, item); diff != "" {
			t.Errorf("%s: alone (-), in a list (+):\n%s", want.Path, diff)
		}
	})
	if served < 260 {
		t.Errorf("only %d recorded objects are compared", served)
	}
}

func itemsOf(t *testing.T, c *client, collection string) map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]any{}
	items, _ := c.must(t, http.StatusOK, http.MethodGet, collection, nil)["items"].([]any)
	for _, item := range items {
		o, _ := item.(map[string]any)
		out[at(o, "metadata.name")] = o
	}
	return out
}

// TestWhatKubeAPIServerStoredIsReadAlikeInEveryEncoding compares the answers in protobuf and in JSON.
func TestWhatKubeAPIServerStoredIsReadAlikeInEveryEncoding(t *testing.T) {
	admin := onStoredData(t)
	decoder := scheme.Codecs.UniversalDeserializer()
	compared := 0
	eachLine(t, "served.jsonl", func(want servedObject) {
		code, inJSON := admin.do(t, http.MethodGet, want.Path, nil)
		if code != http.StatusOK {
			return
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, admin.url+want.Path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "application/vnd.kubernetes.protobuf")
		r.Header.Set("Authorization", "Bearer "+admin.token)
		answer, err := admin.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode == http.StatusNotAcceptable {
			return // a custom resource has no protobuf
		}
		o, kind, err := decoder.Decode(body, nil, nil)
		if runtime.IsNotRegisteredError(err) {
			return // a kind whose type is not client-go's
		}
		if err != nil {
			t.Fatalf("%s: %v", want.Path, err)
		}
		o.GetObjectKind().SetGroupVersionKind(*kind)
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		var inProtobuf map[string]any
		if err := json.Unmarshal(text, &inProtobuf); err != nil {
			t.Fatal(err)
		}
		compared++
		spec, _ := inJSON["spec"].(map[string]any)
		templates, _ := spec["volumeClaimTemplates"].([]any)
		for _, template := range templates { // what kind they are, protobuf has no field for
			delete(template.(map[string]any), "apiVersion")
			delete(template.(map[string]any), "kind")
		}
		if diff := cmp.Diff(inJSON, inProtobuf); diff != "" {
			t.Errorf("%s: in JSON (-), in protobuf (+):\n%s", want.Path, diff)
		}
	})
	if compared < 240 {
		t.Errorf("only %d objects were compared", compared)
	}
}

// TestWhatKubeAPIServerStoredIsUpdatedWithoutLoss gives every object an annotation and takes it away again: but for
// whom its fields belong to, it is what it was.
func TestWhatKubeAPIServerStoredIsUpdatedWithoutLoss(t *testing.T) {
	admin := onStoredData(t)
	for _, namespace := range storedNamespaces(t) { // not every object's own was recorded
		admin.do(t, http.MethodPost, "/api/v1/namespaces", map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": namespace}})
	}
	updated := 0
	eachLine(t, "served.jsonl", func(want servedObject) {
		code, before := admin.do(t, http.MethodGet, want.Path, nil)
		if code != http.StatusOK || before["text"] != nil {
			return
		}
		for _, annotations := range []map[string]any{{"written": "here"}, nil} {
			o := without(before, "resourceVersion")
			if annotations != nil {
				own, _ := o["metadata"].(map[string]any)["annotations"].(map[string]any)
				all := maps.Clone(own)
				if all == nil {
					all = map[string]any{}
				}
				maps.Copy(all, annotations)
				o["metadata"].(map[string]any)["annotations"] = all
			}
			_, now := admin.do(t, http.MethodGet, want.Path, nil)
			o["metadata"].(map[string]any)["resourceVersion"] = at(now, "metadata.resourceVersion")
			if code, answer := admin.do(t, http.MethodPut, want.Path, o); code != http.StatusOK {
				t.Errorf("%s: %d %v", want.Path, code, answer["message"])
				return
			}
		}
		updated++
		after := admin.must(t, http.StatusOK, http.MethodGet, want.Path, nil)
		if at(after, "metadata.resourceVersion") == at(before, "metadata.resourceVersion") {
			t.Errorf("%s: nothing was written", want.Path)
		}
		// Some kinds count changes of annotations too.
		if diff := cmp.Diff(without(before, "resourceVersion", "managedFields", "generation"), without(after, "resourceVersion", "managedFields", "generation")); diff != "" {
			t.Errorf("%s: before (-) and after (+):\n%s", want.Path, diff)
		}
	})
	if updated < 250 {
		t.Errorf("only %d objects were updated", updated)
	}
}

func storedNamespaces(t *testing.T) []string {
	t.Helper()
	names := map[string]bool{}
	eachLine(t, "served.jsonl", func(o servedObject) {
		if name := at(o.Object, "metadata.namespace"); name != "<nil>" {
			names[name] = true
		}
	})
	return slices.Sorted(maps.Keys(names))
}

// repaired says whether an object is one that a starting server puts right: the Service that leads to it, addresses
// that are taken for a Service that is not there, and flow schemas whose priority level was not recorded.
func repaired(t *testing.T, admin *client, path string, object map[string]any) bool {
	t.Helper()
	switch {
	case path == "/api/v1/namespaces/default/services/kubernetes":
		return true
	case at(object, "kind") == "FlowSchema":
		level := "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations/" + at(object, "spec.priorityLevelConfiguration.name")
		recorded := false
		eachLine(t, "served.jsonl", func(o servedObject) { recorded = recorded || o.Path == level })
		return !recorded
	case at(object, "kind") == "IPAddress" && at(object, "spec.parentRef.resource") == "services":
		service := "/api/v1/namespaces/" + at(object, "spec.parentRef.namespace") + "/services/" + at(object, "spec.parentRef.name")
		code, _ := admin.do(t, http.MethodGet, service, nil)
		return code == http.StatusNotFound
	}
	return false
}
