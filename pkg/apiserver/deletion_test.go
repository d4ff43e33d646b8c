package apiserver

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
)

// TestDeletionCarriesItsOwnVersion deletes a pod: what is answered and what is watched last, in both encodings, is the
// pod as it was announced, in the version of its deletion.
func TestDeletionCarriesItsOwnVersion(t *testing.T) {
	s := inMemory(t)
	h := s.handler(t.Context())
	s.must(t, h, "POST", "/api/v1/namespaces", "application/json", `{"metadata":{"name":"bench"}}`)
	s.must(t, h, "POST", "/api/v1/namespaces/bench/serviceaccounts", "application/json", `{"metadata":{"name":"default"}}`)
	created := podOf(t, []byte(s.must(t, h, "POST", "/api/v1/namespaces/bench/pods", "application/json", fmt.Sprintf(benchPod, 0))))
	answered := podOf(t, []byte(s.must(t, h, "DELETE", "/api/v1/namespaces/bench/pods/pod-0?gracePeriodSeconds=0", "", "")))
	for _, media := range []string{"application/json", "application/vnd.kubernetes.protobuf;stream=watch"} {
		events := s.watched(t, h, "/api/v1/namespaces/bench/pods?watch=true&resourceVersion="+created.ResourceVersion, media)
		if len(events) != 2 || events[0].Type != "MODIFIED" || events[1].Type != "DELETED" {
			t.Fatalf("%s: watched %+v", media, events)
		}
		announced, deleted := podOf(t, events[0].Object.Raw), podOf(t, events[1].Object.Raw)
		if version(t, announced) <= version(t, created) || version(t, deleted) <= version(t, announced) {
			t.Errorf("%s: created in %s, announced in %s, deleted in %s", media, created.ResourceVersion, announced.ResourceVersion, deleted.ResourceVersion)
		}
		if !bytes.Equal(marshalled(t, deleted), marshalled(t, answered)) {
			t.Errorf("%s: watched %s, answered %s", media, marshalled(t, deleted), marshalled(t, answered))
		}
		announced.ResourceVersion = deleted.ResourceVersion
		if deleted.DeletionTimestamp == nil || !bytes.Equal(marshalled(t, deleted), marshalled(t, announced)) {
			t.Errorf("%s: announced %s, deleted %s", media, marshalled(t, announced), marshalled(t, deleted))
		}
	}
}

func podOf(t *testing.T, b []byte) *corev1.Pod {
	t.Helper()
	o, _, err := scheme.Codecs.UniversalDeserializer().Decode(b, nil, nil)
	if err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return o.(*corev1.Pod)
}

func version(t *testing.T, p *corev1.Pod) int64 {
	t.Helper()
	v, err := strconv.ParseInt(p.ResourceVersion, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func marshalled(t *testing.T, p *corev1.Pod) []byte {
	t.Helper()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// watched are the events of a watch until a deletion.
func (s *benched) watched(t *testing.T, h http.Handler, path, media string) (out []metav1.WatchEvent) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://bench"+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer admin")
	r.Header.Set("Accept", media)
	w := &flushed{answer: answer{header: http.Header{}}, stop: stop}
	h.ServeHTTP(w, r)
	for rest := w.body.Bytes(); len(rest) > 0; {
		var e metav1.WatchEvent
		if media == "application/json" {
			line, more, _ := bytes.Cut(rest, []byte("\n"))
			err, rest = json.Unmarshal(line, &e), more
		} else {
			size := 4 + binary.BigEndian.Uint32(rest)
			err, rest = e.Unmarshal(rest[4:size]), rest[size:]
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// flushed is a client that goes once it has seen a deletion.
type flushed struct {
	answer
	stop func()
}

func (f *flushed) Flush() {
	if bytes.Contains(f.body.Bytes(), []byte("DELETED")) {
		f.stop()
	}
}
