package apiserver

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sampan-project/sampan/pkg/apiserver"
	"github.com/sampan-project/sampan/pkg/pki"
)

// TestUsersMayWhatTheirRolesAllow meets a server in RBAC mode with each kind of credential.
func TestUsersMayWhatTheirRolesAllow(t *testing.T) {
	ca, err := pki.NewCA(pki.CertSpec{CommonName: "test-ca"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, ca.CertificatePEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, t.TempDir(), func(c *apiserver.Config) { c.Guard.ClientCAFile = file })
	const pods = "/api/v1/namespaces/default/pods"
	const roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles"
	const bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings"
	admin := s.as(adminToken)
	admin.must(t, http.StatusOK, "GET", pods, nil)
	admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces/default/serviceaccounts", object("v1", "ServiceAccount", "reader"))
	role := object("rbac.authorization.k8s.io/v1", "Role", "reader")
	role["rules"] = []any{map[string]any{"apiGroups": []any{""}, "resources": []any{"pods"}, "verbs": []any{"list"}}}
	admin.must(t, http.StatusCreated, "POST", roles, role)

	answer := admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces/default/serviceaccounts/reader/token",
		map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"})
	reader := s.as(at(answer, "status.token"))
	admin.must(t, http.StatusUnprocessableEntity, "POST", "/api/v1/namespaces/default/serviceaccounts/reader/token",
		object("authentication.k8s.io/v1", "TokenRequest", "another"))
	jane := s.as("", certificate(t, ca, "jane", "team"))

	for name, c := range map[string]*client{"a service account": reader, "a client certificate": jane, "anonymous": s.as("")} {
		if code, _ := c.do(t, "GET", pods, nil); code != http.StatusForbidden {
			t.Errorf("%s without a role lists pods: %d", name, code)
		}
	}
	if code, _ := s.as("wrong").do(t, "GET", pods, nil); code != http.StatusUnauthorized {
		t.Errorf("a token that nobody made is taken: %d", code)
	}
	binding := object("rbac.authorization.k8s.io/v1", "RoleBinding", "readers")
	binding["roleRef"] = map[string]any{"kind": "Role", "name": "reader"}
	binding["subjects"] = []any{
		map[string]any{"kind": "ServiceAccount", "name": "reader", "namespace": "default"},
		map[string]any{"kind": "Group", "name": "team"},
	}
	admin.must(t, http.StatusCreated, "POST", bindings, binding)
	for name, c := range map[string]*client{"a service account": reader, "a client certificate": jane} {
		until(t, name+" with the role lists pods", func() bool {
			code, _ := c.do(t, "GET", pods, nil)
			return code == http.StatusOK
		})
		if code, _ := c.do(t, "GET", "/api/v1/namespaces/default/secrets", nil); code != http.StatusForbidden {
			t.Errorf("%s lists secrets, which its role does not allow: %d", name, code)
		}
		if code, _ := c.do(t, "POST", roles, role); code != http.StatusForbidden {
			t.Errorf("%s makes a role: %d", name, code)
		}
	}
	s.as("", certificate(t, ca, "root", "system:masters")).must(t, http.StatusOK, "GET", "/api/v1/secrets", nil)
}

func object(version, kind, name string) map[string]any {
	return map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": name}}
}

func certificate(t *testing.T, ca *pki.Pair, user, group string) tls.Certificate {
	t.Helper()
	pair, err := ca.Sign(pki.CertSpec{CommonName: user, Organizations: []string{group}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{pair.Cert.Raw}, PrivateKey: pair.Key}
}

// until asks again until what permissions are made of has reached the server's own view of it.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come about that %s", what)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

// TestWhoMayOnlyChangeCreatesNothing writes, as one who may update and patch but not create, what is not there: by PUT
// of a kind that is made so, and by apply, which makes every kind.
func TestWhoMayOnlyChangeCreatesNothing(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	const roles, leases = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles", "/apis/coordination.k8s.io/v1/namespaces/default/leases"
	role := object("rbac.authorization.k8s.io/v1", "Role", "changer")
	rule := map[string]any{"apiGroups": []any{"", "coordination.k8s.io"}, "resources": []any{"configmaps", "leases"}, "verbs": []any{"update", "patch"}}
	role["rules"] = []any{rule}
	role = admin.must(t, http.StatusCreated, "POST", roles, role)
	binding := object("rbac.authorization.k8s.io/v1", "RoleBinding", "changers")
	binding["roleRef"] = map[string]any{"kind": "Role", "name": "changer"}
	binding["subjects"] = []any{map[string]any{"kind": "User", "name": "jane"}}
	admin.must(t, http.StatusCreated, "POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", binding)
	admin.must(t, http.StatusCreated, "POST", leases, object("coordination.k8s.io/v1", "Lease", "there"))
	write := func(method, path, body string) answer {
		return admin.send(t, method, path, map[string]string{"PUT": mediaJSON, "PATCH": "application/apply-patch+yaml"}[method], []byte(body), "Impersonate-User", "jane")
	}
	lease := func(name string) string { return `{"metadata":{"name":"` + name + `"}}` }
	until(t, "jane changes what is there", func() bool { return write("PUT", leases+"/there", lease("there")).code != http.StatusForbidden })
	const cm = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"new"}}`
	write("PUT", leases+"/new", lease("new")).want(t, "PUT", http.StatusForbidden, `leases.coordination.k8s.io "new" is forbidden: User "jane" cannot create resource "leases" in API group "coordination.k8s.io" in the namespace "default"`)
	write("PATCH", configMaps+"/new?fieldManager=m", cm).want(t, "apply", http.StatusForbidden, `configmaps "new" is forbidden: User "jane" cannot create resource "configmaps" in API group "" in the namespace "default"`)
	admin.must(t, http.StatusNotFound, "GET", configMaps+"/new", nil)
	rule["verbs"] = []any{"update", "patch", "create"}
	role["rules"] = []any{rule}
	admin.must(t, http.StatusOK, "PUT", roles+"/changer", role)
	until(t, "jane applies what is not there", func() bool { return write("PATCH", configMaps+"/new?fieldManager=m", cm).code == http.StatusCreated })
	write("PUT", leases+"/new", lease("new")).want(t, "PUT", http.StatusCreated, "")
}

// TestANameAmongFieldsIsNoRightToACollection gives a user rights to one object by its name.
func TestANameAmongFieldsIsNoRightToACollection(t *testing.T) {
	s := start(t, memory(t))
	admin := s.as(adminToken)
	const rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/"
	role := object("rbac.authorization.k8s.io/v1", "Role", "one")
	role["rules"] = []any{map[string]any{"apiGroups": []any{""}, "resources": []any{"configmaps"}, "resourceNames": []any{"a"}, "verbs": []any{"list", "watch", "deletecollection"}}}
	admin.must(t, http.StatusCreated, "POST", rbac+"roles", role)
	binding := object("rbac.authorization.k8s.io/v1", "RoleBinding", "one")
	binding["roleRef"] = map[string]any{"kind": "Role", "name": "one"}
	binding["subjects"] = []any{map[string]any{"kind": "User", "name": "jane"}}
	admin.must(t, http.StatusCreated, "POST", rbac+"rolebindings", binding)
	jane := []string{"Impersonate-User", "jane"}
	until(t, "jane lists what she may", func() bool {
		return admin.ask(t, "GET", configMaps+"?fieldSelector=metadata.name%3Da", "", jane...).code == http.StatusOK
	})
	for _, c := range []struct {
		method, path string
		code         int
	}{
		{"GET", configMaps + "?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Da", http.StatusOK},
		{"GET", configMaps + "?fieldSelector=metadata.name%3Db", http.StatusForbidden},
		{"DELETE", configMaps + "?fieldSelector=metadata.name%3Da", http.StatusForbidden},
		{"GET", "/api/v1/watch/namespaces/default/configmaps?timeoutSeconds=1&fieldSelector=metadata.name%3Da", http.StatusForbidden},
		{"GET", "/api/v1/watch/namespaces/default/configmaps/a?timeoutSeconds=1", http.StatusOK},
	} {
		if a := admin.ask(t, c.method, c.path, "", jane...); a.code != c.code {
			t.Errorf("%s %s: %d, want %d: %s", c.method, c.path, a.code, c.code, a.text)
		}
	}
}
