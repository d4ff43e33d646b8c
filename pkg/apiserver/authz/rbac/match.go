// Package rbac decides by the roles and bindings that are stored in the cluster.
package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// all stands for every verb, group, resource or URL.
const all = "*"

// Allows says whether one of the rules permits the request.
func Allows(info *request.Info, rules []rbacv1.PolicyRule) bool {
	for i := range rules {
		if allows(info, &rules[i]) {
			return true
		}
	}
	return false
}

func allows(info *request.Info, rule *rbacv1.PolicyRule) bool {
	if !contains(rule.Verbs, info.Verb) {
		return false
	}
	if !info.IsResource {
		return matchesURL(rule.NonResourceURLs, info.Path)
	}
	return contains(rule.APIGroups, info.Group) &&
		matchesResource(rule.Resources, info.Resource, info.Subresource) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, info.Name))
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == all || l == s {
			return true
		}
	}
	return false
}

// matchesResource knows the forms "*", "pods", "pods/log" and "*/log".
func matchesResource(rules []string, resource, subresource string) bool {
	for _, r := range rules {
		if r == all {
			return true
		}
		if subresource == "" {
			if r == resource {
				return true
			}
			continue
		}
		before, after, ok := strings.Cut(r, "/")
		if ok && after == subresource && (before == all || before == resource) {
			return true
		}
	}
	return false
}

// matchesURL knows the forms "*", an exact path, and a path that ends in "*".
func matchesURL(rules []string, path string) bool {
	for _, r := range rules {
		if r == all || r == path {
			return true
		}
		if prefix, ok := strings.CutSuffix(r, all); ok && strings.HasPrefix(path, strings.TrimRight(prefix, all)) {
			return true
		}
	}
	return false
}
