package h2

import (
	"net/textproto"
	"strings"
	"testing"
)

// TestKnownNames are spelled as those that are not known would be.
func TestKnownNames(t *testing.T) {
	for lower, name := range known {
		if got := textproto.CanonicalMIMEHeaderKey(lower); got != name || canonical(lower) != name || lowered(name) != strings.ToLower(name) {
			t.Errorf("%s is %s, %s and %s", lower, got, canonical(lower), lowered(name))
		}
	}
}
