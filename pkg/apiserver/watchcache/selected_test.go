package watchcache

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sampan-project/sampan/pkg/apiserver/storage"
)

func TestPairsAreAMap(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, m := range []map[string]string{nil, {"a": "b"}, {"": ""}, {"a": "", "b": "a", long: "v", "z": long + long}} {
		p := pairsOf(m)
		for k, v := range m {
			if got, has := p.Lookup(k); !has || got != v || !p.Has(k) || p.Get(k) != v {
				t.Errorf("%.20q is %.20q, %v: want %.20q", k, got, has, v)
			}
		}
		if _, has := p.Lookup("none"); has || p.Has("xx") || p.Get("v") != "" {
			t.Error("a key is there that nobody put in")
		}
		if p != pairsOf(maps.Clone(m)) {
			t.Error("the same pairs differ")
		}
	}
}

// TestLabelsFindWhatLooksAtAllWouldFind changes a store at random and compares what selectors find with what looking at
// every entry finds.
func TestLabelsFindWhatLooksAtAllWouldFind(t *testing.T) {
	r := newRig(t, 0)
	random := rand.New(rand.NewPCG(5, 6))
	put := func(revision int64) {
		namespace, name := fmt.Sprint("ns", random.IntN(3)), fmt.Sprint("b", random.IntN(300))
		key := "/registry/boats/" + namespace + "/" + name
		_, there := r.Get(key)
		if there && random.IntN(4) == 0 {
			r.Store.apply(storage.Event{KeyValue: storage.KeyValue{Key: key, ModRevision: revision}, Deleted: true})
			return
		}
		o := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if random.IntN(5) > 0 {
			o.Labels = map[string]string{"app": fmt.Sprint("a", random.IntN(6)), "tier": fmt.Sprint("t", random.IntN(2))}
		}
		if random.IntN(10) == 0 {
			o.Labels = map[string]string{"app": "a1", "name": name}
		}
		r.Store.apply(storage.Event{KeyValue: storage.KeyValue{Key: key, Value: boatOf(o), ModRevision: revision}})
	}
	for revision := range int64(2000) {
		put(revision + 1)
		if revision%40 > 0 {
			continue
		}
		n := r.Snapshot()
		for _, text := range []string{"app=a1", "app=none", "app in (a2,a3)", "app=a1,tier=t0", "name", "app,tier!=t1", "!app", "app!=a1", "name=b7"} {
			for _, prefix := range []string{"", "/registry/boats/ns1/"} {
				for _, from := range []string{"", "/registry/boats/ns1/b2"} {
					sel, err := labels.Parse(text)
					if err != nil {
						t.Fatal(err)
					}
					w := Selection{Labels: sel, Prefix: prefix}
					var want, got []string
					n.Ascend(prefix, from, func(e *Entry) bool {
						if w.Matches(e) {
							want = append(want, e.Key())
						}
						return true
					})
					n.Select(w, from, func(e *Entry) bool { got = append(got, e.Key()); return true })
					if d := cmp.Diff(want, got); d != "" {
						t.Fatalf("%q under %q from %q:\n%s", text, prefix, from, d)
					}
				}
			}
		}
	}
	n := r.Snapshot()
	sel, _ := labels.Parse("app=a1,name")
	if _, ok := n.labelled(sel, "", ""); !ok {
		t.Error("few entries with a label were not found by it")
	}
}

// TestKeysTellNames: the fields that every object has are not kept.
func TestKeysTellNames(t *testing.T) {
	r := newRig(t, 0)
	for key, want := range map[string]string{"ns/a": "metadata.name=a,metadata.namespace=ns,node=n1", "b": "metadata.name=b,metadata.namespace=,node=n1"} {
		r.Store.apply(storage.Event{KeyValue: storage.KeyValue{Key: "/registry/boats/" + key, Value: boat("x", "red", "n1"), ModRevision: 1}})
		e, _ := r.Get("/registry/boats/" + key)
		if sel, err := fields.ParseSelector(want); err != nil || !sel.Matches(e) || !e.Has("node") || e.Has("other") {
			t.Errorf("%s is not selected by %s: %v", key, want, err)
		}
	}
}
