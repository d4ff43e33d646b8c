package apiserver

import (
	"net/http"
	"testing"

	"github.com/sampan-project/sampan/pkg/apiserver"
)

const mergePatch = "application/merge-patch+json"

// pluggedIn is a server with admission plugins beside those that are on by default, and its administrator.
func pluggedIn(t *testing.T, plugins ...string) *client {
	t.Helper()
	return start(t, memory(t), func(c *apiserver.Config) { c.Guard.EnablePlugins = plugins }).as(adminToken)
}

func TestNamespacesComeWithTheirFirstObjects(t *testing.T) {
	admin := pluggedIn(t, "NamespaceAutoProvision", "NamespaceExists")
	of := func(namespace string) string { return "/api/v1/namespaces/" + namespace }
	const configMap = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}`
	const review = `{"apiVersion":"authorization.k8s.io/v1","kind":"LocalSubjectAccessReview","metadata":{"namespace":"dry"},` +
		`"spec":{"user":"jane","resourceAttributes":{"namespace":"dry","verb":"get","resource":"pods"}}}`
	admin.enforce(t, "short", map[string]any{
		"matchConstraints": map[string]any{"resourceRules": []any{map[string]any{"apiGroups": []any{""}, "apiVersions": []any{"v1"},
			"operations": []any{"CREATE"}, "resources": []any{"namespaces"}}}},
		"validations": []any{map[string]any{"expression": "size(object.metadata.name) < 6 && object.metadata.labels['kubernetes.io/metadata.name'] == request.name",
			"messageExpression": "object.metadata.name + ' by ' + request.userInfo.username"}},
	}, map[string]any{})
	until(t, "the policy is in force", func() bool {
		return admin.send(t, "POST", "/api/v1/namespaces?dryRun=All", mediaJSON, []byte(`{"metadata":{"name":"too-long"}}`)).code != http.StatusCreated
	})
	for _, c := range []struct {
		what, method, path, media, body string
		code                            int
		says                            string
	}{
		{"a dry run", "POST", of("dry") + "/configmaps?dryRun=All", mediaJSON, configMap, http.StatusNotFound, `namespaces "dry" not found`},
		{"a question's dry run", "POST", "/apis/authorization.k8s.io/v1/namespaces/dry/localsubjectaccessreviews?dryRun=All", mediaJSON, review, http.StatusNotFound, `namespaces "dry" not found`},
		{"what a dry run left", "GET", of("dry"), "", "", http.StatusNotFound, `namespaces "dry" not found`},
		{"an object", "POST", of("first") + "/configmaps", mediaJSON, configMap, http.StatusCreated, ""},
		{"its namespace", "GET", of("first"), "", "", http.StatusOK, ""},
		{"an apply", "PATCH", of("other") + "/configmaps/c?fieldManager=m", "application/apply-patch+yaml", configMap, http.StatusCreated, ""},
		{"a name that a policy refuses", "POST", of("too-long") + "/configmaps", mediaJSON, configMap, http.StatusForbidden,
			`configmaps "c" is forbidden: namespaces "too-long" is forbidden: ValidatingAdmissionPolicy 'short' with binding 'short' denied request: too-long by system:apiserver`},
		{"a name that none may have", "POST", of("A") + "/configmaps", mediaJSON, configMap, http.StatusForbidden,
			`configmaps "c" is forbidden: Namespace "A" is invalid: metadata.name: Invalid value: "A": a lowercase RFC 1123 label`},
	} {
		admin.send(t, c.method, c.path, c.media, []byte(c.body)).want(t, c.what, c.code, c.says)
	}
	ns := admin.must(t, http.StatusOK, "GET", of("first"), nil)
	if got := at(ns, "spec.finalizers") + at(ns, "metadata.labels") + at(ns, "status.phase"); got != "[kubernetes]map[kubernetes.io/metadata.name:first]Active" {
		t.Errorf("the namespace that was made: %s", got)
	}
}

func TestOwnersAreSetWithRights(t *testing.T) {
	admin := pluggedIn(t, "OwnerReferencesPermissionEnforcement")
	const configMaps = "/api/v1/namespaces/default/configmaps"
	owners := func(kind, block string) string {
		return `{"metadata":{"name":"c","ownerReferences":[{"apiVersion":"apps/v1","kind":"` + kind + `","name":"a","uid":"u"` + block + `}]}}`
	}
	const waits = `,"blockOwnerDeletion":true`
	write := `{"apiGroups":[""],"resources":["configmaps"],"verbs":["create","patch","get"]}`
	remove := `{"apiGroups":[""],"resources":["configmaps"],"verbs":["delete"]}`
	granted(t, admin, "writer", known("writer"), write)
	granted(t, admin, "deleter", known("deleter"), write, remove)
	granted(t, admin, "owner", known("owner"), write, remove, `{"apiGroups":["apps"],"resources":["replicasets/finalizers"],"verbs":["update"]}`)
	granted(t, admin, "finalizer", known("finalizer"), write, remove, `{"apiGroups":["*"],"resources":["*/finalizers"],"verbs":["update"]}`)
	const noRight = `configmaps "c" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: , <nil>`
	for _, c := range []struct {
		what, user, method, body string
		code                     int
		says                     string
	}{
		{"a new object's owner that waits", "writer", "POST", owners("ReplicaSet", waits), http.StatusForbidden, noRight},
		{"a new object's owner", "writer", "POST", owners("ReplicaSet", ""), http.StatusCreated, ""},
		{"an owner", "writer", "PATCH", owners("ReplicaSet", ""), http.StatusForbidden, `configmaps "c" is forbidden: cannot set an ownerRef on a resource you can't delete: , <nil>`},
		{"an owner, deletable", "deleter", "PATCH", owners("ReplicaSet", ""), http.StatusOK, ""},
		{"an owner that waits", "deleter", "PATCH", owners("ReplicaSet", waits), http.StatusForbidden, noRight},
		{"an owner that waits, finalized", "owner", "PATCH", owners("ReplicaSet", waits), http.StatusOK, ""},
		{"an owner of no kind", "owner", "PATCH", owners("Nothing", waits), http.StatusForbidden,
			`configmaps "c" is forbidden: cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion apps/v1 Kind Nothing: no matches for kind "Nothing" in version "apps/v1"`},
		{"an owner of no kind, finalized", "finalizer", "PATCH", owners("Nothing", waits), http.StatusOK, ""},
	} {
		path, media := configMaps+"/c", mergePatch
		if c.method == "POST" {
			path, media = configMaps, mediaJSON
		} else {
			admin.send(t, "PATCH", path, mergePatch, []byte(`{"metadata":{"ownerReferences":null}}`)).want(t, "as it was", http.StatusOK, "")
		}
		admin.send(t, c.method, path, media, []byte(c.body), "Impersonate-User", c.user).want(t, c.what+" by "+c.user, c.code, c.says)
	}
}
