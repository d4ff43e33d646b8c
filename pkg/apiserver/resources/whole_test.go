package resources

import (
	"slices"
	"testing"
)

// TestUpdatesThatAreJudgedAsCreations: faults of their metadata are told once more than those of other updates.
func TestUpdatesThatAreJudgedAsCreations(t *testing.T) {
	whole := []string{"configmaps", "endpoints", "limitranges", "namespaces", "nodes", "persistentvolumeclaims", "persistentvolumes",
		"pods", "secrets", "serviceaccounts", "controllerrevisions", "jobs", "endpointslices"}
	for _, r := range All(testDeps()) {
		if g := r.Kind.Group; g != "" && g != "apps" && g != "batch" && g != "discovery.k8s.io" {
			continue
		}
		if want := slices.Contains(whole, r.Plural); r.WholeUpdate != want {
			t.Errorf("%s: %v, want %v", r.Plural, r.WholeUpdate, want)
		}
	}
}
