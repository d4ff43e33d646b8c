package endpoint

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/storage"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// boats are a custom resource whose v2 is stored, too, and cannot be converted where spec.sunk is true.
func boats(t *testing.T, stored ...string) *Served {
	t.Helper()
	etcd := storage.NewMemory()
	for i, value := range stored {
		if _, err := etcd.Create(t.Context(), fmt.Sprintf("%sexample.com/boats/n/boat-%03d", resource.Root, i), []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	return boatsIn(t, etcd)
}

// boatsIn are those that a store has.
func boatsIn(t *testing.T, etcd storage.Interface) *Served {
	t.Helper()
	cache := watchcache.New(watchcache.Config{Store: etcd, Root: resource.Root, Clock: clock.RealClock{}, Log: logr.Discard()})
	done := make(chan struct{})
	go func() { defer close(done); _ = cache.Run(t.Context()) }()
	t.Cleanup(func() { <-done })
	<-cache.Synced()
	kind := schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Boat"}
	r := resource.Define(resource.Definition[*unstructured.Unstructured]{
		Kind: kind, Plural: "boats", Prefix: "example.com/boats",
		New: func() *unstructured.Unstructured { return &unstructured.Unstructured{} },
		NewList: func() runtime.Object {
			l := &unstructured.UnstructuredList{}
			l.SetGroupVersionKind(kind.GroupVersion().WithKind("BoatList"))
			return l
		},
		Stored: &resource.Stored[*unstructured.Unstructured]{
			Encode: func(u *unstructured.Unstructured) ([]byte, error) { return u.MarshalJSON() },
			Decode: func(value []byte) (*unstructured.Unstructured, error) {
				u := &unstructured.Unstructured{}
				return u, u.UnmarshalJSON(value)
			},
			Convert: func(u *unstructured.Unstructured, version string) (*unstructured.Unstructured, error) {
				if sunk, _, _ := unstructured.NestedBool(u.Object, "spec", "sunk"); sunk {
					return nil, errors.New(u.GetName() + " has sunk")
				}
				u = u.DeepCopy()
				u.SetAPIVersion("example.com/" + version)
				return u, nil
			},
		},
	})
	return NewServed(resource.NewRegistry(etcd, cache, clock.RealClock{}).Add(r, nil), nil, clock.RealClock{})
}

// all is a page of everything.
func all(s *Served) *page {
	left := int64(3)
	p := &page{meta: metav1.ListMeta{ResourceVersion: "7", Continue: "\n- 0\n", RemainingItemCount: &left}}
	s.Cached.Snapshot().Ascend("", "", func(e *watchcache.Entry) bool {
		p.entries = append(p.entries, e)
		return true
	})
	return p
}

// boat is an object as it is stored.
func boat(name, version string, spec any) string {
	text, err := json.Marshal(map[string]any{"apiVersion": "example.com/" + version, "kind": "Boat", "spec": spec, "metadata": map[string]any{
		"name": name, "namespace": "n", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": map[string]any{"yes": "- 0"},
	}})
	if err != nil {
		panic(err) // the tests' own values
	}
	return string(text)
}

// texts are such as YAML quotes, folds, or writes over several lines.
var texts = []string{
	"", "\n", "a\n\n", "\n- 0\n", "- 0", "a\n- 0\nb", "items:", "b: 0\n", " before", "behind ", "yes", "null", "~", "1e3", "0x1f", "1_0", "12:30:00", "2026-01-01",
	"# no", "a: b", "a #b", "{}", "[", "|+", ">", "%a", "@a", "`a", "!a", "&a", "*a", "<<", "'", `"`, `\`, "\t", "a\tb\n c\n", "<&>", "é", "\u00a0", "\u0085", "a\u0085b", "\u2028",
	"\ufeff", "😀", "---", "...", "a\r\nb", "\x01", strings.Repeat("long ", 60), strings.Repeat("x", 200), "=", "on", ".inf", "0o7", "+1", "-",
}

// anything is a random value.
func anything(r *rand.Rand, depth int) any {
	text := func() string { return texts[r.IntN(len(texts))] }
	n := r.IntN(9)
	if depth == 0 {
		n = r.IntN(6)
	}
	switch n {
	case 0:
		return []any{nil, true, false, 0, -1, int64(1) << 60, 1.5, 1e21, 1e-7, -0.25}[r.IntN(10)]
	case 1, 2, 3, 4, 5:
		return text()
	case 6:
		list := make([]any, r.IntN(4))
		for i := range list {
			list[i] = anything(r, depth-1)
		}
		return list
	}
	object := map[string]any{}
	for range r.IntN(5) {
		key := strings.ReplaceAll(text(), "\u0085", "") // of which YAML makes a line's end, which names must not have
		object[key+fmt.Sprint(r.IntN(12))] = anything(r, depth-1)
	}
	return object
}

// forms are those that lists have.
func forms() (out []format) {
	for _, as := range []string{"", asPartialList, asTable} {
		for _, f := range []format{{media: mediaJSON}, {media: mediaJSON, pretty: true}, {media: mediaYAML}, {media: mediaYAML, pretty: true}, {media: mediaProtobuf, pretty: true}} {
			if f.media == mediaProtobuf && as != asPartialList {
				continue
			}
			f.as, f.version = as, "meta.k8s.io/v1"
			out = append(out, f)
		}
	}
	return out
}

// plain is an answer's body as it was before it was compressed.
func plain(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	if w.Header().Get("Content-Encoding") != "gzip" {
		return w.Body.String()
	}
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// same answers a page in every form piece by piece, compressed and not, and as a whole. It gives the code for each form.
func same(t *testing.T, s *Served, p *page) (codes []int) {
	t.Helper()
	for _, f := range forms() {
		fill := s.fillList(p)
		if f.as == asTable {
			fill = s.fillTable(p, f.version, metav1.IncludeObject)
		}
		whole := httptest.NewRecorder()
		s.whole(whole, httptest.NewRequest(http.MethodGet, "/", nil), f, fill)
		codes = append(codes, whole.Code)
		for _, encoding := range []string{"identity", "gzip", "identity"} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Accept-Encoding", encoding)
			w := httptest.NewRecorder()
			s.pieces(w, r, f, p, fill)
			if w.Code != whole.Code {
				t.Errorf("%+v: %d piece by piece, %d as a whole: %.500s", f, w.Code, whole.Code, whole.Body)
			}
			got := plain(t, w)
			if got == whole.Body.String() {
				continue
			}
			at := 0
			for at < min(len(got), whole.Body.Len()) && got[at] == whole.Body.Bytes()[at] {
				at++
			}
			from := max(at-100, 0)
			t.Fatalf("%+v %s: from byte %d on\n%.300q\nas a whole\n%.300q", f, encoding, at, got[from:], whole.Body.Bytes()[from:])
		}
	}
	return codes
}

// TestListsPieceByPieceAreAsWhole answers lists of anything both ways.
func TestListsPieceByPieceAreAsWhole(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := []int{1, 2, 1 + r.IntN(90)}[seed%3]
		stored := make([]string, n)
		for i := range stored {
			stored[i] = boat(fmt.Sprint("boat-", i), []string{"v1", "v1", "v2"}[r.IntN(3)], anything(r, 5))
		}
		s := boats(t, stored...)
		for _, code := range same(t, s, all(s)) {
			if code != http.StatusOK {
				t.Errorf("seed %d: a list of what is sound answers %d", seed, code)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestListsThatFailLateAreAnsweredWithAStatus has the last object of large lists be one that has not every form.
func TestListsThatFailLateAreAnsweredWithAStatus(t *testing.T) {
	sound := make([]string, 100, 101)
	for i := range sound {
		sound[i] = boat(fmt.Sprint("boat-", i), "v1", map[string]any{"text": strings.Repeat(fmt.Sprint(i), 2000)})
	}
	deep := boat("deep", "v1", map[string]any{"in": json.RawMessage(strings.Repeat("[", 9997) + strings.Repeat("]", 9997))})
	for _, c := range []struct {
		name, last     string
		plain, pretty  int // what full objects are answered in JSON
		yaml, metadata int // in YAML, and of their metadata in JSON
	}{
		{"not to be converted", boat("last", "v2", map[string]any{"sunk": true}), 500, 500, 500, 500},
		{"converted", boat("last", "v2", map[string]any{"sunk": false}), 200, 200, 200, 200},
		{"not to be decoded", "{", 500, 500, 500, 500},
		{"refused by YAML", boat("last", "v1", map[string]any{"text": "\x7f"}), 200, 200, 500, 200},
		{"a name that is none in YAML", boat("last", "v1", map[string]any{"a\u0085b": ""}), 200, 200, 500, 200},
		{"too deep to be indented", deep, 200, 500, 500, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := boats(t, append(sound, c.last)...)
			p := all(s)
			if c.last != deep { // whose many spaces take long
				same(t, s, p)
			}
			for _, want := range []struct {
				format
				code int
			}{
				{format{media: mediaJSON}, c.plain}, {format{media: mediaJSON, pretty: true}, c.pretty}, {format{media: mediaYAML}, c.yaml},
				{format{media: mediaJSON, as: asPartialList, version: "meta.k8s.io/v1"}, c.metadata},
			} {
				w := httptest.NewRecorder()
				s.answerList(w, httptest.NewRequest(http.MethodGet, "/", nil), want.format, p)
				if w.Code != want.code {
					t.Errorf("%+v: %d, want %d: %.300s", want.format, w.Code, want.code, w.Body)
				}
				if failed := bytes.Contains(w.Body.Bytes(), []byte("Failure")); failed != (want.code != http.StatusOK) {
					t.Errorf("%+v: %d: %.300s", want.format, w.Code, w.Body)
				}
			}
		})
	}
}
