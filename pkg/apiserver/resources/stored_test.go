package resources

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sampan-project/sampan/pkg/apiserver/allocation"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// storedBy finds the resource whose key it is: that of the longest prefix.
func storedBy(all []*resource.Resource, key string) *resource.Resource {
	var found *resource.Resource
	for _, r := range all {
		if strings.HasPrefix(key, resource.Root+r.Prefix+"/") && (found == nil || len(r.Prefix) > len(found.Prefix)) {
			found = r
		}
	}
	return found
}

// TestWhatKubeAPIServerStoredIsWrittenAlike reads what a kube-apiserver wrote to its etcd and writes it again:
// no byte may change.
func TestWhatKubeAPIServerStoredIsWrittenAlike(t *testing.T) {
	dump, err := os.Open("../../../test/oracle/storage/dump.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dump.Close() }()
	all := append(All(testDeps()), allocation.NodePorts())
	seen, elsewhere := map[string]bool{}, map[string]bool{}
	lines := bufio.NewScanner(dump)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var kv struct{ Key, Value string }
		if err := json.Unmarshal(lines.Bytes(), &kv); err != nil {
			t.Fatal(err)
		}
		value, err := base64.StdEncoding.DecodeString(kv.Value)
		if err != nil {
			t.Fatal(err)
		}
		r := storedBy(all, kv.Key)
		if r == nil {
			elsewhere[strings.Split(kv.Key, "/")[2]] = true
			continue
		}
		seen[r.Plural] = true
		writtenAlike(t, r, kv.Key, value)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if !seen[r.Plural] && r.Answer == nil && !slices.Contains([]string{"bindings", "componentstatuses"}, r.Plural) {
			t.Errorf("no %s were stored", r.Plural)
		}
	}
	for group := range elsewhere { // but for custom resources
		if !slices.Contains([]string{"stored.example.com"}, group) {
			t.Errorf("nobody declares %s", group)
		}
	}
}

func writtenAlike(t *testing.T, r *resource.Resource, key string, value []byte) {
	t.Helper()
	read := func(r *resource.Resource, value []byte) resource.Object {
		o, err := resource.NewCodec(r).Decode(value, 7)
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		if v := o.(resource.Object).GetResourceVersion(); v != "7" {
			t.Errorf("%s: read at version %s", key, v)
		}
		return o.(resource.Object)
	}
	write := func(o resource.Object) []byte {
		b, err := resource.NewCodec(r).Encode(o)
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		return b
	}
	bare := *r
	bare.Default = nil
	if written := write(read(&bare, value)); !bytes.Equal(written, value) {
		t.Errorf("%s: %d bytes were read, %d written; the objects differ in:\n%s", key, len(value), len(written), cmp.Diff(read(&bare, value), read(&bare, written)))
	}
	full := read(r, value)
	written := write(full)
	if diff := cmp.Diff(full, read(r, written)); diff != "" {
		t.Errorf("%s: read (-) and read again (+):\n%s", key, diff)
	}
	if !r.DefaultedLate && !bytes.Equal(written, value) {
		t.Errorf("%s: what is read has defaults that were not stored:\n%s", key, cmp.Diff(read(&bare, value), full))
	}
}
