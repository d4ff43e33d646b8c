package apiserver

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sampan-project/sampan/pkg/apiserver"
)

// told is what the plugins of TestPluginsHeedTheFile are told.
const told = `
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {enforce: baseline}
- name: PodNodeSelector
  configuration: {podNodeSelectorPluginConfig: {clusterDefaultNodeSelector: region=west}}
- name: PodTolerationRestriction
  configuration:
    apiVersion: podtolerationrestriction.admission.k8s.io/v1alpha1
    kind: Configuration
    whitelist: [{operator: Exists, effect: NoExecute}]
- name: EventRateLimit
  configuration:
    apiVersion: eventratelimit.admission.k8s.io/v1alpha1
    kind: Configuration
    limits: [{type: SourceAndObject, qps: 1, burst: 1}]
- name: ResourceQuota
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: ResourceQuotaConfiguration
    limitedResources: [{resource: persistentvolumeclaims, matchContains: [.storageclass.storage.k8s.io/requests.storage]}]
- name: ImagePolicyWebhook
  path: images.json
- name: ValidatingAdmissionWebhook
  path: hooks.json
`

// guarded is a webhook that wants a token, and a file beside the others that says which.
func guarded(t *testing.T, dir string) *hooks {
	h := serveHooks(t, map[string]func(*http.Request, map[string]any) map[string]any{"/guarded": func(r *http.Request, _ map[string]any) map[string]any {
		return map[string]any{"allowed": r.Header.Get("Authorization") != "Bearer hook", "status": map[string]any{"message": "knows the server"}}
	}})
	users := filepath.Join(dir, "hooks.kubeconfig")
	for name, text := range map[string]string{
		users:                            `{"kind":"Config","apiVersion":"v1","users":[{"name":"` + strings.TrimPrefix(h.url, "https://") + `","user":{"token":"hook"}}]}`,
		filepath.Join(dir, "hooks.json"): `{"kind":"WebhookAdmissionConfiguration","apiVersion":"apiserver.config.k8s.io/v1","kubeConfigFile":"` + users + `"}`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// imageJudge denies images that are called bad, and writes a file that tells where it is, beside the other.
func imageJudge(t *testing.T, dir string) {
	judge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, `{"status":{"allowed":%v,"reason":"no"}}`, !strings.Contains(string(asked), `"image":"bad"`))
	}))
	t.Cleanup(judge.Close)
	config := filepath.Join(dir, "images.kubeconfig")
	for name, text := range map[string]string{
		config: `{"kind":"Config","apiVersion":"v1","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":""}}],
			"clusters":[{"name":"c","cluster":{"server":"` + judge.URL + `"}}]}`,
		filepath.Join(dir, "images.json"): `{"imagePolicy":{"kubeConfigFile":"` + config + `"}}`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPluginsHeedTheFile: what --admission-control-config-file says of plugins shows in what is refused and changed.
func TestPluginsHeedTheFile(t *testing.T) {
	dir := t.TempDir()
	imageJudge(t, dir)
	hook := guarded(t, dir)
	file := filepath.Join(dir, "admission.yaml")
	if err := os.WriteFile(file, []byte(told), 0o600); err != nil {
		t.Fatal(err)
	}
	admin := start(t, t.TempDir(), func(c *apiserver.Config) {
		c.Guard.AdmissionFile = file
		c.Guard.EnablePlugins = []string{"PodNodeSelector", "PodTolerationRestriction", "EventRateLimit", "ImagePolicyWebhook"}
		c.Guard.DisablePlugins = []string{"ServiceAccount"} // no controller makes accounts here
	}).as(adminToken)
	admin.must(t, http.StatusCreated, "POST", validatingPath, configuration("ValidatingWebhookConfiguration", "v", hook.hook("guarded", "g")))
	until(t, "the webhook is asked", func() bool {
		admin.do(t, "POST", configMapsPath+"?dryRun=All", labelled("h", "g", nil))
		return len(hook.asked("/guarded")) > 0
	})
	pod := func(name string, spec map[string]any) map[string]any {
		spec["containers"] = []any{map[string]any{"name": "c", "image": "i"}}
		return map[string]any{"metadata": map[string]any{"name": name}, "spec": spec}
	}
	const pods = "/api/v1/namespaces/default/pods"
	for name, c := range map[string]struct {
		path string
		body any
		code int
		says string // a part of the message, or PATH=TEXT of what is made
	}{
		"a pod of the level that is the default": {pods, pod("a", map[string]any{}), http.StatusCreated, "metadata.name=a"},
		"a pod that is above it": {pods, pod("b", map[string]any{"hostNetwork": true}), http.StatusForbidden,
			`pods "b" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)`},
		"a pod with its cluster's selector": {pods, pod("c", map[string]any{}), http.StatusCreated, "spec.nodeSelector.region=west"},
		"a pod that selects other nodes": {pods, pod("d", map[string]any{"nodeSelector": map[string]any{"region": "east"}}), http.StatusForbidden,
			`pods "d" is forbidden: pod node label selector conflicts with its namespace node label selector`},
		"a pod that tolerates too much": {pods, pod("e", map[string]any{"tolerations": []any{map[string]any{"operator": "Exists"}}}), http.StatusInternalServerError,
			"pod tolerations (possibly merged with namespace default tolerations) conflict with its cluster whitelist"},
		"a pod with an image that is bad": {pods, pod("f", map[string]any{"initContainers": []any{map[string]any{"name": "i", "image": "bad"}}}), http.StatusForbidden,
			`pods "f" is forbidden: image policy webhook backend denied one or more images: no`},
		"a webhook that knows the server's token": {configMapsPath, labelled("h", "g", nil), http.StatusBadRequest, `admission webhook "guarded.example.com" denied the request: knows the server`},
		"a claim of what is limited by default": {"/api/v1/namespaces/default/persistentvolumeclaims", map[string]any{"metadata": map[string]any{"name": "g"}, "spec": map[string]any{
			"storageClassName": "gold", "accessModes": []any{"ReadWriteOnce"}, "resources": map[string]any{"requests": map[string]any{"storage": "1Gi"}},
		}}, http.StatusForbidden, `persistentvolumeclaims "g" is forbidden: insufficient quota to consume: gold.storageclass.storage.k8s.io/requests.storage`},
	} {
		code, answer := admin.do(t, "POST", c.path, c.body)
		path, value, _ := strings.Cut(c.says, "=")
		said := code < 300 && at(answer, path) == value || code >= 300 && strings.Contains(at(answer, "message"), c.says)
		if code != c.code || !said {
			t.Errorf("%s: %d %v", name, code, answer)
		}
	}

	event := map[string]any{"metadata": map[string]any{"generateName": "e"}, "involvedObject": map[string]any{"kind": "Pod", "namespace": "default", "name": "p"}}
	refused := false
	for i := 0; i < 50 && !refused; i++ { // a second of the server's clock may pass between two
		code, answer := admin.do(t, "POST", "/api/v1/namespaces/default/events", event)
		refused = code == http.StatusTooManyRequests &&
			at(answer, "message") == "Too many requests: limit reached on type SourceAndObject for key Poddefaultp"
		if !refused && code != http.StatusCreated {
			t.Fatalf("an event: %d %v", code, answer)
		}
	}
	if !refused {
		t.Error("events are not limited")
	}
}
