package apiserver

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestWritesAreJudgedAlike holds the rules of metadata that are the same for all kinds.
func TestWritesAreJudgedAlike(t *testing.T) {
	s := start(t, t.TempDir())
	admin := s.as(adminToken)
	const merge, apply = "application/merge-patch+json", "application/apply-patch+yaml"
	body := func(metadata string) string {
		return `{"apiVersion":"v1","kind":"ConfigMap","metadata":{` + metadata + `}}`
	}
	owner := `{"apiVersion":"v1","kind":"K","name":"o","uid":"u1"}`
	admin.must(t, http.StatusCreated, "POST", configMaps, object("v1", "ConfigMap", "there"))
	const there = configMaps + "/there"
	for _, c := range []struct {
		name, method, path, body, media string
		code                            int
		text, warning                   string
	}{
		{"a generation is kept where the kind has none", "POST", configMaps, body(`"name":"g","generation":7,"deletionTimestamp":"2020-01-01T00:00:00Z"`), "", 201, `"generation":7`, ""},
		{"a negative one is refused", "POST", configMaps, body(`"name":"h","generation":-1`), "", 422, "metadata.generation: Invalid value: -1: must be greater than or equal to 0", ""},
		{"owners stand once", "POST", configMaps, body(`"name":"o","ownerReferences":[` + owner + "," + owner + `]`), "", 201, "", "duplicate UID(s) observed: u1"},
		{"finalizers have a domain", "POST", configMaps, body(`"name":"f","finalizers":["noslash"]`), "", 422, "metadata.finalizers[0]: Invalid value: \\\"noslash\\\": name is neither a standard finalizer name nor is it fully qualified", ""},
		{"but for Kubernetes' own", "POST", configMaps, body(`"name":"f","finalizers":["orphan","kubernetes","example.com/a"]`), "", 201, "", ""},
		{"leases are freer", "POST", "/apis/coordination.k8s.io/v1/namespaces/default/leases", `{"metadata":{"name":"f","finalizers":["noslash"]}}`, "", 201, "", ""},
		{"and so are the kinds of extensions", "POST", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", `{"metadata":{"name":"f","finalizers":["noslash"]}}`, "", 201, "", ""},
		{"a version that is none", "PUT", there, body(`"name":"there","resourceVersion":"abc"`), "", 500, `strconv.ParseUint: parsing \"abc\": invalid syntax`, ""},
		{"a version that is old", "PUT", there, body(`"name":"there","resourceVersion":"1"`), "", 409, "the object has been modified", ""},
		{"a patch that takes the name", "PATCH", there, `{"metadata":{"name":null}}`, merge, 400, "the name of the object (there based on URL) was undeterminable: name must be provided", ""},
		{"a patch that is nothing", "PATCH", there, `null`, merge, 400, "Invalid JSON Patch", ""},
		{"what is deprecated warns", "GET", "/api/v1/componentstatuses", "", "", 200, "", "v1 ComponentStatus is deprecated in v1.19+"},
		{"but not of what it does not do", "DELETE", "/api/v1/componentstatuses", "", "", 405, "", ""},
		{"apply refuses unknown fields itself", "PATCH", there + "?fieldManager=m&fieldValidation=Ignore", body(`"name":"there"`)[:1] + `"foo":1,` + body(`"name":"there"`)[1:], apply, 500, ".foo: field not declared in schema", ""},
		{"apply warns of keys that stand twice", "PATCH", there + "?fieldManager=m", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: there}\ndata:\n  k: a\n  k: b\n", apply, 200, "", `line 6: key "k" already set in map`},
		{"and refuses them where asked to", "PATCH", there + "?fieldManager=m&fieldValidation=Strict", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: there}\ndata:\n  k: a\n  k: b\n", apply, 400, "error strict decoding YAML", ""},
		{"options of another kind", "DELETE", there, body(`"name":"there"`), "", 400, `no kind \"ConfigMap\" is registered for version \"v1\" in scheme \"pkg/apis/meta/internalversion/scheme/register.go:27\"`, ""},
	} {
		media := c.media
		if media == "" {
			media = "application/json"
		}
		a := admin.ask(t, c.method, c.path, c.body, "Content-Type", media)
		if a.code != c.code || !strings.Contains(a.text, c.text) {
			t.Errorf("%s: %d, want %d with %s: %s", c.name, a.code, c.code, c.text, a.text)
		}
		warnings := strings.ReplaceAll(strings.Join(a.header.Values("Warning"), "\n"), `\"`, `"`)
		if c.warning == "" && warnings != "" || !strings.Contains(warnings, c.warning) {
			t.Errorf("%s: warned %q, want %q", c.name, warnings, c.warning)
		}
	}
}

// TestNothingIsDecidedByAnOldState writes nothing but what is there already right after another write: what is
// answered must be what that one left.
func TestNothingIsDecidedByAnOldState(t *testing.T) {
	s := start(t, t.TempDir())
	admin := s.as(adminToken)
	for i := range 50 {
		path := fmt.Sprintf("%s/n%d", configMaps, i)
		admin.must(t, http.StatusCreated, "POST", configMaps, object("v1", "ConfigMap", fmt.Sprintf("n%d", i)))
		if a := admin.ask(t, "DELETE", path, `{"orphanDependents":true}`); a.code != http.StatusOK {
			t.Fatalf("deleting: %d: %s", a.code, a.text)
		}
		a := admin.ask(t, "PATCH", path, `{"metadata":{"finalizers":[]}}`, "Content-Type", "application/merge-patch+json")
		if a.code != http.StatusOK || at(a.body, "metadata.deletionTimestamp") == "<nil>" {
			t.Fatalf("taking the finalizer: %d: %s", a.code, a.text)
		}
		admin.must(t, http.StatusNotFound, "GET", path, nil)
	}
}

// TestGracefulDeletionsAreAnnounced watches pods end: whatever the grace, a change comes before the end.
func TestGracefulDeletionsAreAnnounced(t *testing.T) {
	s := start(t, t.TempDir())
	admin := s.as(adminToken)
	const pods = "/api/v1/namespaces/kube-public/pods"
	pod := object("v1", "Pod", "p")
	pod["spec"] = map[string]any{"nodeName": "n", "serviceAccountName": "default", "automountServiceAccountToken": false, "containers": []any{map[string]any{"name": "c", "image": "i"}}}
	until(t, "the namespace has its service account", func() bool {
		admin.do(t, "POST", "/api/v1/namespaces/kube-public/serviceaccounts", object("v1", "ServiceAccount", "default"))
		code, _ := admin.do(t, "GET", "/api/v1/namespaces/kube-public/serviceaccounts/default", nil)
		return code == http.StatusOK
	})
	var made map[string]any
	until(t, "a pod may use it", func() bool {
		var code int
		code, made = admin.do(t, "POST", pods, pod)
		return code == http.StatusCreated
	})
	admin.must(t, http.StatusOK, "DELETE", pods+"/p", nil)
	admin.must(t, http.StatusOK, "DELETE", pods+"/p?gracePeriodSeconds=0", nil)
	events := admin.events(t, pods+"?watch=1&timeoutSeconds=1&resourceVersion="+at(made, "metadata.resourceVersion"))
	if got := strings.Join(kindsOf(events), " "); got != "MODIFIED MODIFIED DELETED" {
		t.Errorf("a pod's end was seen as %q", got)
	}
}
