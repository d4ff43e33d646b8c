package apiserver

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sampan-project/sampan/pkg/pki"
)

const (
	mutatingPath   = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
	validatingPath = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
	configMapsPath = "/api/v1/namespaces/default/configmaps"
)

// hooks is a server of webhooks, one for each path.
type hooks struct {
	url, port string
	ca        []byte

	mu      sync.Mutex
	reviews map[string][]map[string]any // what was asked, by path
}

// serveHooks answers each path by its function: request to response.
func serveHooks(t *testing.T, answers map[string]func(*http.Request, map[string]any) map[string]any) *hooks {
	t.Helper()
	ca, err := pki.NewCA(pki.CertSpec{CommonName: "hooks"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Sign(pki.CertSpec{CommonName: "hooks", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"hooks.default.svc"},
		Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	h := &hooks{ca: ca.CertificatePEM(), reviews: map[string][]map[string]any{}}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review map[string]any
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Errorf("a review cannot be read: %v", err)
			return
		}
		h.mu.Lock()
		h.reviews[r.URL.Path] = append(h.reviews[r.URL.Path], review)
		h.mu.Unlock()
		request, _ := review["request"].(map[string]any)
		response := answers[r.URL.Path](r, request)
		if response == nil {
			return
		}
		response["uid"] = request["uid"]
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response})
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{pair.Cert.Raw}, PrivateKey: pair.Key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	h.url = s.URL
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	h.port = u.Port()
	return h
}

func (h *hooks) asked(path string) []map[string]any {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]map[string]any(nil), h.reviews[path]...)
}

// hook is a webhook for writes of configmaps that are labelled hook: group, with changes.
func (h *hooks) hook(name, group string, change ...func(map[string]any)) map[string]any {
	out := map[string]any{
		"name": name + ".example.com", "admissionReviewVersions": []any{"v1"}, "sideEffects": "None", "timeoutSeconds": 5,
		"clientConfig":   map[string]any{"url": h.url + "/" + name, "caBundle": h.ca},
		"objectSelector": map[string]any{"matchLabels": map[string]any{"hook": group}},
		"rules": []any{map[string]any{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"CREATE", "UPDATE", "DELETE"},
			"resources": []any{"configmaps"}}},
	}
	for _, f := range change {
		f(out)
	}
	return out
}

func configuration(kind, name string, hooks ...any) map[string]any {
	o := object("admissionregistration.k8s.io/v1", kind, name)
	o["webhooks"] = hooks
	return o
}

func labelled(name, group string, data map[string]any) map[string]any {
	o := object("v1", "ConfigMap", name)
	o["metadata"].(map[string]any)["labels"] = map[string]any{"hook": group}
	o["data"] = data
	return o
}

func allow(*http.Request, map[string]any) map[string]any { return map[string]any{"allowed": true} }

// patch answers with a JSON patch.
func patch(ops string) map[string]any {
	return map[string]any{"allowed": true, "patchType": "JSONPatch", "patch": []byte(ops)}
}

func TestMutatingWebhooksChangeObjectsInTurn(t *testing.T) {
	h := serveHooks(t, map[string]func(*http.Request, map[string]any) map[string]any{
		"/a": func(_ *http.Request, r map[string]any) map[string]any {
			if at(r, "operation") == "DELETE" {
				return map[string]any{"allowed": true}
			}
			return patch(fmt.Sprintf(`[{"op":"add","path":"/data/a","value":"saw %s"}]`, at(r, "object.data.b")))
		},
		"/b": func(_ *http.Request, r map[string]any) map[string]any {
			if at(r, "operation") == "DELETE" {
				return map[string]any{"allowed": true}
			}
			out := patch(fmt.Sprintf(`[{"op":"add","path":"/data/b","value":"saw %s"}]`, strings.Fields(at(r, "object.data.a"))[0]))
			out["warnings"] = []any{"b was here"}
			return out
		},
		"/final": allow,
	})
	admin := start(t, t.TempDir()).as(adminToken)
	admin.must(t, http.StatusCreated, "POST", validatingPath, configuration("ValidatingWebhookConfiguration", "v", h.hook("final", "turns")))
	admin.must(t, http.StatusCreated, "POST", mutatingPath, configuration("MutatingWebhookConfiguration", "m",
		h.hook("a", "turns", func(m map[string]any) { m["reinvocationPolicy"] = "IfNeeded" }),
		h.hook("b", "turns", func(m map[string]any) { m["admissionReviewVersions"] = []any{"v1beta1"} })))
	until(t, "both webhooks change objects", func() bool {
		code, out := admin.do(t, "POST", configMapsPath+"?dryRun=All", labelled("x", "turns", map[string]any{"k": "v"}))
		return code == http.StatusCreated && at(out, "data.b") == "saw saw"
	})
	before := len(h.asked("/b"))
	out := admin.must(t, http.StatusCreated, "POST", configMapsPath, labelled("x", "turns", map[string]any{"k": "v"}))
	if got := at(out, "data.a"); got != "saw saw saw" {
		t.Errorf("the webhook that wants to be asked again has not seen what the other made: %s", got)
	}
	if n := len(h.asked("/b")) - before; n != 1 {
		t.Errorf("the webhook that does not want to be asked again was asked %d times", n)
	}
	if got := at(h.asked("/b")[0], "apiVersion"); got != "admission.k8s.io/v1beta1" {
		t.Errorf("a webhook that speaks v1beta1 was asked in %s", got)
	}
	finals := h.asked("/final")
	if last := finals[len(finals)-1]; at(last, "request.object.data.a") != "saw saw saw" {
		t.Errorf("the validating webhook has not seen the final object: %v", last)
	}
	admin.must(t, http.StatusOK, "PUT", configMapsPath+"/x", labelled("x", "turns", map[string]any{"k": "w"}))
	finals = h.asked("/final")
	last := finals[len(finals)-1]
	if at(last, "request.operation") != "UPDATE" || at(last, "request.oldObject.data.k") != "v" || at(last, "request.object.data.k") != "w" ||
		at(last, "request.options.kind") != "UpdateOptions" || at(last, "request.oldObject.metadata.uid") != at(out, "metadata.uid") {
		t.Errorf("an update is described wrongly: %v", last)
	}
	admin.must(t, http.StatusOK, "DELETE", configMapsPath+"/x", nil)
	finals = h.asked("/final")
	last = finals[len(finals)-1]
	if at(last, "request.operation") != "DELETE" || at(last, "request.oldObject.kind") != "ConfigMap" || at(last, "request.object") != "<nil>" {
		t.Errorf("a deletion is described wrongly: %v", last)
	}
}

// What a webhook makes of metadata that it does not know: owners of fields whose form is lost are restored with a
// warning, and an object does not move to another namespace.
func TestWebhooksDoNotBreakMetadata(t *testing.T) {
	var ops atomic.Value
	h := serveHooks(t, map[string]func(*http.Request, map[string]any) map[string]any{
		"/a": func(*http.Request, map[string]any) map[string]any { return patch(ops.Load().(string)) },
	})
	admin := start(t, t.TempDir()).as(adminToken)
	ops.Store(`[{"op":"add","path":"/data/a","value":"x"}]`)
	admin.must(t, http.StatusCreated, "POST", mutatingPath, configuration("MutatingWebhookConfiguration", "m", h.hook("a", "broken",
		func(m map[string]any) {
			m["rules"].([]any)[0].(map[string]any)["operations"] = []any{"CREATE", "UPDATE"}
		})))
	until(t, "the webhook changes objects", func() bool {
		_, out := admin.do(t, "POST", configMapsPath+"?dryRun=All", labelled("x", "broken", map[string]any{"k": "v"}))
		return at(out, "data.a") == "x"
	})
	body := func(k string) string {
		return fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","labels":{"hook":"broken"}},"data":{"k":%q}}`, k)
	}
	ops.Store(`[{"op":"remove","path":"/metadata/managedFields/0/fieldsType"}]`)
	for _, write := range []func() *asked{
		func() *asked { return admin.ask(t, "POST", configMapsPath, body("1")) },
		func() *asked { return admin.ask(t, "PUT", configMapsPath+"/x", body("2")) },
	} {
		got := write()
		if got.code/100 != 2 || !strings.Contains(got.header.Get("Warning"), ".metadata.managedFields was in an invalid state after admission") ||
			!strings.Contains(got.text, `"fieldsType":"FieldsV1"`) {
			t.Errorf("owners that a webhook broke: %d %s %s", got.code, got.header.Get("Warning"), got.text)
		}
	}
	ops.Store(`[{"op":"remove","path":"/metadata/managedFields"}]`)
	if got := admin.ask(t, "PUT", configMapsPath+"/x", body("3")); got.code != http.StatusOK || strings.Contains(got.text, "managedFields") {
		t.Errorf("owners that a webhook took away: %d %s", got.code, got.text)
	}
	ops.Store(`[{"op":"replace","path":"/metadata/namespace","value":"kube-system"}]`)
	refused := admin.must(t, http.StatusBadRequest, "POST", configMapsPath, labelled("y", "broken", nil))
	if got := at(refused, "message"); got != "the namespace of the provided object does not match the namespace sent on the request" {
		t.Errorf("an object that a webhook moves: %s", got)
	}
	asked := h.asked("/a")
	if got := at(asked[len(asked)-2], "request.object.metadata.resourceVersion"); got != "<nil>" {
		t.Errorf("the version of a PUT that names none is told to webhooks: %s", got)
	}
	for _, c := range []struct {
		method, op, message string
		code                int
	}{
		{"PUT", `{"op":"replace","path":"/metadata/namespace","value":"kube-system"}`, "the namespace of the provided object does not match the namespace sent on the request", 400},
		{"PUT", `{"op":"replace","path":"/metadata/name","value":"y"}`, `metadata.name: Invalid value: "y": field is immutable`, 422},
		{"PUT", `{"op":"add","path":"/metadata/resourceVersion","value":"1"}`, "the object has been modified", 409},
		{"PUT", `{"op":"replace","path":"/kind","value":"Secret"}`, "converting (v1.Secret) to (core.ConfigMap): unknown conversion", 500},
		{"POST", `{"op":"add","path":"/metadata/resourceVersion","value":"1"}`, "resourceVersion should not be set on objects to be created", 500},
		{"POST", `{"op":"replace","path":"/kind","value":"Nope"}`, `no kind "Nope" is registered for version "v1" in scheme "pkg/api/legacyscheme/scheme.go:30"`, 500},
		{"POST", `{"op":"remove","path":"/apiVersion"}`, "Object 'apiVersion' is missing", 500},
		{"POST", `{"op":"replace","path":"/metadata/name","value":"z"}`, "", 201},
	} {
		ops.Store("[" + c.op + "]")
		path := configMapsPath
		if c.method == "PUT" {
			path += "/x"
		}
		code, out := admin.do(t, c.method, path, labelled("x", "broken", nil))
		if code != c.code || !strings.Contains(at(out, "message"), c.message) && c.message != "" {
			t.Errorf("%s where a webhook says %s: %d %s, want %d %s", c.method, c.op, code, at(out, "message"), c.code, c.message)
		}
	}
}

// What webhooks make of a question is what is answered.
func TestWebhooksChangeQuestions(t *testing.T) {
	h := serveHooks(t, map[string]func(*http.Request, map[string]any) map[string]any{
		"/a": func(*http.Request, map[string]any) map[string]any {
			return patch(`[{"op":"replace","path":"/spec/nonResourceAttributes/path","value":"/b"}]`)
		},
	})
	admin := start(t, t.TempDir()).as(adminToken)
	admin.must(t, http.StatusCreated, "POST", mutatingPath, configuration("MutatingWebhookConfiguration", "m", h.hook("a", "", func(m map[string]any) {
		m["objectSelector"] = map[string]any{}
		m["rules"] = []any{map[string]any{"apiGroups": []any{"authorization.k8s.io"}, "apiVersions": []any{"v1"}, "operations": []any{"*"}, "resources": []any{"*"}}}
	})))
	review := map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
		"spec": map[string]any{"nonResourceAttributes": map[string]any{"path": "/a", "verb": "get"}}}
	until(t, "the question that was made is answered", func() bool {
		out := admin.must(t, http.StatusCreated, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
		return at(out, "spec.nonResourceAttributes.path") == "/b"
	})
}

func TestValidatingWebhooksAreAskedAtOnce(t *testing.T) {
	arrived := make(chan struct{}, 2)
	both := func(r *http.Request, _ map[string]any) map[string]any {
		arrived <- struct{}{}
		for len(arrived) < 2 { // neither answers before both were asked
			select {
			case <-r.Context().Done():
				return nil
			case <-time.After(time.Millisecond):
			}
		}
		return map[string]any{"allowed": true}
	}
	h := serveHooks(t, map[string]func(*http.Request, map[string]any) map[string]any{"/a": both, "/b": both, "/ready": allow})
	admin := start(t, t.TempDir()).as(adminToken)
	admin.must(t, http.StatusCreated, "POST", validatingPath, configuration("ValidatingWebhookConfiguration", "v",
		h.hook("a", "pair"), h.hook("b", "pair"), h.hook("ready", "ready")))
	until(t, "the configuration is known", func() bool {
		admin.must(t, http.StatusCreated, "POST", configMapsPath+"?dryRun=All", labelled("r", "ready", nil))
		return len(h.asked("/ready")) > 0
	})
	admin.must(t, http.StatusCreated, "POST", configMapsPath, labelled("x", "pair", nil))
}

func TestWebhooksRefuseAndFailAsConfigured(t *testing.T) {
	h := serveHooks(t, map[string]func(*http.Request, map[string]any) map[string]any{
		"/deny": func(*http.Request, map[string]any) map[string]any {
			return map[string]any{"allowed": false, "status": map[string]any{"code": 418, "message": "no tea", "reason": "Teapot"}}
		},
		"/silent": func(*http.Request, map[string]any) map[string]any { return map[string]any{"allowed": false} },
		"/hang": func(r *http.Request, _ map[string]any) map[string]any {
			<-r.Context().Done()
			return nil
		},
		"/patching": func(*http.Request, map[string]any) map[string]any { return patch(`[{"op":"remove","path":"/data"}]`) },
		"/service":  func(*http.Request, map[string]any) map[string]any { return map[string]any{"allowed": false} },
		"/event": func(_ *http.Request, r map[string]any) map[string]any {
			return map[string]any{"allowed": false, "status": map[string]any{"message": at(r, "kind.group") + " for " + at(r, "requestKind.group") + ": " + at(r, "object.note")}}
		},
	})
	admin := start(t, t.TempDir()).as(adminToken)
	service := object("v1", "Service", "hooks")
	service["spec"] = map[string]any{"type": "ExternalName", "externalName": "127.0.0.1"}
	admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces/default/services", service)
	port := json.Number(h.port)
	second := func(m map[string]any) { m["timeoutSeconds"] = 1 }
	admin.must(t, http.StatusCreated, "POST", validatingPath, configuration("ValidatingWebhookConfiguration", "v",
		h.hook("deny", "deny"), h.hook("silent", "silent"), h.hook("hang", "hang", second),
		h.hook("hang", "hang-ignored", second, func(m map[string]any) { m["name"], m["failurePolicy"] = "ignored.example.com", "Ignore" }),
		h.hook("patching", "patching"),
		h.hook("silent", "conditions", func(m map[string]any) {
			m["name"] = "conditions.example.com"
			m["matchConditions"] = []any{map[string]any{"name": "c", "expression": "object.data.k == 'asked' && authorizer.requestResource.check('create').allowed()"}}
		}),
		h.hook("service", "service", func(m map[string]any) {
			m["clientConfig"] = map[string]any{"caBundle": h.ca, "service": map[string]any{"namespace": "default", "name": "hooks", "port": port, "path": "/service"}}
		}),
		h.hook("event", "event", func(m map[string]any) {
			m["rules"] = []any{map[string]any{"apiGroups": []any{"events.k8s.io"}, "apiVersions": []any{"v1"}, "operations": []any{"*"}, "resources": []any{"events"}}}
		}),
		h.hook("silent", "configurations", func(m map[string]any) {
			m["name"] = "all.example.com"
			m["rules"] = []any{map[string]any{"apiGroups": []any{"admissionregistration.k8s.io"}, "apiVersions": []any{"*"}, "operations": []any{"*"}, "resources": []any{"*"}}}
			m["objectSelector"] = map[string]any{}
		})))
	until(t, "the configuration is known", func() bool {
		code, _ := admin.do(t, "POST", configMapsPath+"?dryRun=All", labelled("x", "silent", nil))
		return code != http.StatusCreated
	})
	for _, c := range []struct {
		group, data, message string
		code                 int
	}{
		{"deny", "", `admission webhook "deny.example.com" denied the request: no tea`, 418},
		{"silent", "", `admission webhook "silent.example.com" denied the request without explanation`, 400},
		{"hang", "", `Internal error occurred: failed calling webhook "hang.example.com": failed to call webhook: Post "` + h.url + `/hang?timeout=1s": context deadline exceeded`, 500},
		{"hang-ignored", "", "", 201},
		{"patching", "", `Internal error occurred: failed calling webhook "patching.example.com": received invalid webhook response: validating webhook may not return response.patch`, 500},
		{"conditions", "asked", `admission webhook "conditions.example.com" denied the request without explanation`, 400},
		{"conditions", "other", "", 201},
		{"service", "", `admission webhook "service.example.com" denied the request without explanation`, 400},
	} {
		code, out := admin.do(t, "POST", configMapsPath+"?dryRun=All", labelled("x", c.group, map[string]any{"k": c.data}))
		if code != c.code || c.message != "" && at(out, "message") != c.message {
			t.Errorf("%s: %d %q, want %d %q", c.group, code, at(out, "message"), c.code, c.message)
		}
	}
	event := object("v1", "Event", "e")
	event["metadata"].(map[string]any)["labels"] = map[string]any{"hook": "event"}
	event["involvedObject"], event["message"] = map[string]any{"namespace": "default"}, "hello"
	code, out := admin.do(t, "POST", "/api/v1/namespaces/default/events", event)
	if want := `admission webhook "event.example.com" denied the request: events.k8s.io for : hello`; code != 400 || at(out, "message") != want {
		t.Errorf("a write in another version: %d %q, want %q", code, at(out, "message"), want)
	}
	counts := admin.ask(t, "GET", "/metrics", "").text
	for _, want := range []string{
		`apiserver_admission_webhook_admission_duration_seconds_count{name="service.example.com",operation="CREATE",rejected="true",type="validating"} 1`,
		`apiserver_admission_webhook_admission_duration_seconds_count{name="ignored.example.com",operation="CREATE",rejected="false",type="validating"} 1`,
		`apiserver_admission_webhook_rejection_count{error_type="no_error",name="deny.example.com",operation="CREATE",rejection_code="418",type="validating"} 1`,
		`apiserver_admission_webhook_rejection_count{error_type="calling_webhook_error",name="hang.example.com",operation="CREATE",rejection_code="0",type="validating"} 1`,
		`apiserver_admission_webhook_fail_open_count{name="ignored.example.com",type="validating"} 1`,
	} {
		if !strings.Contains(counts, want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
	// No webhook can keep configurations from being taken back.
	admin.must(t, http.StatusOK, "DELETE", validatingPath+"/v", nil)
}
