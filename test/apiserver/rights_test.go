package apiserver

import (
	"net/http"
	"strings"
	"testing"
)

// granted gives a user rules in the whole cluster, and waits until the server knows.
func granted(t *testing.T, admin *client, user string, rules ...string) {
	t.Helper()
	const group = "/apis/rbac.authorization.k8s.io/v1/"
	admin.send(t, "POST", group+"clusterroles", mediaJSON, []byte(`{"metadata":{"name":"`+user+`"},"rules":[`+strings.Join(rules, ",")+`]}`)).
		want(t, "a role", http.StatusCreated, "")
	admin.send(t, "POST", group+"clusterrolebindings", mediaJSON, []byte(`{"metadata":{"name":"`+user+`"},"roleRef":{"kind":"ClusterRole","name":"`+user+`"},"subjects":[{"kind":"User","name":"`+user+`"}]}`)).
		want(t, "a binding", http.StatusCreated, "")
	until(t, user+" has rights", func() bool {
		return admin.send(t, "GET", "/"+user, "", nil, "Impersonate-User", user).code == http.StatusNotFound
	})
}

const rbacRights = `{"apiGroups":["rbac.authorization.k8s.io"],"resources":["roles","clusterroles"],"verbs":["create","update","patch"]}`

// known is a rule by which granted sees that the others hold.
func known(user string) string { return `{"nonResourceURLs":["/` + user + `"],"verbs":["get"]}` }

func TestRolesDoNotOutgrowTheirWriters(t *testing.T) {
	s, ca := authority(t)
	admin := s.as(adminToken)
	jane := s.as("", certificate(t, ca, "jane", "team"))
	granted(t, admin, "jane", known("jane"), rbacRights, `{"apiGroups":[""],"resources":["pods"],"verbs":["get"]}`)
	const roles, merge = "/apis/rbac.authorization.k8s.io/v1/clusterroles", "application/merge-patch+json"
	const gathering = `"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"a":"b"}}]}`
	for _, body := range []string{
		`{"metadata":{"name":"strong"},"rules":[{"apiGroups":[""],"resources":["secrets"],"verbs":["get"]}]}`,
		`{"metadata":{"name":"weak"},"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["get"]}]}`,
		`{"metadata":{"name":"gathering"},` + gathering + `}`,
	} {
		admin.send(t, "POST", roles, mediaJSON, []byte(body)).want(t, body, http.StatusCreated, "")
	}
	jane.send(t, "PATCH", roles+"/weak", merge, []byte(`{"metadata":{"labels":{"a":"b"}}}`)).want(t, "a label of what she has", http.StatusOK, "")
	jane.send(t, "PATCH", roles+"/strong", merge, []byte(`{"metadata":{"labels":{"a":"b"}}}`)).
		want(t, "a label of what she has not", http.StatusForbidden, `{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}`)
	jane.send(t, "PATCH", roles+"/strong", merge, []byte(`{"metadata":{"finalizers":["example.com/f"]}}`)).want(t, "the collector's fields", http.StatusOK, "")
	const refusal = "must have cluster-admin privileges to use the aggregationRule"
	jane.send(t, "POST", roles, mediaJSON, []byte(`{"metadata":{"name":"new"},`+gathering+`}`)).want(t, "to gather", http.StatusForbidden, refusal)
	jane.send(t, "PATCH", roles+"/gathering", merge, []byte(`{"aggregationRule":null}`)).want(t, "to gather no more", http.StatusForbidden, refusal)
}

func TestConnectionsAskForTheirPodFirst(t *testing.T) {
	s, _ := authority(t)
	s.as(adminToken).send(t, "GET", "/api/v1/namespaces/none/pods/x/exec?command=a", "", nil).want(t, "exec", http.StatusNotFound, `pods "x" not found`)
}
