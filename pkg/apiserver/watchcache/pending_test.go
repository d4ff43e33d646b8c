package watchcache

import (
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/storage"
)

// TestWhatWasWrittenHereIsNotDecoded lets the log and the writer hear of a write in either order: both have
// the one entry with the writer's object, and nothing was decoded.
func TestWhatWasWrittenHereIsNotDecoded(t *testing.T) {
	for name, eventFirst := range map[string]bool{"the event comes first": true, "the answer comes first": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 10)
			value, o := boat("a", "red", "n1"), &metav1.PartialObjectMetadata{}
			if err := json.Unmarshal(value, o); err != nil {
				t.Fatal(err)
			}
			p := r.Begin("/registry/boats/x/a", value, o, false)
			event := storage.Event{KeyValue: storage.KeyValue{Key: "/registry/boats/x/a", Value: value, ModRevision: 5}}
			var written *Entry
			if eventFirst {
				r.Store.apply(event)
				written = p.Done(5)
			} else {
				written = p.Done(5)
				r.Store.apply(event)
			}
			kept, ok := r.Store.Get("/registry/boats/x/a")
			if !ok || kept != written {
				t.Errorf("the writer has %v, the cache %v", written, kept)
			}
			if got, _ := kept.Object(); got != Object(o) || o.ResourceVersion != "5" {
				t.Errorf("the entry holds %v, not what was written", got)
			}
			if r.decoded != 0 {
				t.Errorf("%d objects were decoded", r.decoded)
			}
			if n := len(r.cache.pending.byKey); n != 0 {
				t.Errorf("%d writes are still awaited", n)
			}
		})
	}
}

// TestAnotherWriteIsNotTakenForOurs: an event that a refused write could have made too is decoded.
func TestAnotherWriteIsNotTakenForOurs(t *testing.T) {
	r := newRig(t, 10)
	key := "/registry/boats/x/a"
	ours := r.Begin(key, boat("a", "red", "n1"), &metav1.PartialObjectMetadata{}, false)
	r.Store.apply(storage.Event{KeyValue: storage.KeyValue{Key: key, Value: boat("a", "blue", "n1"), ModRevision: 5}})
	ours.Drop()
	same := boat("a", "green", "n1")
	one, two := r.Begin(key, same, &metav1.PartialObjectMetadata{}, false), r.Begin(key, same, &metav1.PartialObjectMetadata{}, false)
	r.Store.apply(storage.Event{KeyValue: storage.KeyValue{Key: key, Value: same, ModRevision: 6}})
	one.Done(6)
	two.Drop()
	if e, _ := r.Store.Get(key); e.Labels().Get("color") != "green" || r.decoded != 2 {
		t.Errorf("%v after %d were decoded, want what etcd said, decoded each time", e.Labels(), r.decoded)
	}
	r.cache.pending.sweep(6)
	if n := len(r.cache.pending.byKey); n != 0 {
		t.Errorf("%d writes are still awaited", n)
	}
}
