package watchcache

import (
	"encoding/json"
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/storage"
)

// painted is the kind of boats read in another way: all are gold.
func painted(r *rig) Kind {
	k := boats(&r.decoded)
	decode := k.Decode
	k.Decode = func(value []byte, revision int64) (Object, error) {
		o, err := decode(value, revision)
		if err == nil {
			o.SetLabels(map[string]string{"color": "gold"})
		}
		return o, err
	}
	return k
}

// TestWatchesGoOnWhereAKindWasRemade: their clients have missed nothing, and need not list again.
func TestWatchesGoOnWhereAKindWasRemade(t *testing.T) {
	r := newRig(t, 0)
	r.put(t, "ns/a", boat("a", "red", "n"))
	seen, err := r.cache.Fresh(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, selection := range []Selection{{}, {Prefix: "/registry/boats/ns/"}} {
		w, err := r.Watch(seen, selection)
		if err != nil {
			t.Fatal(err)
		}
		r.cache.Add(painted(r))
		if _, err := w.Next(r.ctx, nil); !errors.Is(err, ErrRemade) {
			t.Errorf("the watch ended with %v", err)
		}
		w.Close()
		if w, err = r.Watch(seen, selection); err != nil {
			t.Errorf("it does not go on: %v", err)
		} else {
			w.Close()
		}
	}
	if e, _ := r.Get("/registry/boats/ns/a"); e.Labels().Get("color") != "gold" {
		t.Errorf("it is read as before: %v", e.Labels())
	}
}

// TestAWriteOfTheOldKindIsReadAsTheNewOne, where the kind is replaced between its announcement and its event.
func TestAWriteOfTheOldKindIsReadAsTheNewOne(t *testing.T) {
	const key = "/registry/boats/x/a"
	r := newRig(t, 10)
	value, o := boat("a", "red", "n1"), &metav1.PartialObjectMetadata{}
	if err := json.Unmarshal(value, o); err != nil {
		t.Fatal(err)
	}
	p := r.Begin(key, value, o, false)
	r.cache.Add(painted(r))
	p.Done(5)
	r.Store.apply(storage.Event{KeyValue: storage.KeyValue{Key: key, Value: value, ModRevision: 5}})
	if e, _ := r.Get(key); e.Labels().Get("color") != "gold" {
		t.Errorf("the store holds what was written: %v", e.Labels())
	}
}
