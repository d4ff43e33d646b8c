package apiserver

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestAScaleIsAdmittedAroundItsObject: mutating rules see the Scale that the client sent, with who owns its fields; what
// they leave is judged, then the object, and then validating rules judge the Scale that the object has. They meet
// Scales of every version that is served.
func TestAScaleIsAdmittedAroundItsObject(t *testing.T) {
	h := serveHooks(t, map[string]func(*http.Request, map[string]any) map[string]any{"/a": func(_ *http.Request, r map[string]any) map[string]any {
		if at(r, "object.spec.replicas") == "-1" {
			return patch(`[{"op":"replace","path":"/spec/replicas","value":4}]`)
		}
		return map[string]any{"allowed": true}
	}})
	admin := start(t, t.TempDir()).as(adminToken)
	const group = "scaled.example.com"
	number := map[string]any{"type": "integer"}
	schema := map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "properties": map[string]any{
		"spec":   map[string]any{"type": "object", "properties": map[string]any{"replicas": map[string]any{"type": "integer", "maximum": 5}}},
		"status": map[string]any{"type": "object", "properties": map[string]any{"replicas": number}},
	}}}
	both := []map[string]any{version("v1", true), version("v2", false)}
	for _, v := range both {
		v["schema"], v["subresources"] = schema, map[string]any{"scale": map[string]any{"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}}
	}
	admin.define(t, definition(group, nil, both...))
	admin.must(t, http.StatusCreated, "POST", widgets(group, "v1"), widget(group, "v1", "w", map[string]any{"replicas": 1}))
	rule := map[string]any{"apiGroups": []any{group}, "apiVersions": []any{"v1"}, "operations": []any{"UPDATE"}, "resources": []any{"widgets/scale"}}
	admin.must(t, http.StatusCreated, "POST", mutatingPath, configuration("MutatingWebhookConfiguration", "m", h.hook("a", "", func(m map[string]any) {
		delete(m, "objectSelector")
		m["rules"] = []any{rule}
	})))
	admin.enforce(t, "scales", map[string]any{
		"matchConstraints": map[string]any{"resourceRules": []any{rule}},
		"validations": []any{map[string]any{"expression": "object.spec.replicas == 2",
			"messageExpression": "request.options.fieldValidation + ': ' + string(oldObject.spec.replicas) + ' to ' + string(object.spec.replicas) + (has(object.metadata.labels) ? ', labelled' : '') + (has(object.metadata.managedFields) ? ', owned' : '')"}},
	}, map[string]any{})
	scale := func(version, replicas string) *asked {
		return admin.ask(t, "PUT", widgets(group, version)+"/w/scale?dryRun=All&fieldValidation=Warn",
			`{"metadata":{"name":"w","labels":{"a":"b"}},"spec":{"replicas":`+replicas+`}}`, "Content-Type", "application/json")
	}
	until(t, "the rules are in force", func() bool { return scale("v1", "1").code == http.StatusUnprocessableEntity && len(h.asked("/a")) > 0 })
	for _, c := range []struct {
		version, replicas string
		code              int
		want              string
	}{
		{"v1", "2", http.StatusOK, `"apiVersion":"autoscaling/v1`},
		{"v1", "3", http.StatusUnprocessableEntity, "denied request: Warn: 1 to 3"},
		{"v2", "3", http.StatusUnprocessableEntity, "denied request: Warn: 1 to 3"},
		{"v1", "7", http.StatusUnprocessableEntity, "spec.replicas: Invalid value: 7: spec.replicas in body should be less than or equal to 5"},
		{"v1", "-1", http.StatusUnprocessableEntity, "denied request: Warn: 1 to 4"},
	} {
		got := scale(c.version, c.replicas)
		if got.code != c.code || !strings.Contains(got.text, c.want+`"`) {
			t.Errorf("%s to %s: %d %s, want %d %q", c.version, c.replicas, got.code, got.text, c.code, c.want)
		}
	}
	seen, _ := json.Marshal(h.asked("/a")[0]["request"].(map[string]any)["object"])
	if text := string(seen); !strings.Contains(text, `"labels":{"a":"b"}`) || !strings.Contains(text, `"apiVersion":"autoscaling/v1","fieldsType"`) {
		t.Errorf("a webhook that may change a Scale is shown %s", text)
	}
}
