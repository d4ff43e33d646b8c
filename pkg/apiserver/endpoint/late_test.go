package endpoint

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/storage"
)

// mute is an etcd that answers, but tells nothing of what happens.
type mute struct{ *storage.Memory }

func (mute) Watch(ctx context.Context, _ string, _ int64) <-chan storage.Batch {
	events := make(chan storage.Batch)
	context.AfterFunc(ctx, func() { close(events) })
	return events
}

// TestReadsDoNotWaitForEventsThatAreLate: etcd itself says what it has.
func TestReadsDoNotWaitForEventsThatAreLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := mute{storage.NewMemory()}
		s := boatsIn(t, etcd)
		if _, err := etcd.Create(t.Context(), resource.Root+"example.com/boats/n/boat-001", []byte(boat("boat-001", "v1", nil)), 0); err != nil {
			t.Fatal(err)
		}
		if _, l := collection(t, s, http.MethodGet, ""); !slices.Equal(l.names(), []string{"1"}) || l.Metadata.ResourceVersion != "2" {
			t.Errorf("a list: %v", l)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/apis/example.com/v1/namespaces/n/boats/boat-001", http.NoBody)
		info, err := Parse(r)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		s.get(w, r.WithContext(request.Begin(r.Context(), info)), info)
		if w.Code != http.StatusOK {
			t.Errorf("a get: %d %s", w.Code, w.Body)
		}
		if code, _ := collection(t, s, http.MethodGet, "resourceVersion=2"); code != http.StatusGatewayTimeout {
			t.Errorf("a list from the cache at what it has not reached: %d", code)
		}
	})
}

// TestPagesGoOnWhereEventsAreLate: the pages that follow come from where the first one did.
func TestPagesGoOnWhereEventsAreLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		etcd := mute{storage.NewMemory()}
		s := boatsIn(t, etcd)
		for _, name := range []string{"boat-001", "boat-002", "boat-003"} {
			key := resource.Root + "example.com/boats/n/" + name
			if _, err := etcd.Create(t.Context(), key, []byte(boat(name, "v1", nil)), 0); err != nil {
				t.Fatal(err)
			}
		}
		_, first := collection(t, s, http.MethodGet, "limit=2")
		if !slices.Equal(first.names(), []string{"1", "2"}) || first.Metadata.Continue == "" {
			t.Fatalf("the first page: %v", first)
		}
		code, second := collection(t, s, http.MethodGet, "limit=2&continue="+first.Metadata.Continue)
		if code != http.StatusOK || !slices.Equal(second.names(), []string{"3"}) {
			t.Errorf("the second page: %d %v", code, second)
		}
		exact := "&resourceVersionMatch=Exact"
		if code, l := collection(t, s, http.MethodGet, "resourceVersion=3"+exact); !slices.Equal(l.names(), []string{"1", "2"}) {
			t.Errorf("a version that etcd has: %d %v", code, l)
		}
		if code, _ := collection(t, s, http.MethodGet, "resourceVersion=99"+exact); code != http.StatusGatewayTimeout {
			t.Errorf("a version that etcd has not: %d", code)
		}
	})
}
