package names

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

// FuzzNames compares with the library's expressions.
func FuzzNames(f *testing.F) {
	for _, s := range []string{
		"", "a", "-", "a-", "-a", "a-b", "a--b", "a.b", "a..b", "a.-b", "a-.b", ".a", "a.", "A", "aB", "ä", "a b", "a_b", "_a", "a/b", "/a", "a/", "a/b/c",
		"example.com/Name", "Example.com/name", "example.com/-a", "0", "9.9", "a\n", "a\x00",
		strings.Repeat("a", longestLabel), strings.Repeat("a", longestLabel+1), strings.Repeat("a", longestSubdomain), strings.Repeat("a", longestSubdomain+1),
		strings.Repeat("a.", longestSubdomain/2) + "a", strings.Repeat("a.", longestSubdomain/2) + "aa", strings.Repeat("a", longestSubdomain+1) + "/a",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for name, both := range map[string]struct {
			own       func(string) bool
			reference func(string) []string
		}{
			"IsLabel":     {IsLabel, validation.IsDNS1123Label},
			"IsSubdomain": {IsSubdomain, validation.IsDNS1123Subdomain},
			"IsKey":       {IsKey, validation.IsQualifiedName},
			"IsValue":     {IsValue, validation.IsValidLabelValue},
		} {
			if want := len(both.reference(s)) == 0; both.own(s) != want {
				t.Errorf("%s(%q) = %t, the library says %t", name, s, !want, want)
			}
		}
	})
}
