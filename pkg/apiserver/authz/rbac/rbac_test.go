package rbac

import (
	"context"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

func rule(groups, resources, names, verbs []string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: groups, Resources: resources, ResourceNames: names, Verbs: verbs}
}

func TestRuleMatching(t *testing.T) {
	s := func(x ...string) []string { return x }
	pods := request.Info{IsResource: true, Verb: "get", Resource: "pods", Namespace: "n", Name: "p"}
	log := pods
	log.Subresource = "log"
	url := request.Info{Verb: "get", Path: "/healthz/etcd"}
	for name, c := range map[string]struct {
		info request.Info
		rule rbacv1.PolicyRule
		want bool
	}{
		"exact":                              {pods, rule(s(""), s("pods"), nil, s("get")), true},
		"other verb":                         {pods, rule(s(""), s("pods"), nil, s("list")), false},
		"other group":                        {pods, rule(s("apps"), s("pods"), nil, s("get")), false},
		"stars":                              {pods, rule(s("*"), s("*"), nil, s("*")), true},
		"named":                              {pods, rule(s(""), s("pods"), s("p"), s("get")), true},
		"another named":                      {pods, rule(s(""), s("pods"), s("q"), s("get")), false},
		"resource does not give subresource": {log, rule(s(""), s("pods"), nil, s("get")), false},
		"subresource":                        {log, rule(s(""), s("pods/log"), nil, s("get")), true},
		"subresource of any":                 {log, rule(s(""), s("*/log"), nil, s("get")), true},
		"subresource does not give resource": {pods, rule(s(""), s("pods/log"), nil, s("get")), false},
		"star gives subresource":             {log, rule(s(""), s("*"), nil, s("get")), true},
		"url":                                {url, rbacv1.PolicyRule{NonResourceURLs: s("/healthz/*"), Verbs: s("get")}, true},
		"url without star":                   {url, rbacv1.PolicyRule{NonResourceURLs: s("/healthz"), Verbs: s("get")}, false},
		"resource rule does not give url":    {url, rule(s("*"), s("*"), nil, s("*")), false},
	} {
		if got := Allows(&c.info, []rbacv1.PolicyRule{c.rule}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

type world struct {
	*resourcetest.Access
	ix *Index
	t  *testing.T
}

func newWorld(t *testing.T) *world {
	a := resourcetest.New()
	ix, synced, err := NewIndex(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	<-synced
	return &world{a, ix, t}
}

func (w *world) add(objs ...resource.Object) {
	w.t.Helper()
	for _, o := range objs {
		r := Roles
		switch o.(type) {
		case *rbacv1.ClusterRole:
			r = ClusterRoles
		case *rbacv1.RoleBinding:
			r = RoleBindings
		case *rbacv1.ClusterRoleBinding:
			r = ClusterRoleBindings
		}
		if _, err := w.Create(context.Background(), r, o); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) expect(user *request.User, verb, namespace string, want authz.Decision, reason string) {
	w.t.Helper()
	d, r, err := w.ix.Authorize(context.Background(), user, &request.Info{IsResource: true, Verb: verb, Resource: "pods", Namespace: namespace})
	if err != nil || d != want || r != reason {
		w.t.Errorf("%s by %s in %q: %v %q %v, want %v %q", verb, user.Name, namespace, d, r, err, want, reason)
	}
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func TestDecisionsFollowBindingsAsTheyComeChangeAndGo(t *testing.T) {
	w := newWorld(t)
	jane := &request.User{Name: "jane", Groups: []string{"devs"}}
	sa := &request.User{Name: "system:serviceaccount:n:robot"}
	role := &rbacv1.Role{ObjectMeta: meta("n", "r"), Rules: []rbacv1.PolicyRule{rule([]string{""}, []string{"pods"}, nil, []string{"get"})}}
	binding := &rbacv1.RoleBinding{ObjectMeta: meta("n", "b"), RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "r"},
		Subjects: []rbacv1.Subject{{Kind: "Group", Name: "devs"}, {Kind: "ServiceAccount", Name: "robot"}}}

	w.add(binding)
	w.expect(jane, "get", "n", authz.NoOpinion, `RBAC: role.rbac.authorization.k8s.io "r" not found`)
	w.add(role)
	w.expect(jane, "get", "n", authz.Allow, `RBAC: allowed by RoleBinding "b/n" of Role "r" to Group "devs"`)
	w.expect(sa, "get", "n", authz.Allow, `RBAC: allowed by RoleBinding "b/n" of Role "r" to ServiceAccount "robot/n"`)
	w.expect(jane, "get", "other", authz.NoOpinion, "")
	w.expect(jane, "get", "", authz.NoOpinion, "")
	w.expect(jane, "list", "n", authz.NoOpinion, "")

	if _, err := w.Update(context.Background(), RoleBindings, "", "n", "b", func(o resource.Object) error {
		o.(*rbacv1.RoleBinding).Subjects = []rbacv1.Subject{{Kind: "User", Name: "john"}}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	w.expect(jane, "get", "n", authz.NoOpinion, "")
	john := &request.User{Name: "john"}
	w.expect(john, "get", "n", authz.Allow, `RBAC: allowed by RoleBinding "b/n" of Role "r" to User "john"`)
	if err := w.Delete(context.Background(), RoleBindings, "n", "b", nil); err != nil {
		t.Fatal(err)
	}
	w.expect(john, "get", "n", authz.NoOpinion, "")
	if len(w.ix.grants) != 0 || len(w.ix.bindings) != 0 {
		t.Errorf("left behind: %v %v", w.ix.grants, w.ix.bindings)
	}
}

func TestClusterBindingHoldsInEveryNamespaceAndOutside(t *testing.T) {
	w := newWorld(t)
	w.add(&rbacv1.ClusterRole{ObjectMeta: meta("", "view"), Rules: []rbacv1.PolicyRule{rule([]string{""}, []string{"pods"}, nil, []string{"list"})}},
		&rbacv1.ClusterRoleBinding{ObjectMeta: meta("", "v"), RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "view"},
			Subjects: []rbacv1.Subject{{Kind: "User", Name: "a"}}},
		&rbacv1.RoleBinding{ObjectMeta: meta("n", "v"), RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "view"},
			Subjects: []rbacv1.Subject{{Kind: "User", Name: "b"}}})
	reason := `RBAC: allowed by ClusterRoleBinding "v" of ClusterRole "view" to User "a"`
	a, b := &request.User{Name: "a"}, &request.User{Name: "b"}
	w.expect(a, "list", "", authz.Allow, reason)
	w.expect(a, "list", "n", authz.Allow, reason)
	w.expect(b, "list", "", authz.NoOpinion, "")
	w.expect(b, "list", "n", authz.Allow, `RBAC: allowed by RoleBinding "v/n" of ClusterRole "view" to User "b"`)
	rules := w.ix.RulesFor(context.Background(), b, "n")
	if len(rules.Resource) != 1 || rules.Incomplete {
		t.Errorf("rules of b: %+v", rules)
	}
}

func BenchmarkAuthorize(b *testing.B) {
	a := resourcetest.New()
	ix, _, err := NewIndex(b.Context(), a)
	if err != nil {
		b.Fatal(err)
	}
	ix.see(&rbacv1.ClusterRole{ObjectMeta: meta("", "view"), Rules: []rbacv1.PolicyRule{rule([]string{""}, []string{"pods"}, nil, []string{"list"})}}, nil)
	ix.see(&rbacv1.ClusterRoleBinding{ObjectMeta: meta("", "v"), RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "view"},
		Subjects: []rbacv1.Subject{{Kind: "Group", Name: "g"}}}, nil)
	user := &request.User{Name: "u", Groups: []string{"g", "system:authenticated"}}
	info := &request.Info{IsResource: true, Verb: "list", Resource: "pods"}
	for b.Loop() {
		_, _, _ = ix.Authorize(context.Background(), user, info)
	}
}
