package apiserver

import (
	"fmt"
	"net/http"
	"testing"
)

// unread is a client that looks at nothing.
type unread struct {
	header http.Header
	code   int
}

func (u *unread) Header() http.Header         { return u.header }
func (u *unread) Write(p []byte) (int, error) { return len(p), nil }
func (u *unread) WriteHeader(code int)        { u.code = code }

// BenchmarkGet is what a get costs beside the connection and the question for etcd's revision.
func BenchmarkGet(b *testing.B) {
	s := inMemory(b)
	h := s.handler(b.Context())
	s.must(b, h, "POST", "/api/v1/namespaces", "application/json", `{"metadata":{"name":"bench"}}`)
	s.must(b, h, "POST", "/api/v1/namespaces/bench/serviceaccounts", "application/json", `{"metadata":{"name":"default"}}`)
	s.must(b, h, "POST", "/api/v1/namespaces/bench/pods", "application/json", fmt.Sprintf(benchPod, 0))
	s.must(b, h, "GET", "/api/v1/namespaces/bench/pods/pod-0", "application/json", "") // until the cache has it
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "https://bench/api/v1/namespaces/bench/pods/pod-0?resourceVersion=0", http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Accept", "application/json")
	b.ReportAllocs()
	for b.Loop() {
		w := unread{header: http.Header{}}
		r.Header.Set("Authorization", "Bearer admin") // which is taken out once it is accepted
		if h.ServeHTTP(&w, r); w.code != http.StatusOK {
			b.Fatal(w.code)
		}
	}
}
