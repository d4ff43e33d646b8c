package resources

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"os"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// oldest adds the first object of each resource that a kube-apiserver stored.
func oldest(f *testing.F, all []*resource.Resource) {
	f.Helper()
	dump, err := os.Open("../../../test/oracle/storage/dump.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	defer func() { _ = dump.Close() }()
	seen := map[*resource.Resource]bool{}
	lines := bufio.NewScanner(dump)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var kv struct{ Key, Value string }
		if err := json.Unmarshal(lines.Bytes(), &kv); err != nil {
			f.Fatal(err)
		}
		value, err := base64.StdEncoding.DecodeString(kv.Value)
		if err != nil {
			f.Fatal(err)
		}
		r := storedBy(all, kv.Key)
		if r == nil || seen[r] {
			continue
		}
		seen[r] = true
		for i := range all {
			if all[i] == r {
				f.Add(uint8(i), value)
			}
		}
	}
	if err := lines.Err(); err != nil {
		f.Fatal(err)
	}
}

// FuzzStored takes anything for what etcd holds of any resource. What can be read can be shown, judged as if a
// client had sent it, written, and read again as the same object.
func FuzzStored(f *testing.F) {
	var all []*resource.Resource
	for _, r := range All(testDeps()) {
		if r.Answer == nil && r.Observe == nil {
			all = append(all, r)
		}
	}
	oldest(f, all)
	now := time.Unix(1e9, 0)
	f.Fuzz(func(t *testing.T, which uint8, value []byte) {
		r := all[int(which)%len(all)]
		codec := resource.NewCodec(r)
		read, err := codec.Decode(value, 7)
		if err != nil {
			return
		}
		o := read.(resource.Object)
		resource.FieldsOf(r, o)
		if r.Row != nil {
			column.At(r.Row(o), now)
		}
		if _, err := resource.Wire(o, watchcache.JSON); err != nil {
			if _, library := json.Marshal(o); library == nil {
				t.Fatalf("what was read cannot be answered: %v", err)
			}
			return // sets of fields that are no JSON: nobody can show them
		}
		written, err := codec.Encode(o)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := codec.Decode(written, 7)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if !equality.Semantic.DeepEqual(o, again) {
			t.Errorf("%s: read %+v, and again %+v", r.Plural, o, again)
		}
		if r.Prepare != nil {
			r.Prepare(t.Context(), o, nil)
		}
		if r.Validate != nil {
			r.Validate(t.Context(), o, nil)
		}
	})
}
