package rbac

import (
	"cmp"
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// Authorize implements authz.Authorizer.
func (ix *Index) Authorize(_ context.Context, user *request.User, info *request.Info) (authz.Decision, string, error) {
	decision, reason := authz.NoOpinion, ""
	var missing []error
	ix.visit(user, info.Namespace, func(g *grant, rules []rbacv1.PolicyRule, err error) bool {
		if err != nil {
			missing = append(missing, err)
			return true
		}
		if !Allows(info, rules) {
			return true
		}
		decision, reason = authz.Allow, "RBAC: allowed by "+g.String()
		return false
	})
	if decision == authz.NoOpinion && len(missing) > 0 {
		reason = fmt.Sprintf("RBAC: %v", utilerrors.NewAggregate(missing))
	}
	return decision, reason, nil
}

// String tells which binding gives what to whom.
func (g *grant) String() string {
	who := fmt.Sprintf("%s %q", g.subject.Kind, g.subject.Name)
	if g.subject.Kind == rbacv1.ServiceAccountKind {
		ns := cmp.Or(g.subject.Namespace, g.binding.namespace)
		who = fmt.Sprintf("%s %q", g.subject.Kind, g.subject.Name+"/"+ns)
	}
	kind, name := "ClusterRoleBinding", g.binding.name
	if g.binding.namespace != "" {
		kind, name = "RoleBinding", g.binding.name+"/"+g.binding.namespace
	}
	return fmt.Sprintf("%s %q of %s %q to %s", kind, name, g.ref.Kind, g.ref.Name, who)
}

// Rules answers every rule that the user holds in namespace (empty: in the whole cluster), and an error
// that names the roles that bindings refer to in vain.
func (ix *Index) Rules(user *request.User, namespace string) ([]rbacv1.PolicyRule, error) {
	var held []rbacv1.PolicyRule
	var missing []error
	ix.visit(user, namespace, func(_ *grant, rules []rbacv1.PolicyRule, err error) bool {
		if err != nil {
			missing = append(missing, err)
		}
		held = append(held, rules...)
		return true
	})
	return held, utilerrors.NewAggregate(missing)
}

// RulesFor implements authz.RuleResolver.
func (ix *Index) RulesFor(_ context.Context, user *request.User, namespace string) authz.Rules {
	held, err := ix.Rules(user, namespace)
	var out authz.Rules
	if err != nil {
		out.Incomplete, out.Errors = true, []string{err.Error()}
	}
	for _, r := range held {
		if len(r.Resources) > 0 {
			out.Resource = append(out.Resource, authorizationv1.ResourceRule{
				Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames})
		}
		if len(r.NonResourceURLs) > 0 {
			out.NonResource = append(out.NonResource, authorizationv1.NonResourceRule{Verbs: r.Verbs, NonResourceURLs: r.NonResourceURLs})
		}
	}
	return out
}
