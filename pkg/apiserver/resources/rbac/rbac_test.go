package rbac

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
)

func paths(faults field.ErrorList) string {
	var list []string
	for _, f := range faults {
		list = append(list, f.Field)
	}
	return strings.Join(list, " ")
}

func TestRulesAreForResourcesOrForPaths(t *testing.T) {
	all, pods, health := []string{"*"}, []string{"pods"}, []string{"/healthz"}
	for name, c := range map[string]struct {
		rule       rbacv1.PolicyRule
		namespaced bool
		want       string
	}{
		"resources":         {rbacv1.PolicyRule{Verbs: all, APIGroups: all, Resources: pods}, true, ""},
		"no verb":           {rbacv1.PolicyRule{APIGroups: all, Resources: pods}, true, "rules[0].verbs"},
		"no group":          {rbacv1.PolicyRule{Verbs: all, Resources: pods}, true, "rules[0].apiGroups"},
		"no resource":       {rbacv1.PolicyRule{Verbs: all, APIGroups: all}, true, "rules[0].resources"},
		"a path":            {rbacv1.PolicyRule{Verbs: all, NonResourceURLs: health}, false, ""},
		"a namespaced path": {rbacv1.PolicyRule{Verbs: all, NonResourceURLs: health}, true, "rules[0].nonResourceURLs"},
		"both":              {rbacv1.PolicyRule{Verbs: all, NonResourceURLs: health, Resources: pods}, false, "rules[0].nonResourceURLs"},
	} {
		if got := paths(validateRules([]rbacv1.PolicyRule{c.rule}, c.namespaced)); got != c.want {
			t.Errorf("%s: faults at %q, want %q", name, got, c.want)
		}
	}
}

func TestAggregationNeedsSelectorsThatCanMatch(t *testing.T) {
	rule := func(values ...string) *rbacv1.AggregationRule {
		r := &rbacv1.AggregationRule{}
		for _, v := range values {
			r.ClusterRoleSelectors = append(r.ClusterRoleSelectors, metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: "a", Operator: metav1.LabelSelectorOpIn, Values: []string{v}}}})
		}
		return r
	}
	const at = "aggregationRule.clusterRoleSelectors"
	for name, c := range map[string]struct {
		rule, old *rbacv1.AggregationRule
		want      string
	}{
		"none":              {nil, nil, ""},
		"good":              {rule("b"), nil, ""},
		"empty":             {rule(), nil, at},
		"no match":          {rule("b", "not a value"), nil, at + "[1].matchExpressions[0].values[0] " + at + "[1]"},
		"no match, as ever": {rule("not a value"), rule("no value either"), at + "[0]"},
	} {
		if got := paths(validateAggregation(c.rule, tolerates(c.old))); got != c.want {
			t.Errorf("%s: faults at %q, want %q", name, got, c.want)
		}
	}
}

func TestBindingsAreJudged(t *testing.T) {
	role := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "r"}
	for name, c := range map[string]struct {
		ref        rbacv1.RoleRef
		subject    rbacv1.Subject
		namespaced bool
		old        *rbacv1.RoleRef
		want       string
	}{
		"a user":                     {role, rbacv1.Subject{Kind: "User", Name: "u"}, false, nil, ""},
		"nobody":                     {role, rbacv1.Subject{Kind: "User"}, false, nil, "subjects[0].name"},
		"a user of another group":    {role, rbacv1.Subject{Kind: "User", Name: "u", APIGroup: "x"}, false, nil, "subjects[0].apiGroup"},
		"an account":                 {role, rbacv1.Subject{Kind: "ServiceAccount", Name: "a", Namespace: "n"}, false, nil, ""},
		"an account of no namespace": {role, rbacv1.Subject{Kind: "ServiceAccount", Name: "a"}, false, nil, "subjects[0].namespace"},
		"an account of this one":     {role, rbacv1.Subject{Kind: "ServiceAccount", Name: "a"}, true, nil, ""},
		"no account's name":          {role, rbacv1.Subject{Kind: "ServiceAccount", Name: "A:B"}, true, nil, "subjects[0].name"},
		"a machine":                  {role, rbacv1.Subject{Kind: "Machine", Name: "m"}, false, nil, "subjects[0].kind"},
		"a role for all":             {rbacv1.RoleRef{Kind: "Role", Name: "r"}, rbacv1.Subject{Kind: "User", Name: "u"}, false, nil, "roleRef.kind"},
		"a role here":                {rbacv1.RoleRef{Kind: "Role", Name: "r"}, rbacv1.Subject{Kind: "User", Name: "u"}, true, nil, ""},
		"no role":                    {rbacv1.RoleRef{Kind: "Role"}, rbacv1.Subject{Kind: "User", Name: "u"}, true, nil, "roleRef.name"},
		"another role":               {role, rbacv1.Subject{Kind: "User", Name: "u"}, false, &rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "s"}, "roleRef"},
	} {
		b := bound{c.namespaced, &c.ref, []rbacv1.Subject{c.subject}}
		b.setDefaults()
		if got := paths(b.validate(c.old)); got != c.want {
			t.Errorf("%s: faults at %q, want %q", name, got, c.want)
		}
	}
}

func TestSubjectsAreShownByKind(t *testing.T) {
	b := bound{true, &rbacv1.RoleRef{Kind: "Role", Name: "r"}, []rbacv1.Subject{
		{Kind: "User", Name: "u"}, {Kind: "ServiceAccount", Name: "a", Namespace: "n"}, {Kind: "User", Name: "v"}, {Kind: "Group", Name: "g"}}}
	now := time.Unix(1000, 0)
	want := []any{"b", "Role/r", "10s", "u, v", "g", "n/a"}
	if diff := cmp.Diff(want, column.At(b.row("b", metav1.NewTime(now.Add(-10*time.Second))), now)); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}
