package apiserver

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sampan-project/sampan/test/oracle/documents"
)

// TestDocumentsOfTheAPIAreUpstreams compares every OpenAPI document with digests of what kube-apiserver answers.
// `make compare-openapi` shows differences one by one, where the recorded documents are at hand.
func TestDocumentsOfTheAPIAreUpstreams(t *testing.T) {
	text, err := os.ReadFile("../oracle/openapi/digests")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		path, digest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		want[path] = append(want[path], digest)
	}
	if len(want) < 20 {
		t.Fatalf("there are digests of %d documents alone", len(want))
	}
	admin := start(t, t.TempDir()).as(adminToken)
	for path, digests := range want {
		a := admin.send(t, http.MethodGet, "/openapi/"+path, "", nil)
		d, err := documents.Read(a.body)
		if a.code != http.StatusOK || err != nil {
			t.Errorf("%s: %d: %v", path, a.code, err)
			continue
		}
		for _, got := range d.Digest() {
			if !slices.Contains(digests, got) {
				t.Errorf("%s: %s is not among what kube-apiserver answers: %v", path, got, digests)
			}
		}
		if len(d.Digest()) != len(digests) {
			t.Errorf("%s has %d parts, want %d", path, len(d.Digest()), len(digests))
		}
	}
}
