package policy

import (
	"strings"
	"testing"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

func paths(faults field.ErrorList) string {
	var list []string
	for _, f := range faults {
		list = append(list, f.Field)
	}
	return strings.Join(list, " ")
}

func TestBudgetsAreJudged(t *testing.T) {
	amount := func(text string) *intstr.IntOrString { return new(intstr.Parse(text)) }
	never := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: metav1.LabelSelectorOpIn, Values: []string{"not a value"}}}}
	for name, c := range map[string]struct {
		spec     policyv1.PodDisruptionBudgetSpec
		tolerant bool
		want     string
	}{
		"nothing":           {policyv1.PodDisruptionBudgetSpec{}, false, ""},
		"none may go":       {policyv1.PodDisruptionBudgetSpec{MaxUnavailable: amount("0")}, false, ""},
		"fewer than none":   {policyv1.PodDisruptionBudgetSpec{MaxUnavailable: amount("-1")}, false, "spec.maxUnavailable"},
		"all must stay":     {policyv1.PodDisruptionBudgetSpec{MinAvailable: amount("100%")}, false, ""},
		"more than all":     {policyv1.PodDisruptionBudgetSpec{MinAvailable: amount("101%")}, false, "spec.minAvailable"},
		"no amount":         {policyv1.PodDisruptionBudgetSpec{MinAvailable: amount("some")}, false, "spec.minAvailable"},
		"both":              {policyv1.PodDisruptionBudgetSpec{MinAvailable: amount("1"), MaxUnavailable: amount("1")}, false, "spec"},
		"for the unhealthy": {policyv1.PodDisruptionBudgetSpec{UnhealthyPodEvictionPolicy: ptr.To(policyv1.AlwaysAllow)}, false, ""},
		"another policy":    {policyv1.PodDisruptionBudgetSpec{UnhealthyPodEvictionPolicy: ptr.To(policyv1.UnhealthyPodEvictionPolicyType("Odd"))}, false, "spec.unhealthyPodEvictionPolicy"},
		"nobody":            {policyv1.PodDisruptionBudgetSpec{Selector: never}, false, "spec.selector.matchExpressions[0].values[0]"},
		"nobody, as before": {policyv1.PodDisruptionBudgetSpec{Selector: never}, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := paths(validateBudget(&c.spec, c.tolerant)); got != c.want {
				t.Errorf("faults at %q, want %q", got, c.want)
			}
		})
	}
}

func TestABudgetsStatusCountsUpwards(t *testing.T) {
	good := policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: 1, CurrentHealthy: 2, DesiredHealthy: 1, ExpectedPods: 2}
	if faults := validateStatus(&good); len(faults) > 0 {
		t.Error(faults)
	}
	bad := policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: -1, CurrentHealthy: -1, DesiredHealthy: -1, ExpectedPods: -1}
	if got := paths(validateStatus(&bad)); got != "status.disruptionsAllowed status.currentHealthy status.desiredHealthy status.expectedPods" {
		t.Errorf("faults at %q", got)
	}
}
