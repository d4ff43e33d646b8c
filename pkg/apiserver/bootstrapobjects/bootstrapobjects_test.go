package bootstrapobjects

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/accounttoken"
	"github.com/sampan-project/sampan/pkg/apiserver/authz/rbac"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

func ensure(t *testing.T, a *resourcetest.Access) {
	t.Helper()
	err := Ensure(t.Context(), Config{Access: a, RBAC: true,
		Now:   func() time.Time { return time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC) },
		Trust: &Trust{ProxyClientCA: []byte("pem"), AllowedNames: []string{"front-proxy-client"}}})
	if err != nil {
		t.Fatal(err)
	}
}

// plain is an object as the recordings hold it: without what every server sets anew.
func plain(t *testing.T, obj any) map[string]any {
	t.Helper()
	data, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"status", "kind", "apiVersion"} {
		delete(out, k)
	}
	meta, _ := out["metadata"].(map[string]any)
	for _, k := range []string{"uid", "resourceVersion", "creationTimestamp", "generation"} {
		delete(meta, k)
	}
	return out
}

func TestBootstrapObjectsEqualTheRecordedOnes(t *testing.T) {
	a := resourcetest.New()
	ensure(t, a)
	for file, r := range map[string]schema.GroupResource{
		"apis__rbac.authorization.k8s.io__v1__clusterroles":                   rbac.ClusterRoles,
		"apis__rbac.authorization.k8s.io__v1__roles":                          rbac.Roles,
		"apis__rbac.authorization.k8s.io__v1__clusterrolebindings":            rbac.ClusterRoleBindings,
		"apis__rbac.authorization.k8s.io__v1__rolebindings":                   rbac.RoleBindings,
		"apis__flowcontrol.apiserver.k8s.io__v1__flowschemas":                 flowSchemas,
		"apis__flowcontrol.apiserver.k8s.io__v1__prioritylevelconfigurations": priorityLevels,
		"apis__scheduling.k8s.io__v1__priorityclasses":                        priorityClasses,
	} {
		data, err := os.ReadFile(filepath.Join("../../../test/oracle/bootstrap", file+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var want []map[string]any
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		got, err := a.List(context.Background(), r, "")
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Errorf("%s: %d objects, recorded %d", r, len(got), len(want))
		}
		have := map[string]map[string]any{}
		for _, o := range got {
			have[o.GetNamespace()+"/"+o.GetName()] = plain(t, o)
		}
		for _, w := range want {
			w = plain(t, w)
			meta := w["metadata"].(map[string]any)
			ns, _ := meta["namespace"].(string)
			name := meta["name"].(string)
			if d := cmp.Diff(w, have[ns+"/"+name]); d != "" {
				t.Errorf("%s %s/%s (-recorded +made):\n%s", r, ns, name, d)
			}
		}
	}
}

func change(t *testing.T, a *resourcetest.Access, r schema.GroupResource, namespace, name string, f func(resource.Object)) {
	t.Helper()
	if _, err := a.Update(context.Background(), r, "", namespace, name, func(o resource.Object) error { f(o); return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestStartRestoresWhatWasTakenAndKeepsWhatWasAdded(t *testing.T) {
	a := resourcetest.New()
	ensure(t, a)
	own := rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{"example.com"}, Resources: []string{"things"}}
	change(t, a, rbac.ClusterRoles, "", "system:kube-dns", func(o resource.Object) { o.(*rbacv1.ClusterRole).Rules = []rbacv1.PolicyRule{own} })
	change(t, a, rbac.ClusterRoles, "", "system:discovery", func(o resource.Object) {
		o.SetAnnotations(map[string]string{rbacv1.AutoUpdateAnnotationKey: "false"})
		o.(*rbacv1.ClusterRole).Rules = nil
	})
	change(t, a, rbac.ClusterRoleBindings, "", "system:kube-dns", func(o resource.Object) {
		o.(*rbacv1.ClusterRoleBinding).Subjects = []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "mine"}}
	})
	change(t, a, rbac.ClusterRoleBindings, "", "system:kube-scheduler", func(o resource.Object) {
		o.(*rbacv1.ClusterRoleBinding).RoleRef.Name = "cluster-admin"
	})
	change(t, a, configMaps, "kube-system", accounttoken.TrackingConfigMap, func(o resource.Object) {
		o.(*corev1.ConfigMap).Data = map[string]string{"since": "always", "own": "x"}
	})
	ensure(t, a)

	tracking, err := a.Get(t.Context(), configMaps, "kube-system", accounttoken.TrackingConfigMap)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"since": "2026-11-23", "own": "x"}, tracking.(*corev1.ConfigMap).Data); d != "" {
		t.Errorf("the use of tokens is noted (-want +got):\n%s", d)
	}
	get := func(r schema.GroupResource, name string) resource.Object {
		o, err := a.Get(context.Background(), r, "", name)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	dns := get(rbac.ClusterRoles, "system:kube-dns").(*rbacv1.ClusterRole)
	if len(dns.Rules) < 2 || dns.Rules[0].APIGroups[0] != "example.com" {
		t.Errorf("rules: %+v", dns.Rules)
	}
	if rules := get(rbac.ClusterRoles, "system:discovery").(*rbacv1.ClusterRole).Rules; len(rules) != 0 {
		t.Errorf("a protected role was changed: %+v", rules)
	}
	if s := get(rbac.ClusterRoleBindings, "system:kube-dns").(*rbacv1.ClusterRoleBinding).Subjects; len(s) != 2 {
		t.Errorf("subjects: %+v", s)
	}
	if ref := get(rbac.ClusterRoleBindings, "system:kube-scheduler").(*rbacv1.ClusterRoleBinding).RoleRef; ref.Name != "system:kube-scheduler" {
		t.Errorf("role of the binding: %+v", ref)
	}
}

func TestSecondStartWritesNothing(t *testing.T) {
	a := resourcetest.New()
	ensure(t, a)
	writes, again := 0, false
	for _, r := range []schema.GroupResource{rbac.ClusterRoles, rbac.Roles, rbac.ClusterRoleBindings, rbac.RoleBindings, namespaces, configMaps, flowSchemas, priorityLevels} {
		if _, err := a.Follow(t.Context(), r, func(resource.Object, resource.Object) {
			if again {
				writes++
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	again = true
	ensure(t, a)
	if writes != 0 {
		t.Errorf("%d writes", writes)
	}
}

func TestTrustIsPublished(t *testing.T) {
	a := resourcetest.New()
	ensure(t, a)
	o, err := a.Get(context.Background(), configMaps, "kube-system", trustName)
	if err != nil {
		t.Fatal(err)
	}
	if got := o.(*corev1.ConfigMap).Data["requestheader-allowed-names"]; got != `["front-proxy-client"]` {
		t.Errorf("allowed names: %s", got)
	}
}

func TestNodeRulesAreThoseOfTheNodeRole(t *testing.T) {
	rules, err := NodeRules()
	if err != nil || len(rules) < 20 {
		t.Errorf("%d rules, %v", len(rules), err)
	}
}
