package endpoint

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestEveryErrorHasACode: what others answer as a Status may have none, and no answer can be sent without.
func TestEveryErrorHasACode(t *testing.T) {
	for what, err := range map[string]error{
		"a plain error":           errors.New("it broke"),
		"a status without a code": &apierrors.StatusError{ErrStatus: metav1.Status{Message: "it broke"}},
	} {
		w := httptest.NewRecorder()
		fail(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody), err)
		var status metav1.Status
		if err := json.Unmarshal(w.Body.Bytes(), &status); err != nil {
			t.Fatal(err)
		}
		if w.Code != http.StatusInternalServerError || status.Code != http.StatusInternalServerError || status.Status != metav1.StatusFailure || status.Message != "it broke" {
			t.Errorf("%s: %d, %+v", what, w.Code, status)
		}
	}
}
