package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// TestARefusedDeletionLeavesNoMark: a pod that is deleted in the version that its client saw is first marked, then
// removed. A write between the two must not leave it marked and refused.
func TestARefusedDeletionLeavesNoMark(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	addAccount(t, admin)
	const pods = "/api/v1/namespaces/default/pods"
	for i := range 10 {
		name := fmt.Sprintf("p%d", i)
		pod := object("v1", "Pod", name)
		pod["spec"] = map[string]any{"automountServiceAccountToken": false, "containers": []any{map[string]any{"name": "c", "image": "i"}}}
		pod = admin.must(t, http.StatusCreated, "POST", pods, pod)
		ctx, stop := context.WithCancel(t.Context())
		var writing sync.WaitGroup
		for w := range 4 {
			writing.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					admin.send(t, "PATCH", pods+"/"+name, "application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"labels":{"w%d":"%d"}}}`, w, n))
				}
			})
		}
		code := http.StatusConflict
		for code == http.StatusConflict {
			code, _ = admin.do(t, "DELETE", pods+"/"+name, map[string]any{"preconditions": map[string]any{"resourceVersion": at(pod, "metadata.resourceVersion")}})
			if code != http.StatusConflict {
				break
			}
			var there int
			if there, pod = admin.do(t, "GET", pods+"/"+name, nil); there != http.StatusOK {
				t.Fatalf("%s was refused, and is gone: %d", name, there)
			}
			if at(pod, "metadata.deletionTimestamp") != "<nil>" {
				t.Errorf("%s was refused, and is marked", name)
				break
			}
		}
		stop()
		writing.Wait()
	}
}

// A namespace keeps what its first deletion says of its dependents, and no later one changes that.
func TestDeletionsOfNamespacesSayWhatFollows(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	for name, c := range map[string]struct{ options, want string }{
		"usual":      {`{}`, "<nil>"},
		"background": {`{"propagationPolicy":"Background"}`, "<nil>"},
		"foreground": {`{"propagationPolicy":"Foreground"}`, "[foregroundDeletion]"},
		"orphan":     {`{"propagationPolicy":"Orphan"}`, "[orphan]"},
		"no-orphan":  {`{"orphanDependents":false}`, "[foregroundDeletion]"},
	} {
		const spaces = "/api/v1/namespaces"
		admin.must(t, http.StatusCreated, "POST", spaces, object("v1", "Namespace", name))
		for _, options := range []string{c.options, `{"propagationPolicy":"Orphan"}`} {
			admin.send(t, "DELETE", spaces+"/"+name, "application/json", []byte(options))
		}
		if got := at(admin.must(t, http.StatusOK, "GET", spaces+"/"+name, nil), "metadata.finalizers"); got != c.want {
			t.Errorf("%s: finalizers %s, want %s", name, got, c.want)
		}
	}
	// The first deletion of a definition waits for its objects, whatever it says of dependents.
	const group = "kept.example.com"
	admin.define(t, definition(group, nil, version("v1", true, "a")))
	deleted := admin.must(t, http.StatusOK, "DELETE", definitions+"/widgets."+group+"?propagationPolicy=Foreground", nil)
	if got := at(deleted, "metadata.finalizers"); got != "[customresourcecleanup.apiextensions.k8s.io]" {
		t.Errorf("definition: finalizers %s", got)
	}
}

// Admission sees how long a pod is given to end, and which namespace is meant, though the client says neither.
func TestAdmissionSeesWhatADeletionComesTo(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	addAccount(t, admin)
	const pods, spaces = "/api/v1/namespaces/default/pods", "/api/v1/namespaces"
	pod := object("v1", "Pod", "p")
	pod["spec"] = map[string]any{"automountServiceAccountToken": false, "nodeName": "n", "terminationGracePeriodSeconds": 7, "containers": []any{map[string]any{"name": "c", "image": "i"}}}
	admin.must(t, http.StatusCreated, "POST", pods, pod)
	uid := at(admin.must(t, http.StatusCreated, "POST", spaces, object("v1", "Namespace", "s")), "metadata.uid")
	admin.must(t, http.StatusCreated, "POST", configMapsPath, object("v1", "ConfigMap", "c"))
	admin.enforce(t, "options", map[string]any{
		"matchConstraints": map[string]any{"resourceRules": []any{map[string]any{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"DELETE"},
			"resources": []any{"pods", "namespaces", "configmaps"}}}},
		"validations": []any{map[string]any{"expression": "false", "messageExpression": "'grace ' + (has(request.options.gracePeriodSeconds) ? string(request.options.gracePeriodSeconds) : 'none')" +
			" + ', uid ' + (has(request.options.preconditions) ? request.options.preconditions.uid : 'any')"}}}, map[string]any{})
	for _, c := range []struct {
		path, want string
		body       any
	}{
		{pods + "/p", "grace 7, uid any", nil},
		{pods + "/p", "grace 3, uid any", map[string]any{"gracePeriodSeconds": 3}},
		{pods, "grace none, uid any", nil},
		{spaces + "/s", "grace none, uid " + uid, nil},
		{configMapsPath + "/c", "grace none, uid any", nil},
	} {
		until(t, c.path+" is judged", func() bool {
			code, _ := admin.do(t, "DELETE", c.path+"?dryRun=All", c.body)
			return code == http.StatusUnprocessableEntity
		})
		if _, out := admin.do(t, "DELETE", c.path+"?dryRun=All", c.body); !strings.HasSuffix(at(out, "message"), c.want) {
			t.Errorf("%s with %v: %s, want %s", c.path, c.body, at(out, "message"), c.want)
		}
	}
}

// TestANamespaceThatNobodyHoldsGoesBySecondDeletion: the first one always leaves it on its way out, for whoever watches.
func TestANamespaceThatNobodyHoldsGoesBySecondDeletion(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	const spaces, one = "/api/v1/namespaces", "/api/v1/namespaces/free"
	admin.must(t, http.StatusCreated, "POST", spaces, object("v1", "Namespace", "free"))
	free := admin.must(t, http.StatusOK, "PUT", one+"/finalize", object("v1", "Namespace", "free"))
	if at(free, "spec.finalizers") != "<nil>" || at(free, "status.phase") != "Active" {
		t.Fatalf("finalized: %v", free)
	}
	if o := admin.must(t, http.StatusOK, "DELETE", one, nil); at(o, "status.phase") != "Terminating" {
		t.Errorf("deleted: %v", o)
	}
	if o := admin.must(t, http.StatusOK, "GET", one, nil); at(o, "metadata.deletionTimestamp") == "<nil>" {
		t.Errorf("after its deletion: %v", o)
	}
	admin.must(t, http.StatusOK, "DELETE", one, nil)
	admin.must(t, http.StatusNotFound, "GET", one, nil)
}
