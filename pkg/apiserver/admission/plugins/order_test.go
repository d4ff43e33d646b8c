package plugins

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
)

func TestPluginsForKindsThatAreNotServedSaySoWhenAskedFor(t *testing.T) {
	var idle, others []string
	for _, e := range order {
		if e.on && e.build == nil {
			idle = append(idle, e.name)
		} else {
			others = append(others, e.name)
		}
	}
	if want := []string{"PodGroupProtection", "ClusterTrustBundleAttest", "PodGroupWorkloadExists", "JobValidation"}; !slices.Equal(idle, want) {
		t.Errorf("on by default and not built are %v, want %v", idle, want)
	}
	for _, enable := range [][]string{nil, idle} {
		var told []string
		log := funcr.New(func(_, text string) { told = append(told, text) }, funcr.Options{})
		chain, err := New(t.Context(), Config{Enable: enable, Disable: others, Log: log})
		if err != nil || len(chain) > 0 {
			t.Errorf("asked for %v: rules %v, %v", enable, chain, err)
		}
		if len(told) != len(enable) {
			t.Fatalf("asked for %v, told %v", enable, told)
		}
		for i, name := range enable {
			if !strings.Contains(told[i], "nothing to do") || !strings.Contains(told[i], `"`+name+`"`) {
				t.Errorf("asked for %s, told %s", name, told[i])
			}
		}
	}
}
