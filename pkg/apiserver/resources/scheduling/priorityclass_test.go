package scheduling

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func class(name string, value int32, policy corev1.PreemptionPolicy) *schedulingv1.PriorityClass {
	return &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value, PreemptionPolicy: &policy}
}

func TestPriorityClassesOfUsersStayBelowThoseOfTheSystem(t *testing.T) {
	for name, c := range map[string]struct {
		obj  *schedulingv1.PriorityClass
		want string
	}{
		"the highest of users":          {class("a", 1_000_000_000, corev1.PreemptNever), ""},
		"above it":                      {class("a", 1_000_000_001, corev1.PreemptNever), "value: Forbidden: maximum allowed value of a user defined priority is 1000000000"},
		"a class of the system":         {class("system-node-critical", 2_000_001_000, corev1.PreemptLowerPriority), ""},
		"another value under its name":  {class("system-node-critical", 5, corev1.PreemptLowerPriority), "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: value of system-node-critical PriorityClass must be 2000001000"},
		"a name that looks like system": {class("system-x", 5, corev1.PreemptLowerPriority), "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-x is not a known system priority class"},
		"a policy that nobody knows":    {class("a", 5, "Maybe"), `preemptionPolicy: Unsupported value: "Maybe": supported values: "PreemptLowerPriority", "Never"`},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if faults := validatePriorityClass(context.Background(), c.obj, nil); len(faults) > 0 {
				got = faults[0].Error()
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
