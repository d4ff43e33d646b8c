package rbac

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/validation"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// Everything are the rules of an administrator of the cluster.
func Everything() []rbacv1.PolicyRule {
	star := []string{all}
	return []rbacv1.PolicyRule{
		{Verbs: star, APIGroups: star, Resources: star},
		{Verbs: star, NonResourceURLs: star},
	}
}

// ConfirmHeld answers an error that lists the rights among rules that the user does not hold in namespace.
func ConfirmHeld(ix *Index, user *request.User, namespace string, rules []rbacv1.PolicyRule) error {
	held, missing := ix.Rules(user, namespace)
	ok, uncovered := validation.Covers(held, rules)
	if ok {
		return nil
	}
	var lines []string
	for _, r := range compact(uncovered) {
		if s := describe(r); !slices.Contains(lines, s) {
			lines = append(lines, s)
		}
	}
	slices.Sort(lines)
	text := fmt.Sprintf("user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%s",
		user.Name, user.Groups, strings.Join(lines, "\n"))
	if missing != nil {
		text += fmt.Sprintf("; resolution errors: [%v]", missing)
	}
	return fmt.Errorf("%s", text)
}

// compact puts rules together that differ in their verbs alone, if each is about one resource.
func compact(rules []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	type target struct{ group, resource, name string }
	at := map[target]int{}
	var out []rbacv1.PolicyRule
	for _, r := range rules {
		if len(r.APIGroups) != 1 || len(r.Resources) != 1 || len(r.ResourceNames) > 1 || len(r.NonResourceURLs) > 0 {
			out = append(out, r)
			continue
		}
		t := target{group: r.APIGroups[0], resource: r.Resources[0]}
		if len(r.ResourceNames) == 1 {
			t.name = r.ResourceNames[0]
		}
		if i, ok := at[t]; ok {
			out[i].Verbs = append(slices.Clone(out[i].Verbs), r.Verbs...)
			continue
		}
		at[t] = len(out)
		out = append(out, r)
	}
	return out
}

// describe writes a rule as upstream's messages do: only what is set, in this order.
func describe(r rbacv1.PolicyRule) string {
	var parts []string
	add := func(name string, list []string) {
		if len(list) > 0 {
			parts = append(parts, fmt.Sprintf("%s:%q", name, list))
		}
	}
	add("APIGroups", r.APIGroups)
	add("Resources", r.Resources)
	add("NonResourceURLs", r.NonResourceURLs)
	add("ResourceNames", r.ResourceNames)
	add("Verbs", r.Verbs)
	return "{" + strings.Join(parts, ", ") + "}"
}
