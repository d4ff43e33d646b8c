package apiserver

import (
	"net/http"
	"strings"
	"testing"
)

// TestWhoOwnsFieldsIsToldByTheObjectAlone: a client may change who owns the fields of an object, or begin anew, by
// the object itself; what it says by a subresource is passed over.
func TestWhoOwnsFieldsIsToldByTheObjectAlone(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	forged := []any{map[string]any{"manager": "mallory", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": map[string]any{"f:metadata": map[string]any{"f:labels": map[string]any{"f:a": map[string]any{}}}}}}
	node := object("v1", "Node", "n")
	node["metadata"].(map[string]any)["labels"] = map[string]any{"a": "b"}
	node = admin.must(t, http.StatusCreated, "POST", "/api/v1/nodes", node)
	with := func(o map[string]any, managed any) map[string]any {
		o["metadata"].(map[string]any)["managedFields"] = managed
		return o
	}
	managers := func(o map[string]any) string {
		var names []string
		list, _ := o["metadata"].(map[string]any)["managedFields"].([]any)
		for _, e := range list {
			names = append(names, at(e, "manager"))
		}
		return strings.Join(names, " ")
	}
	own := managers(node)
	for _, managed := range []any{forged, []any{}, []any{map[string]any{}}} {
		node = admin.must(t, http.StatusOK, "PUT", "/api/v1/nodes/n/status", with(node, managed))
		if got := managers(node); got != own {
			t.Errorf("by the status %v: %q", managed, got)
		}
	}
	node = admin.must(t, http.StatusOK, "PUT", "/api/v1/nodes/n", with(node, forged))
	if got := managers(node); got != "mallory" {
		t.Errorf("by the object: %q", got)
	}
	node = admin.must(t, http.StatusOK, "PUT", "/api/v1/nodes/n", with(node, []any{}))
	if got := managers(node); got != "" {
		t.Errorf("emptied: %q", got)
	}
}
