package authn

import (
	"slices"
	"testing"
)

func TestGroupsOfABootstrapTokenAreSortedAndToldOnce(t *testing.T) {
	for list, want := range map[string][]string{
		"":                       {"system:bootstrappers"},
		"system:bootstrappers:b": {"system:bootstrappers", "system:bootstrappers:b"},
		"system:bootstrappers:z,system:bootstrappers:a,system:bootstrappers:z": {"system:bootstrappers", "system:bootstrappers:a", "system:bootstrappers:z"},
		"system:masters":                         nil,
		"system:bootstrappers:a,":                nil,
		"system:bootstrappers:":                  nil,
		"system:bootstrappers:a,system:masters":  nil,
		"system:bootstrappers:a\nsystem:masters": nil,
	} {
		got, ok := bootstrapGroups(list)
		if !slices.Equal(got, want) || ok != (want != nil) {
			t.Errorf("%q: %q, %v", list, got, ok)
		}
	}
}
