package apiserver

import (
	"net/http"
	"strings"
	"testing"
)

// TestPartsOfAClaimsStatusNeedRightsOfTheirOwn lets a user write more and more of a claim's status.
func TestPartsOfAClaimsStatusNeedRightsOfTheirOwn(t *testing.T) {
	const (
		claims = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims"
		rbac   = "/apis/rbac.authorization.k8s.io/v1/"
	)
	s, ca := authority(t)
	admin, jane := s.as(adminToken), s.as("", certificate(t, ca, "jane", "team"))
	claim := object("resource.k8s.io/v1", "ResourceClaim", "c")
	claim["spec"] = map[string]any{"devices": map[string]any{"requests": []any{
		map[string]any{"name": "r", "exactly": map[string]any{"deviceClassName": "gpu.example.com"}},
	}}}
	admin.must(t, http.StatusCreated, http.MethodPost, claims, claim)

	rule := func(resource, verb string, names ...any) map[string]any {
		r := map[string]any{"apiGroups": []any{"resource.k8s.io"}, "resources": []any{resource}, "verbs": []any{verb}}
		if len(names) > 0 {
			r["resourceNames"] = names
		}
		return r
	}
	role := object("rbac.authorization.k8s.io/v1", "ClusterRole", "devices")
	rules := []any{rule("resourceclaims/status", "update")}
	role["rules"] = rules
	admin.must(t, http.StatusCreated, http.MethodPost, rbac+"clusterroles", role)
	binding := object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "devices")
	binding["roleRef"] = map[string]any{"kind": "ClusterRole", "name": "devices"}
	binding["subjects"] = []any{map[string]any{"kind": "User", "name": "jane"}}
	admin.must(t, http.StatusCreated, http.MethodPost, rbac+"clusterrolebindings", binding)

	device := map[string]any{"driver": "d.example.com", "pool": "p", "device": "one"}
	result := map[string]any{"request": "r", "driver": "d.example.com", "pool": "p", "device": "one"}
	status := map[string]any{"allocation": map[string]any{"devices": map[string]any{"results": []any{result}}}}
	claim["status"] = status
	for _, step := range []struct {
		what, refusal string
		grant         map[string]any
	}{
		{"binds a claim", `status: Forbidden: changing status.allocation or status.reservedFor requires resource="resourceclaims/binding", verb="update" permission: ` +
			`resourceclaims.resource.k8s.io is forbidden: User "jane" cannot update resource "resourceclaims/binding" in API group "resource.k8s.io" at the cluster scope`,
			rule("resourceclaims/binding", "update")},
		{"speaks for a driver", `status.devices: Forbidden: changing status.devices requires resource="resourceclaims/driver", verb="[arbitrary-node:update]" permission: ` +
			`resourceclaims.resource.k8s.io "d.example.com" is forbidden: User "jane" cannot arbitrary-node:update resource "resourceclaims/driver" in API group "resource.k8s.io" in the namespace "default"`,
			rule("resourceclaims/driver", "arbitrary-node:update", "d.example.com")},
	} {
		var answer map[string]any
		put := func() (code int) {
			code, answer = jane.do(t, http.MethodPut, claims+"/c/status", claim)
			return code
		}
		until(t, "jane is asked for a right of its own", func() bool { return put() == http.StatusUnprocessableEntity })
		if got := at(answer, "message"); !strings.Contains(got, step.refusal) {
			t.Errorf("who %s without the right is told %s", step.what, got)
		}
		rules = append(rules, step.grant)
		role["rules"] = rules
		admin.must(t, http.StatusOK, http.MethodPut, rbac+"clusterroles/devices", role)
		until(t, "jane "+step.what, func() bool { return put() == http.StatusOK })
		status["devices"] = []any{device}
	}
	if got := at(admin.must(t, http.StatusOK, http.MethodGet, claims+"/c", nil), "status.devices"); !strings.Contains(got, "d.example.com") {
		t.Errorf("what the driver told is %s", got)
	}
}
