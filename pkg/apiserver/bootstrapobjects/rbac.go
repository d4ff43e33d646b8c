// Package bootstrapobjects makes the objects that exist in every cluster before anyone writes one, and
// restores at each start of the server what somebody has taken from them.
package bootstrapobjects

import (
	"cmp"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/sampan-project/sampan/manifests/bootstrap"
)

const (
	aggregateLabel = "rbac.authorization.k8s.io/aggregate-to-"
	nodeRole       = "system:node"
)

// role is how manifests/bootstrap writes roles.
type role struct {
	Name           string
	Namespace      string
	AggregateTo    string
	AggregatesFrom string
	Rules          []rbacv1.PolicyRule
}

// binding is how manifests/bootstrap writes bindings.
type binding struct {
	Name      string
	Namespace string
	Role      string // empty: of the binding's own name
	Subjects  []rbacv1.Subject
}

// RBAC are the bootstrap roles and bindings.
type RBAC struct {
	ClusterRoles        []*rbacv1.ClusterRole
	Roles               []*rbacv1.Role
	ClusterRoleBindings []*rbacv1.ClusterRoleBinding
	RoleBindings        []*rbacv1.RoleBinding
}

func read[T any](file string) ([]T, error) {
	data, err := bootstrap.Files.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading bootstrap objects: %w", err)
	}
	var out []T
	if err := yaml.UnmarshalStrict(data, &out); err != nil {
		return nil, fmt.Errorf("reading bootstrap objects from %s: %w", file, err)
	}
	return out, nil
}

func rbacMeta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: name, Namespace: namespace,
		Labels:      map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"},
		Annotations: map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"},
	}
}

// ReadRBAC makes the bootstrap roles and bindings.
func ReadRBAC() (*RBAC, error) {
	out := &RBAC{}
	clusterRoles, err := read[role]("clusterroles.yaml")
	if err != nil {
		return nil, err
	}
	for _, r := range clusterRoles {
		out.ClusterRoles = append(out.ClusterRoles, clusterRole(r))
	}
	roles, err := read[role]("roles.yaml")
	if err != nil {
		return nil, err
	}
	for _, r := range roles {
		out.Roles = append(out.Roles, &rbacv1.Role{ObjectMeta: rbacMeta(r.Namespace, r.Name), Rules: r.Rules})
	}
	clusterBindings, err := read[binding]("clusterrolebindings.yaml")
	if err != nil {
		return nil, err
	}
	for _, b := range clusterBindings {
		out.ClusterRoleBindings = append(out.ClusterRoleBindings, &rbacv1.ClusterRoleBinding{
			ObjectMeta: rbacMeta("", b.Name), RoleRef: b.ref("ClusterRole"), Subjects: subjects(b.Subjects)})
	}
	bindings, err := read[binding]("rolebindings.yaml")
	if err != nil {
		return nil, err
	}
	for _, b := range bindings {
		out.RoleBindings = append(out.RoleBindings, &rbacv1.RoleBinding{
			ObjectMeta: rbacMeta(b.Namespace, b.Name), RoleRef: b.ref("Role"), Subjects: subjects(b.Subjects)})
	}
	return out, nil
}

func clusterRole(r role) *rbacv1.ClusterRole {
	c := &rbacv1.ClusterRole{ObjectMeta: rbacMeta("", r.Name), Rules: r.Rules}
	if r.AggregateTo != "" {
		c.Labels[aggregateLabel+r.AggregateTo] = "true"
	}
	if r.AggregatesFrom != "" {
		c.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{
			{MatchLabels: map[string]string{aggregateLabel + r.AggregatesFrom: "true"}},
		}}
	}
	return c
}

func (b binding) ref(kind string) rbacv1.RoleRef {
	name := cmp.Or(b.Role, b.Name)
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
}

func subjects(list []rbacv1.Subject) []rbacv1.Subject {
	for i := range list {
		if list[i].Kind != rbacv1.ServiceAccountKind {
			list[i].APIGroup = rbacv1.GroupName
		}
	}
	return list
}

// NodeRules are the rules that hold for every node alike: those of the cluster role system:node.
func NodeRules() ([]rbacv1.PolicyRule, error) {
	all, err := read[role]("clusterroles.yaml")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(r role) bool { return r.Name == nodeRole })
	if i < 0 {
		return nil, fmt.Errorf("the bootstrap cluster roles lack %s", nodeRole)
	}
	return all[i].Rules, nil
}
