package apiserver

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/sampan-project/sampan/pkg/apiserver"
)

const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

// definition defines widgets.GROUP in the versions given; change may add to the specification.
func definition(group string, change func(spec map[string]any), versions ...map[string]any) map[string]any {
	spec := map[string]any{
		"group": group, "scope": "Namespaced", "names": map[string]any{"plural": "widgets", "kind": "Widget"}, "versions": versions,
	}
	if change != nil {
		change(spec)
	}
	return map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": "widgets." + group}, "spec": spec,
	}
}

// version is a served version whose spec has the fields given, of type string.
func version(name string, stored bool, fields ...string) map[string]any {
	properties := map[string]any{}
	for _, f := range fields {
		properties[f] = map[string]any{"type": "string"}
	}
	spec := map[string]any{"type": "object", "properties": properties}
	return map[string]any{"name": name, "served": true, "storage": stored, "schema": map[string]any{
		"openAPIV3Schema": map[string]any{"type": "object", "properties": map[string]any{"spec": spec}},
	}}
}

func widget(group, version, name string, spec map[string]any) map[string]any {
	return map[string]any{"apiVersion": group + "/" + version, "kind": "Widget", "metadata": map[string]any{"name": name}, "spec": spec}
}

func widgets(group, version string) string {
	return "/apis/" + group + "/" + version + "/namespaces/default/widgets"
}

// define makes a definition and waits until what it defines is served.
func (c *client) define(t *testing.T, d map[string]any) {
	t.Helper()
	c.must(t, http.StatusCreated, http.MethodPost, definitions, d)
	path := definitions + "/" + at(d, "metadata.name")
	until(t, "the definition is established", func() bool {
		_, crd := c.do(t, http.MethodGet, path, nil)
		return condition(crd, "Established") == "True"
	})
}

// condition is the status of a definition's condition, "" where it has none.
func condition(crd map[string]any, of string) string {
	status, _ := crd["status"].(map[string]any)
	list, _ := status["conditions"].([]any)
	for _, c := range list {
		if at(c, "type") == of {
			return at(c, "status")
		}
	}
	return ""
}

// converter is a conversion webhook that moves spec.old of v1 to spec.new of v2 and back.
type converter struct {
	*httptest.Server
	mu    sync.Mutex
	fails string // what it answers instead of converting
	calls int
	conns int // that were made to it
}

func (c *converter) set(fails string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fails = fails
}

func (c *converter) called() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}

func startConverter(t *testing.T) *converter {
	t.Helper()
	c := &converter{}
	c.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Request struct {
				UID               string           `json:"uid"`
				DesiredAPIVersion string           `json:"desiredAPIVersion"`
				Objects           []map[string]any `json:"objects"`
			} `json:"request"`
		}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		c.calls++
		fails := c.fails
		c.mu.Unlock()
		result := map[string]any{"status": "Success"}
		if fails == "with an error" {
			http.Error(w, "out of order", http.StatusInternalServerError)
			return
		}
		if fails != "" {
			result = map[string]any{"status": "Failure", "message": fails}
		}
		for _, o := range review.Request.Objects {
			o["apiVersion"] = review.Request.DesiredAPIVersion
			if spec, ok := o["spec"].(map[string]any); ok {
				if v, has := spec["old"]; has {
					spec["new"] = v
					delete(spec, "old")
				} else if v, has := spec["new"]; has {
					spec["old"] = v
					delete(spec, "new")
				}
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
			"response": map[string]any{"uid": review.Request.UID, "result": result, "convertedObjects": review.Request.Objects}})
	}))
	c.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.conns++
		}
	}
	c.StartTLS()
	t.Cleanup(c.Close)
	return c
}

func (c *converter) conversion() map[string]any {
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw})
	return map[string]any{"strategy": "Webhook", "webhook": map[string]any{
		"conversionReviewVersions": []string{"v1"}, "clientConfig": map[string]any{"url": c.URL + "/convert", "caBundle": bundle},
	}}
}

func TestAWebhookConvertsBetweenVersions(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	hook := startConverter(t)
	const group = "converted.example.com"
	two := version("v2", false, "new")
	two["selectableFields"] = []any{map[string]any{"jsonPath": ".spec.new"}}
	admin.define(t, definition(group, func(spec map[string]any) { spec["conversion"] = hook.conversion() }, version("v1", true, "old"), two))

	made := admin.must(t, http.StatusCreated, http.MethodPost, widgets(group, "v2"), widget(group, "v2", "a", map[string]any{"new": "x"}))
	if got := at(made, "spec.new"); got != "x" {
		t.Errorf("what was made in v2 has spec.new %s", got)
	}
	admin.must(t, http.StatusCreated, http.MethodPost, widgets(group, "v1"), widget(group, "v1", "b", map[string]any{"old": "y"}))
	for path, want := range map[string]string{
		widgets(group, "v1") + "/a": "spec.old=x", widgets(group, "v2") + "/a": "spec.new=x",
		widgets(group, "v1") + "/b": "spec.old=y", widgets(group, "v2") + "/b": "spec.new=y",
	} {
		got := admin.must(t, http.StatusOK, http.MethodGet, path, nil)
		field, value := want[:len("spec.new")], want[len("spec.new="):]
		if at(got, field) != value {
			t.Errorf("%s: %s is %s, want %s", path, field, at(got, field), value)
		}
	}
	calls := hook.called()
	list := admin.must(t, http.StatusOK, http.MethodGet, widgets(group, "v2"), nil)
	if items, _ := list["items"].([]any); len(items) != 2 || at(items[0], "spec.new") != "x" || at(items[1], "apiVersion") != group+"/v2" {
		t.Errorf("the list in v2: %v", list)
	}
	if more := hook.called() - calls; more > 0 {
		t.Errorf("a list of what had been converted asked %d times again", more)
	}
	chosen := admin.must(t, http.StatusOK, http.MethodGet, widgets(group, "v2")+"?fieldSelector=spec.new%3Dy", nil)
	if items, _ := chosen["items"].([]any); len(items) != 1 || at(items[0], "metadata.name") != "b" {
		t.Errorf("selected by a field that only v2 has: %v", chosen)
	}
}

func TestConversionsShareAConnection(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	hook := startConverter(t)
	const group = "shared.example.com"
	admin.define(t, definition(group, func(spec map[string]any) { spec["conversion"] = hook.conversion() },
		version("v1", true, "old"), version("v2", false, "new")))
	for _, name := range []string{"a", "b", "c"} {
		admin.must(t, http.StatusCreated, http.MethodPost, widgets(group, "v1"), widget(group, "v1", name, map[string]any{"old": "x"}))
	}
	admin.must(t, http.StatusOK, http.MethodGet, widgets(group, "v2"), nil)
	hook.mu.Lock()
	defer hook.mu.Unlock()
	if hook.calls != 3 || hook.conns != 1 {
		t.Errorf("three objects were converted by %d calls over %d connections", hook.calls, hook.conns)
	}
}

func TestAFailedConversionIsToldAndOwnVersionsStay(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	hook := startConverter(t)
	const group = "failing.example.com"
	admin.define(t, definition(group, func(spec map[string]any) { spec["conversion"] = hook.conversion() },
		version("v1", true, "old"), version("v2", false, "new")))
	admin.must(t, http.StatusCreated, http.MethodPost, widgets(group, "v1"), widget(group, "v1", "a", map[string]any{"old": "x"}))
	for fails, said := range map[string]string{
		"not today":     "not today",
		"with an error": `an error on the server ("out of order") has prevented the request from succeeding`,
	} {
		hook.set(fails)
		got := admin.must(t, http.StatusInternalServerError, http.MethodGet, widgets(group, "v2")+"/a", nil)
		want := fmt.Sprintf("conversion webhook for %s/v1, Kind=Widget failed: %s", group, said)
		list := admin.must(t, http.StatusInternalServerError, http.MethodGet, widgets(group, "v2"), nil)
		for _, status := range []map[string]any{got, list} {
			if message, _ := status["message"].(string); message != want || status["reason"] != nil {
				t.Errorf("the answer says %v, want %q and no reason", status, want)
			}
		}
		got = admin.must(t, http.StatusInternalServerError, http.MethodPost, widgets(group, "v2"), widget(group, "v2", "b", map[string]any{"new": "x"}))
		want = fmt.Sprintf("conversion webhook for %s/v2, Kind=Widget failed: %s", group, said)
		if message := at(got, "message"); message != want || got["reason"] != nil {
			t.Errorf("the answer to a create is %v, want %q and no reason", got, want)
		}
	}
	admin.must(t, http.StatusOK, http.MethodGet, widgets(group, "v1")+"/a", nil)
	hook.set("")
	admin.must(t, http.StatusOK, http.MethodGet, widgets(group, "v2")+"/a", nil)
}

// Numbers of an apply are whole where they are written so: rules and the scale subresource take no others.
func TestAppliedNumbersAreWhole(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	const group = "applied.example.com"
	number := map[string]any{"type": "integer"}
	v := version("v1", true)
	v["schema"] = map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "properties": map[string]any{
		"spec": map[string]any{"type": "object", "properties": map[string]any{"replicas": number, "most": number},
			"x-kubernetes-validations": []any{map[string]any{"rule": "self.replicas <= self.most"}}},
		"status": map[string]any{"type": "object", "properties": map[string]any{"replicas": number}},
	}}}
	v["subresources"] = map[string]any{"status": map[string]any{}, "scale": map[string]any{"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}}
	admin.define(t, definition(group, nil, v))
	const media = "application/apply-patch+yaml"
	head := `"apiVersion":"` + group + `/v1","kind":"Widget","metadata":{"name":"a"}`
	for _, step := range []struct {
		path, body string
		code       int
	}{
		{"/a?fieldManager=m", "{" + head + `,"spec":{"replicas":1,"most":2}}`, http.StatusCreated},
		{"/a?fieldManager=m", "{" + head + ",\n\"spec\":{\"replicas\":2,\"most\":2}}", http.StatusOK}, // read as YAML
		{"/a/status?fieldManager=m", "{" + head + `,"status":{"replicas":2}}`, http.StatusOK},
		{"/a/status?fieldManager=n&dryRun=All&force=true", "{" + head + `,"status":{"replicas":2.5}}`, http.StatusUnprocessableEntity},
		{"/b?fieldManager=m", `{"apiVersion":"` + group + `/v1","kind":"Widget","metadata":{"name":"b","labels":{"none":null},"annotations":null},"spec":{"replicas":1,"most":2}}`, http.StatusCreated},
		{"/nameless?fieldManager=m", `{"apiVersion":"` + group + `/v1","kind":"Widget","spec":{"replicas":1,"most":2}}`, http.StatusBadRequest},
	} {
		if got := admin.ask(t, http.MethodPatch, widgets(group, "v1")+step.path, step.body, "Content-Type", media); got.code != step.code {
			t.Errorf("%s with %s: %d: %s", step.path, step.body, got.code, got.text)
		}
	}
	merge := func(path, body string) *asked {
		return admin.ask(t, http.MethodPatch, widgets(group, "v1")+path, body, "Content-Type", "application/merge-patch+json")
	}
	if got := merge("/a", `{"apiVersion":"x/y"}`); !strings.Contains(got.text, `apiVersion: Invalid value: \"x/y\": must be applied.example.com/v1`) {
		t.Errorf("a patch of the apiVersion: %s", got.text)
	}
	if got := admin.must(t, http.StatusOK, http.MethodGet, widgets(group, "v1")+"/b", nil); fmt.Sprintf("%q", got["metadata"].(map[string]any)["labels"]) != `map["none":""]` {
		t.Errorf("a null among applied labels is kept: %v", got["metadata"])
	}
	for _, path := range []string{"/a", "/a/status"} {
		if got := merge(path, `{"apiVersion":null}`); got.code != http.StatusInternalServerError || !strings.Contains(got.text, "Object 'apiVersion' is missing in 'object has no apiVersion field'") {
			t.Errorf("a patch of %s that takes the version: %s", path, got.text)
		}
	}
	if got := admin.ask(t, http.MethodPut, widgets(group, "v1")+"/a", `{"apiVersion":"`+group+`/v1","kind":"Other","metadata":{"name":"b"}}`); !strings.Contains(got.text, "the name of the object (b) does not match the name on the URL (a)") {
		t.Errorf("another kind by another name: %s", got.text)
	}
	if got := merge("/a?fieldValidation=Strict", `{"spec":{"a\"b":1}}`); !strings.HasSuffix(at(got.body, "message"), `unknown field "spec.a"b"`) {
		t.Errorf("an unknown field with a quote in its name: %s", got.text)
	}
	for path, code := range map[string]int{"": http.StatusOK, "/a": http.StatusOK, "/a/status": http.StatusOK, "/none": http.StatusNotFound} {
		if got := admin.ask(t, http.MethodHead, widgets(group, "v1")+path, ""); got.code != code || got.text != "" {
			t.Errorf("HEAD %s: %d %s", path, got.code, got.text)
		}
	}
	if got := merge("/a/status", `{"kind":"Other","status":{"replicas":3}}`); got.code != http.StatusOK || at(got.body, "kind") != "Widget" {
		t.Errorf("a patch of a status that calls itself otherwise: %s", got.text)
	}
}

// TestPathsOfCustomObjectsTakeMoreVerbs than those of built-in kinds: what cannot be done there is refused for another reason.
func TestPathsOfCustomObjectsTakeMoreVerbs(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	const group = "paths.example.com"
	admin.define(t, definition(group, nil, version("v1", true, "a")))
	const all, merge = "/apis/" + group + "/v1/widgets", "application/merge-patch+json"
	body := func(name string) string {
		return `{"apiVersion":"` + group + `/v1","kind":"Widget","metadata":{"name":"` + name + `"}}`
	}
	for _, c := range []struct {
		method, path, body, media string
		code                      int
		text                      string
	}{
		{"POST", widgets(group, "v1") + "/a", body("b"), "application/json", 201, `"name":"b"`},
		{"POST", widgets(group, "v1") + "/a", body(""), "application/json", 422, "name or generateName is required"},
		{"POST", widgets(group, "v1") + "/a/status", body("b"), "application/json", 404, ""},
		{"POST", all, body("b"), "application/json", 404, "404 page not found"},
		{"PUT", widgets(group, "v1"), body("b"), "application/json", 400, `"name must be provided"`},
		{"PUT", all, body("b"), "application/json", 404, "404 page not found"},
		{"PATCH", widgets(group, "v1"), `{}`, merge, 400, `"name must be provided"`},
		{"PATCH", widgets(group, "v1"), `{}`, "application/strategic-merge-patch+json", 415, ""},
		{"POST", "/apis/" + group + "/v1/watch/namespaces/default/widgets?timeoutSeconds=1", "", "", 200, `"type":"ADDED"`},
		{"POST", configMaps + "/a", `{"metadata":{"name":"b"}}`, "application/json", 405, ""},
		{"PUT", configMaps, `{"metadata":{"name":"b"}}`, "application/json", 405, ""},
	} {
		if a := admin.ask(t, c.method, c.path, c.body, "Content-Type", c.media); a.code != c.code || !strings.Contains(a.text, c.text) {
			t.Errorf("%s %s: %d, want %d with %s: %s", c.method, c.path, a.code, c.code, c.text, a.text)
		}
	}
}

// TestAResetStatusHasItsDefault writes objects whose status is reset, and has its default whoever reads it.
func TestAResetStatusHasItsDefault(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	v := version("v1", true, "color")
	v["subresources"] = map[string]any{"status": map[string]any{}}
	schema := v["schema"].(map[string]any)["openAPIV3Schema"].(map[string]any)
	schema["properties"].(map[string]any)["status"] = map[string]any{
		"type": "object", "default": map[string]any{"phase": "Waiting"}, "properties": map[string]any{"phase": map[string]any{"type": "string"}},
	}
	admin.define(t, definition("reset.example", nil, v))
	path := widgets("reset.example", "v1")
	sent := widget("reset.example", "v1", "a", map[string]any{"color": "red"})
	sent["status"] = map[string]any{"phase": "Done"}
	waits := func(where string, o map[string]any) {
		t.Helper()
		if got := at(o, "status.phase"); got != "Waiting" {
			t.Errorf("%s: the status's phase is %q, want its default", where, got)
		}
	}
	waits("a dry run's answer", admin.must(t, http.StatusCreated, http.MethodPost, path+"?dryRun=All", sent))
	waits("the answer", admin.must(t, http.StatusCreated, http.MethodPost, path, sent))
	waits("what is read", admin.must(t, http.StatusOK, http.MethodGet, path+"/a", nil))
	list := admin.must(t, http.StatusOK, http.MethodGet, path, nil)
	waits("what is listed", list["items"].([]any)[0].(map[string]any))
	read := admin.must(t, http.StatusOK, http.MethodGet, path+"/a", nil)
	read["spec"] = map[string]any{"color": "blue"}
	delete(read, "status")
	read = admin.must(t, http.StatusOK, http.MethodPut, path+"/a", read)
	waits("what is updated", read)
	delete(read, "status")
	waits("a status that is taken away", admin.must(t, http.StatusOK, http.MethodPut, path+"/a/status", read))
}

func TestWhatAdmissionAddsIsPruned(t *testing.T) {
	h := serveHooks(t, map[string]func(*http.Request, map[string]any) map[string]any{
		"/a": func(*http.Request, map[string]any) map[string]any {
			return patch(`[{"op":"add","path":"/spec/a","value":"set"},{"op":"add","path":"/spec/unknown","value":"x"}]`)
		},
	})
	admin := start(t, t.TempDir()).as(adminToken)
	const group = "pruned.example.com"
	admin.define(t, definition(group, nil, version("v1", true, "a")))
	admin.must(t, http.StatusCreated, "POST", mutatingPath, configuration("MutatingWebhookConfiguration", "m", h.hook("a", "", func(m map[string]any) {
		delete(m, "objectSelector")
		m["rules"] = []any{map[string]any{"apiGroups": []any{group}, "apiVersions": []any{"*"}, "operations": []any{"CREATE"}, "resources": []any{"*"}}}
	})))
	var made map[string]any
	until(t, "the webhook changes objects", func() bool {
		made = admin.must(t, http.StatusCreated, "POST", widgets(group, "v1")+"?dryRun=All", widget(group, "v1", "x", map[string]any{}))
		return at(made, "spec.a") == "set"
	})
	if got := at(made, "spec.unknown"); got == "x" {
		t.Error("a field that the schema does not know stays when admission adds it")
	}
}

func TestCustomResourcesOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	const group = "kept.example.com"
	t.Run("before", func(t *testing.T) {
		admin := start(t, dir).as(adminToken)
		admin.define(t, definition(group, nil, version("v1", true, "a")))
		admin.must(t, http.StatusCreated, http.MethodPost, widgets(group, "v1"), widget(group, "v1", "kept", map[string]any{"a": "x"}))
	})
	admin := start(t, dir).as(adminToken)
	if got := admin.must(t, http.StatusOK, http.MethodGet, widgets(group, "v1")+"/kept", nil); at(got, "spec.a") != "x" {
		t.Errorf("after a restart: %v", got)
	}
	admin.must(t, http.StatusOK, http.MethodGet, "/apis/"+group+"/v1", nil)
}

func TestADefinitionLeavesWithItsObjects(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	const group = "leaving.example.com"
	admin.define(t, definition(group, nil, version("v1", true, "a")))
	held := widget(group, "v1", "held", map[string]any{})
	held["metadata"].(map[string]any)["finalizers"] = []string{"example.com/hold"}
	admin.must(t, http.StatusCreated, http.MethodPost, widgets(group, "v1"), held)
	admin.must(t, http.StatusCreated, http.MethodPost, widgets(group, "v1"), widget(group, "v1", "free", map[string]any{}))
	admin.must(t, http.StatusOK, http.MethodDelete, definitions+"/widgets."+group, nil)
	until(t, "what nothing holds is gone", func() bool {
		code, _ := admin.do(t, http.MethodGet, widgets(group, "v1")+"/free", nil)
		return code == http.StatusNotFound
	})
	if !strings.Contains(admin.ask(t, http.MethodGet, "/metrics", "").text, `group="`+group) {
		t.Error("nothing is counted of what is served")
	}
	refused := admin.must(t, http.StatusForbidden, http.MethodPost, widgets(group, "v1"), widget(group, "v1", "late", map[string]any{}))
	if want := "widgets." + group + ` "late" is forbidden: create not allowed while custom resource definition is terminating`; at(refused, "message") != want {
		t.Errorf("a late object: %s", at(refused, "message"))
	}
	crd := admin.must(t, http.StatusOK, http.MethodGet, definitions+"/widgets."+group, nil)
	if condition(crd, "Terminating") != "True" {
		t.Errorf("while an object is held: %v", crd["status"])
	}
	free := admin.must(t, http.StatusOK, http.MethodGet, widgets(group, "v1")+"/held", nil)
	delete(free["metadata"].(map[string]any), "finalizers")
	admin.must(t, http.StatusOK, http.MethodPut, widgets(group, "v1")+"/held", free)
	until(t, "the definition is gone", func() bool {
		code, _ := admin.do(t, http.MethodGet, definitions+"/widgets."+group, nil)
		return code == http.StatusNotFound
	})
	until(t, "nothing is served in its place", func() bool {
		code, _ := admin.do(t, http.MethodGet, widgets(group, "v1"), nil)
		return code == http.StatusNotFound
	})
	until(t, "nothing is counted of it", func() bool {
		return !strings.Contains(admin.ask(t, http.MethodGet, "/metrics", "").text, `group="`+group)
	})
}

// An object that its conversion cannot be had of is not left behind in etcd, to come back with the next definition.
func TestADefinitionWaitsForObjectsThatCannotBeConverted(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	hook := startConverter(t)
	const group, path = "waiting.example.com", definitions + "/widgets.waiting.example.com"
	versions := func(second bool) map[string]any {
		return definition(group, func(spec map[string]any) { spec["conversion"] = hook.conversion() },
			version("v1", !second, "old"), version("v2", second, "new"))
	}
	admin.define(t, versions(false))
	admin.must(t, http.StatusCreated, http.MethodPost, widgets(group, "v1"), widget(group, "v1", "a", map[string]any{"old": "x"}))
	crd := admin.must(t, http.StatusOK, http.MethodGet, path, nil)
	crd["spec"].(map[string]any)["versions"] = versions(true)["spec"].(map[string]any)["versions"]
	hook.set("not today")
	admin.must(t, http.StatusOK, http.MethodPut, path, crd)
	until(t, "what was stored before is converted", func() bool {
		code, _ := admin.do(t, http.MethodGet, widgets(group, "v2")+"/a", nil)
		return code == http.StatusInternalServerError
	})
	admin.must(t, http.StatusOK, http.MethodDelete, path, nil)
	said := `"could not list instances: conversion webhook for ` + group + `/v1, Kind=Widget failed: not today"`
	until(t, "the definition says why it stays", func() bool {
		crd := admin.must(t, http.StatusOK, http.MethodGet, path, nil)
		text, err := json.Marshal(crd["status"])
		return err == nil && strings.Contains(string(text), `"reason":"InstanceDeletionFailed"`) && strings.Contains(string(text), said)
	})
	hook.set("")
	until(t, "the definition is gone", func() bool {
		code, _ := admin.do(t, http.MethodGet, path, nil)
		return code == http.StatusNotFound
	})
	admin.define(t, versions(false))
	if left := admin.must(t, http.StatusOK, http.MethodGet, widgets(group, "v1"), nil)["items"].([]any); len(left) != 0 {
		t.Errorf("of the definition before there are still %v", left)
	}
}

// A definition that changes is served as changed: new fields are kept, watches begin again, and what was stored
// before has the new defaults.
func TestAChangedSchemaHoldsForWhatIsStored(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	const group = "changing.example.com"
	admin.define(t, definition(group, nil, version("v1", true, "a")))
	admin.must(t, http.StatusCreated, http.MethodPost, widgets(group, "v1"), widget(group, "v1", "a", map[string]any{"a": "x", "b": "lost"}))
	crd := admin.must(t, http.StatusOK, http.MethodGet, definitions+"/widgets."+group, nil)
	crd["spec"].(map[string]any)["versions"].([]any)[0].(map[string]any)["schema"] = map[string]any{"openAPIV3Schema": map[string]any{
		"type": "object", "properties": map[string]any{"spec": map[string]any{"type": "object", "properties": map[string]any{
			"a": map[string]any{"type": "string"}, "b": map[string]any{"type": "string", "default": "given"}}}}}}
	admin.must(t, http.StatusOK, http.MethodPut, definitions+"/widgets."+group, crd)
	until(t, "the default is seen", func() bool {
		got := admin.must(t, http.StatusOK, http.MethodGet, widgets(group, "v1")+"/a", nil)
		return at(got, "spec.b") == "given" && at(got, "spec.a") == "x"
	})
}

func TestManyDefinitionsAreServedTogether(t *testing.T) {
	s := start(t, t.TempDir(), func(*apiserver.Config) {})
	admin := s.as(adminToken)
	const many = 20
	for i := range many {
		admin.must(t, http.StatusCreated, http.MethodPost, definitions, definition(fmt.Sprintf("many%d.example.com", i), nil, version("v1", true, "a")))
	}
	for i := range many {
		until(t, "each is served", func() bool {
			code, _ := admin.do(t, http.MethodGet, widgets(fmt.Sprintf("many%d.example.com", i), "v1"), nil)
			return code == http.StatusOK
		})
	}
	groups := admin.must(t, http.StatusOK, http.MethodGet, "/apis", nil)
	found := 0
	for _, g := range groups["groups"].([]any) {
		if name := at(g, "name"); len(name) > 4 && name[:4] == "many" {
			found++
		}
	}
	if found != many {
		t.Errorf("discovery shows %d of %d groups", found, many)
	}
}
