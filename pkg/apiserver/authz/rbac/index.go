package rbac

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// The resources that are followed.
var (
	Roles               = schema.GroupResource{Group: rbacv1.GroupName, Resource: "roles"}
	RoleBindings        = schema.GroupResource{Group: rbacv1.GroupName, Resource: "rolebindings"}
	ClusterRoles        = schema.GroupResource{Group: rbacv1.GroupName, Resource: "clusterroles"}
	ClusterRoleBindings = schema.GroupResource{Group: rbacv1.GroupName, Resource: "clusterrolebindings"}
)

// object is a name with its namespace, which is empty for what belongs to the cluster.
type object struct{ namespace, name string }

// subject is a user or a group; a service account is the user that it acts as.
type subject struct {
	group bool
	name  string
}

// grant is one subject of one binding.
type grant struct {
	binding object
	ref     rbacv1.RoleRef
	subject rbacv1.Subject // as written, for the reason that is told
}

// Index keeps the roles, and the bindings by whom they bind and where, up to date with the store. A decision
// looks only at bindings of the asker's own names; nothing is listed for it.
type Index struct {
	mu       sync.RWMutex
	roles    map[object][]rbacv1.PolicyRule
	grants   map[string]map[subject][]grant // by namespace, "" for the whole cluster; sorted by binding
	bindings map[object][]subject           // to take a binding out again
}

// NewIndex starts to follow roles and bindings until ctx ends. synced is closed when the index has seen
// everything that was stored.
func NewIndex(ctx context.Context, reader resource.Reader) (ix *Index, synced <-chan struct{}, err error) {
	ix = &Index{
		roles:    map[object][]rbacv1.PolicyRule{},
		grants:   map[string]map[subject][]grant{},
		bindings: map[object][]subject{},
	}
	list := []schema.GroupResource{ClusterRoles, Roles, ClusterRoleBindings, RoleBindings}
	synced, err = resource.FollowAll(ctx, reader, list, false, ix.see)
	return ix, synced, err
}

func (ix *Index) see(obj, gone resource.Object) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	if obj == nil {
		switch o := gone.(type) {
		case *rbacv1.ClusterRole, *rbacv1.Role:
			delete(ix.roles, object{gone.GetNamespace(), gone.GetName()})
		case *rbacv1.ClusterRoleBinding, *rbacv1.RoleBinding:
			ix.unbind(object{o.GetNamespace(), o.GetName()})
		}
		return
	}
	at := object{obj.GetNamespace(), obj.GetName()}
	switch o := obj.(type) {
	case *rbacv1.ClusterRole:
		ix.roles[at] = o.Rules
	case *rbacv1.Role:
		ix.roles[at] = o.Rules
	case *rbacv1.ClusterRoleBinding:
		ix.unbind(at)
		ix.bind(at, o.RoleRef, o.Subjects)
	case *rbacv1.RoleBinding:
		ix.unbind(at)
		ix.bind(at, o.RoleRef, o.Subjects)
	}
}

func (ix *Index) bind(at object, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
	for _, s := range subjects {
		key, ok := subjectOf(s, at.namespace)
		if !ok || slices.Contains(ix.bindings[at], key) {
			continue
		}
		here := ix.grants[at.namespace]
		if here == nil {
			here = map[subject][]grant{}
			ix.grants[at.namespace] = here
		}
		g := grant{binding: at, ref: ref, subject: s}
		i, _ := slices.BinarySearchFunc(here[key], g, func(a, b grant) int { return cmp.Compare(a.binding.name, b.binding.name) })
		here[key] = slices.Insert(slices.Clone(here[key]), i, g)
		ix.bindings[at] = append(ix.bindings[at], key)
	}
}

func (ix *Index) unbind(at object) {
	here := ix.grants[at.namespace]
	for _, key := range ix.bindings[at] {
		left := slices.DeleteFunc(slices.Clone(here[key]), func(g grant) bool { return g.binding == at })
		if len(left) == 0 {
			delete(here, key)
		} else {
			here[key] = left
		}
	}
	if len(here) == 0 {
		delete(ix.grants, at.namespace)
	}
	delete(ix.bindings, at)
}

func subjectOf(s rbacv1.Subject, namespace string) (subject, bool) {
	switch s.Kind {
	case rbacv1.UserKind:
		return subject{name: s.Name}, true
	case rbacv1.GroupKind:
		return subject{group: true, name: s.Name}, true
	case rbacv1.ServiceAccountKind:
		if s.Namespace != "" {
			namespace = s.Namespace
		}
		if namespace == "" {
			return subject{}, false
		}
		return subject{name: "system:serviceaccount:" + namespace + ":" + s.Name}, true
	}
	return subject{}, false
}

// RoleRules answers the rules of the role that a binding in namespace refers to, or a NotFound error.
func (ix *Index) RoleRules(ref rbacv1.RoleRef, namespace string) ([]rbacv1.PolicyRule, error) {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	return ix.roleRules(ref, namespace)
}

func (ix *Index) roleRules(ref rbacv1.RoleRef, namespace string) ([]rbacv1.PolicyRule, error) {
	switch ref.Kind {
	case "Role":
		if rules, ok := ix.roles[object{namespace, ref.Name}]; ok {
			return rules, nil
		}
		return nil, apierrors.NewNotFound(schema.GroupResource{Group: rbacv1.GroupName, Resource: "role"}, ref.Name)
	case "ClusterRole":
		if rules, ok := ix.roles[object{"", ref.Name}]; ok {
			return rules, nil
		}
		return nil, apierrors.NewNotFound(schema.GroupResource{Group: rbacv1.GroupName, Resource: "clusterrole"}, ref.Name)
	}
	return nil, fmt.Errorf("unsupported role reference kind: %q", ref.Kind)
}

// visit calls f with every rule that binds the user in namespace and in the whole cluster, until f
// answers false. A role that is missing is passed as an error.
func (ix *Index) visit(user *request.User, namespace string, f func(g *grant, rules []rbacv1.PolicyRule, err error) bool) {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	scopes := [...]string{"", namespace}
	n := len(scopes)
	if namespace == "" {
		n = 1
	}
	for _, scope := range scopes[:n] {
		here := ix.grants[scope]
		if len(here) == 0 {
			continue
		}
		if !ix.visitGrants(here[subject{name: user.Name}], scope, f) {
			return
		}
		for _, g := range user.Groups {
			if !ix.visitGrants(here[subject{group: true, name: g}], scope, f) {
				return
			}
		}
	}
}

func (ix *Index) visitGrants(grants []grant, scope string, f func(*grant, []rbacv1.PolicyRule, error) bool) bool {
	for i := range grants {
		rules, err := ix.roleRules(grants[i].ref, scope)
		if !f(&grants[i], rules, err) {
			return false
		}
	}
	return true
}
