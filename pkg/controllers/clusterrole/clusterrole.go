// Package clusterrole fills in cluster roles that are put together from others by their labels.
package clusterrole

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	applyv1 "k8s.io/client-go/applyconfigurations/rbac/v1"

	"github.com/sampan-project/sampan/pkg/controller"
)

// manager is the name under which kube-controller-manager writes the rules: who applies such a role himself is told of it.
const manager = "clusterrole-aggregation-controller"

// New makes the controller. Its keys are names of cluster roles.
func New(env *controller.Env) (controller.Runner, error) {
	roles := env.Informers.Rbac().V1().ClusterRoles()
	lister := roles.Lister()
	var loop *controller.Loop[string]
	loop = controller.New(env, "ClusterRoleAggregator", 5, controller.Of(lister.Get, func(ctx context.Context, name string, role *rbacv1.ClusterRole) (controller.Result, error) {
		if role.AggregationRule == nil {
			return controller.Result{}, nil
		}
		all, err := lister.List(labels.Everything())
		if err != nil {
			return controller.Result{}, fmt.Errorf("listing cluster roles: %w", err)
		}
		rules, err := Aggregate(role, all)
		if err != nil || equality.Semantic.DeepEqual(rules, role.Rules) {
			return controller.Result{}, err
		}
		written, err := env.Client.RbacV1().ClusterRoles().Apply(ctx, applyv1.ClusterRole(name).WithRules(applied(rules)...),
			metav1.ApplyOptions{FieldManager: manager, Force: true})
		if err != nil {
			return controller.Result{}, fmt.Errorf("filling in cluster role %s: %w", name, err)
		}
		loop.Wrote(name, roles.Informer().GetStore(), written)
		return controller.Result{}, nil
	}))
	controller.Watch(loop, roles.Informer(), func(_, _ *rbacv1.ClusterRole) []string {
		all, err := lister.List(labels.Everything())
		if err != nil {
			return nil
		}
		var names []string
		for _, r := range all {
			if r.AggregationRule != nil {
				names = append(names, r.Name)
			}
		}
		return names
	})
	return loop, nil
}

func applied(rules []rbacv1.PolicyRule) []*applyv1.PolicyRuleApplyConfiguration {
	out := make([]*applyv1.PolicyRuleApplyConfiguration, 0, len(rules))
	for _, r := range rules {
		out = append(out, &applyv1.PolicyRuleApplyConfiguration{
			Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames, NonResourceURLs: r.NonResourceURLs,
		})
	}
	return out
}

// Aggregate gathers the rules of the roles that role selects, each rule once, in the order of the roles' names.
func Aggregate(role *rbacv1.ClusterRole, all []*rbacv1.ClusterRole) ([]rbacv1.PolicyRule, error) {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b *rbacv1.ClusterRole) int { return cmp.Compare(a.Name, b.Name) })
	rules := []rbacv1.PolicyRule{}
	for i := range role.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&role.AggregationRule.ClusterRoleSelectors[i])
		if err != nil {
			return nil, fmt.Errorf("cluster role %s has a selector that is not usable: %w", role.Name, err)
		}
		for _, other := range all {
			if other.Name == role.Name || !selector.Matches(labels.Set(other.Labels)) {
				continue
			}
			for _, rule := range other.Rules {
				if !slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(r, rule) }) {
					rules = append(rules, rule)
				}
			}
		}
	}
	return rules, nil
}
