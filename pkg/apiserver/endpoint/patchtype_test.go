package endpoint

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestKindsOfPatchesAreNamedInTheirOwnLetters(t *testing.T) {
	s := boats(t)
	for header, known := range map[string]bool{
		"application/merge-patch+json": true, "application/merge-patch+json; charset=utf-8": true, "application/merge-patch+json;;": true, "application/apply-patch+yaml": true,
		"Application/Merge-Patch+JSON": false, " application/merge-patch+json ": false, "application/json": false, "": false, ";": false,
		"application/merge-patch+json, application/json-patch+json": false,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPatch, "/", http.NoBody)
		r.Header.Set("Content-Type", header)
		if _, err := s.patchType(r); (err == nil) != known {
			t.Errorf("%q: %v", header, err)
		}
	}
}
