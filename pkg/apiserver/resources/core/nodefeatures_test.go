package core

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestNodesDeclareASortedSetOfFeatures(t *testing.T) {
	for name, c := range map[string]struct {
		list []string
		want string
	}{
		"none":         {nil, ""},
		"sorted":       {[]string{"A", "B/sub", "C1/Sub/x2"}, ""},
		"twice":        {[]string{"A", "A"}, `status.declaredFeatures[1]: Duplicate value: "A"`},
		"out of order": {[]string{"B", "A"}, `status.declaredFeatures[1]: Invalid value: "A": list must be sorted alphabetically`},
		"no name": {[]string{"a-b"}, `status.declaredFeatures[0]: Invalid value: "a-b": invalid feature name "a-b": must start with an UpperCamelCase segment, ` +
			`with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes`},
		"too long": {[]string{strings.Repeat("A", 254)}, "must be no more than 253 characters"},
	} {
		n := &corev1.Node{Status: corev1.NodeStatus{DeclaredFeatures: c.list}}
		for by, err := range map[string]error{"create": validateNewNode(n).ToAggregate(), "update of the status": validateChangedNode(n, n).ToAggregate()} {
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasSuffix(err.Error(), c.want)) {
				t.Errorf("%s by %s: %v, want %s", name, by, err, c.want)
			}
		}
	}
}
