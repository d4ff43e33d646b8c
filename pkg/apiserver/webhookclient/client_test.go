package webhookclient

import (
	"io"
	"net/http"
	"strings"
	"testing"

	reviewv1 "k8s.io/api/admission/v1"
)

// speaking is a webhook that says a review, and spaces after it.
type speaking struct{ spaces int }

func (s speaking) RoundTrip(r *http.Request) (*http.Response, error) {
	said := `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}` + strings.Repeat(" ", s.spaces)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(said)), Request: r}, nil
}

func TestAnswersAreReadUpToABound(t *testing.T) {
	clients, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for spaces, want := range map[int]string{1: "", mostAnswer: "too large"} {
		c, err := clients.Through(speaking{spaces})
		if err != nil {
			t.Fatal(err)
		}
		err = c.Post(t.Context(), &reviewv1.AdmissionReview{}, &reviewv1.AdmissionReview{})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d spaces: %v", spaces, err)
		}
	}
}
