package validation

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// TestWebhookService tells which part of a service is missing or wrong.
func TestWebhookService(t *testing.T) {
	path := func(s string) *string { return &s }
	for name, c := range map[string]struct {
		namespace, name string
		path            *string
		port            int32
		want            string // the first fault's field; empty: none
	}{
		"whole":            {"ns", "svc", path("/a/b"), 443, ""},
		"no path":          {"ns", "svc", nil, 1, ""},
		"the highest port": {"ns", "svc", nil, 65535, ""},
		"no name":          {"ns", "", nil, 443, "service.name"},
		"no namespace":     {"", "svc", nil, 443, "service.namespace"},
		"port 0":           {"ns", "svc", nil, 0, "service.port"},
		"port 65536":       {"ns", "svc", nil, 65536, "service.port"},
		"a relative path":  {"ns", "svc", path("a"), 443, "service.path"},
		"an empty segment": {"ns", "svc", path("/a//b"), 443, "service.path"},
	} {
		t.Run(name, func(t *testing.T) {
			faults, got := WebhookService(field.NewPath("service"), c.namespace, c.name, c.path, c.port), ""
			if len(faults) > 0 {
				got = faults[0].Field
			}
			if got != c.want {
				t.Errorf("the first fault is at %q, want %q: %v", got, c.want, faults)
			}
		})
	}
}
