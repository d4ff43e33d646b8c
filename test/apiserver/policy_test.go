package apiserver

import (
	"net/http"
	"strings"
	"testing"
)

const admissionPath = "/apis/admissionregistration.k8s.io/v1/"

// policyFor is a policy for writes of configmaps in the namespace default that are labelled policy: name.
func policyFor(kind, name string, spec map[string]any) map[string]any {
	o := object("admissionregistration.k8s.io/v1", kind, name)
	match := map[string]any{
		"objectSelector": map[string]any{"matchLabels": map[string]any{"hook": name}},
		"resourceRules": []any{map[string]any{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"CREATE", "UPDATE"},
			"resources": []any{"configmaps"}}},
	}
	if spec["matchConstraints"] == nil {
		spec["matchConstraints"] = match
	}
	o["spec"] = spec
	return o
}

func bindingOf(kind, name string, spec map[string]any) map[string]any {
	o := object("admissionregistration.k8s.io/v1", kind, name)
	spec["policyName"] = name
	if kind == "ValidatingAdmissionPolicyBinding" {
		spec["validationActions"] = []any{"Deny"}
	}
	o["spec"] = spec
	return o
}

func (c *client) enforce(t *testing.T, name string, policy, binding map[string]any) {
	t.Helper()
	c.must(t, http.StatusCreated, "POST", admissionPath+"validatingadmissionpolicies", policyFor("ValidatingAdmissionPolicy", name, policy))
	c.must(t, http.StatusCreated, "POST", admissionPath+"validatingadmissionpolicybindings", bindingOf("ValidatingAdmissionPolicyBinding", name, binding))
}

func TestPoliciesJudgeWithParameters(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	for name, most := range map[string]string{"few": "1", "many": "3"} {
		o := labelled(name, "none", map[string]any{"most": most})
		o["metadata"].(map[string]any)["labels"] = map[string]any{"role": "limit"}
		admin.must(t, http.StatusCreated, "POST", configMapsPath, o)
	}
	rule := func() map[string]any {
		return map[string]any{
			"paramKind": map[string]any{"apiVersion": "v1", "kind": "ConfigMap"},
			"variables": []any{map[string]any{"name": "n", "expression": "size(object.data)"}},
			"validations": []any{map[string]any{"expression": "variables.n <= int(params.data.most)",
				"messageExpression": "string(variables.n) + ' is more than ' + params.metadata.name + ' allows in ' + namespaceObject.metadata.name"}},
		}
	}
	admin.enforce(t, "by-name", rule(), map[string]any{"paramRef": map[string]any{"name": "many", "namespace": "default", "parameterNotFoundAction": "Deny"}})
	admin.enforce(t, "by-label", rule(), map[string]any{"paramRef": map[string]any{
		"selector": map[string]any{"matchLabels": map[string]any{"role": "limit"}}, "parameterNotFoundAction": "Deny"}})
	admin.enforce(t, "missing-deny", rule(), map[string]any{"paramRef": map[string]any{"name": "gone", "parameterNotFoundAction": "Deny"}})
	admin.enforce(t, "missing-allow", rule(), map[string]any{"paramRef": map[string]any{"name": "gone", "parameterNotFoundAction": "Allow"}})
	unknown := rule()
	unknown["paramKind"] = map[string]any{"apiVersion": "example.com/v1", "kind": "Limit"}
	admin.enforce(t, "unknown-kind", unknown, map[string]any{"paramRef": map[string]any{"name": "many", "parameterNotFoundAction": "Allow"}})
	until(t, "the last policy is in force", func() bool {
		code, _ := admin.do(t, "POST", configMapsPath+"?dryRun=All", labelled("x", "unknown-kind", nil))
		return code != http.StatusCreated
	})
	two := map[string]any{"a": "", "b": ""}
	for _, c := range []struct {
		policy string
		data   map[string]any
		want   string // "": created
	}{
		{"by-name", two, ""},
		{"by-name", map[string]any{"a": "", "b": "", "c": "", "d": ""}, "4 is more than many allows in default"},
		{"by-label", two, "2 is more than few allows in default"},
		{"by-label", map[string]any{"a": ""}, ""},
		{"missing-deny", two, "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"},
		{"missing-allow", two, ""},
		{"unknown-kind", two, "denied request: failed to configure policy: failed to find resource referenced by paramKind: 'example.com/v1, Kind=Limit'"},
	} {
		code, out := admin.do(t, "POST", configMapsPath+"?dryRun=All", labelled("x", c.policy, c.data))
		if c.want == "" && code != http.StatusCreated || c.want != "" && (code != 422 || !strings.Contains(at(out, "message"), c.want)) {
			t.Errorf("%s with %d keys: %d %q, want %q", c.policy, len(c.data), code, at(out, "message"), c.want)
		}
	}
}

// The parameters for a namespace are those that are in it.
func TestNamespacesAreJudgedWithTheirOwnParameters(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	admin.enforce(t, "own", map[string]any{
		"paramKind": map[string]any{"apiVersion": "v1", "kind": "ConfigMap"},
		"matchConstraints": map[string]any{"resourceRules": []any{map[string]any{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"*"},
			"resources": []any{"namespaces"}}}},
		"validations": []any{map[string]any{"expression": "false", "messageExpression": "'by ' + params.metadata.namespace"}},
	}, map[string]any{"paramRef": map[string]any{"name": "rule", "parameterNotFoundAction": "Allow"}})
	admin.must(t, http.StatusCreated, "POST", configMapsPath, object("v1", "ConfigMap", "rule"))
	until(t, "the policy is in force", func() bool {
		_, out := admin.do(t, "PUT", "/api/v1/namespaces/default?dryRun=All", object("v1", "Namespace", "default"))
		return strings.HasSuffix(at(out, "message"), "by default")
	})
	admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces", object("v1", "Namespace", "new"))
}

// A parameter is read in the version that the policy names, whichever is stored.
func TestParametersComeInTheVersionAskedFor(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	const group = "params.example.com"
	admin.define(t, definition(group, nil, version("v1", true, "old"), version("v2", false, "new")))
	admin.must(t, http.StatusCreated, "POST", widgets(group, "v1"), widget(group, "v1", "w", map[string]any{"old": "x"}))
	admin.enforce(t, "versions", map[string]any{
		"paramKind":   map[string]any{"apiVersion": group + "/v2", "kind": "Widget"},
		"validations": []any{map[string]any{"expression": "false", "messageExpression": "params.apiVersion + (has(params.spec.old) ? ' with' : ' without') + ' what it does not know'"}},
	}, map[string]any{"paramRef": map[string]any{"name": "w", "namespace": "default", "parameterNotFoundAction": "Deny"}})
	until(t, "the policy is in force", func() bool {
		code, _ := admin.do(t, "POST", configMapsPath+"?dryRun=All", labelled("x", "versions", nil))
		return code != http.StatusCreated
	})
	_, out := admin.do(t, "POST", configMapsPath+"?dryRun=All", labelled("x", "versions", nil))
	if want := group + "/v2 without what it does not know"; !strings.Contains(at(out, "message"), want) {
		t.Errorf("the parameter is seen so: %q, want %q", at(out, "message"), want)
	}
}

// TestDeletionsOfACollectionAreJudgedOneByOne: admission sees each object, and as its name that of the request, which
// has none.
func TestDeletionsOfACollectionAreJudgedOneByOne(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	for _, name := range []string{"a", "b"} {
		admin.must(t, http.StatusCreated, "POST", configMapsPath, labelled(name, "deletions", nil))
	}
	admin.enforce(t, "deletions", map[string]any{
		"matchConstraints": map[string]any{"resourceRules": []any{map[string]any{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"DELETE"},
			"resources": []any{"configmaps"}}}},
		"validations": []any{map[string]any{"expression": "oldObject.metadata.name != 'b'",
			"messageExpression": "request.namespace + '/' + (has(request.name) ? request.name : '') + ' of ' + oldObject.metadata.name"}},
	}, map[string]any{})
	until(t, "the policy is in force", func() bool {
		code, _ := admin.do(t, "DELETE", configMapsPath+"/b?dryRun=All", nil)
		return code != http.StatusOK
	})
	_, one := admin.do(t, "DELETE", configMapsPath+"/b", nil)
	_, all := admin.do(t, "DELETE", configMapsPath+"?labelSelector=hook%3Ddeletions", nil)
	for _, c := range []struct {
		out        map[string]any
		start, end string
	}{
		{one, `configmaps "b" is forbidden: `, "denied request: default/b of b"},
		{all, `configmaps "Unknown" is forbidden: `, "denied request: default/ of b"},
	} {
		if got := at(c.out, "message"); !strings.HasPrefix(got, c.start) || !strings.HasSuffix(got, c.end) {
			t.Errorf("refused so: %q, want %q ... %q", got, c.start, c.end)
		}
	}
	admin.must(t, http.StatusNotFound, "GET", configMapsPath+"/a", nil)
}

func TestPoliciesAreBounded(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	const costly = "[0,1,2,3,4,5,6,7,8,9].all(a, [0,1,2,3,4,5,6,7,8,9].all(b, [0,1,2,3,4,5,6,7,8,9].all(c, [0,1,2,3,4,5,6,7,8,9].all(d, [0,1,2,3,4,5,6,7,8,9].all(e, [0,1,2,3,4,5,6,7,8,9].all(f, a+b+c+d+e+f >= 0))))))"
	admin.enforce(t, "costly", map[string]any{"validations": []any{map[string]any{"expression": costly}}}, map[string]any{})
	ignoring := map[string]any{"failurePolicy": "Ignore", "validations": []any{map[string]any{"expression": costly}}}
	admin.enforce(t, "ignoring", ignoring, map[string]any{})
	until(t, "the policy is in force", func() bool {
		code, _ := admin.do(t, "POST", configMapsPath+"?dryRun=All", labelled("x", "costly", nil))
		return code != http.StatusCreated
	})
	_, out := admin.do(t, "POST", configMapsPath+"?dryRun=All", labelled("x", "costly", nil))
	if !strings.Contains(at(out, "message"), "operation cancelled: actual cost limit exceeded") {
		t.Errorf("an expression that costs too much: %v", at(out, "message"))
	}
	admin.must(t, http.StatusCreated, "POST", configMapsPath+"?dryRun=All", labelled("x", "ignoring", nil))
}

func TestPoliciesAskWhatTheUserMay(t *testing.T) {
	s := start(t, t.TempDir())
	admin := s.as(adminToken)
	admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces/default/serviceaccounts", object("v1", "ServiceAccount", "writer"))
	role := object("rbac.authorization.k8s.io/v1", "Role", "writer")
	role["rules"] = []any{map[string]any{"apiGroups": []any{""}, "resources": []any{"configmaps"}, "verbs": []any{"create"}}}
	admin.must(t, http.StatusCreated, "POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles", role)
	binding := object("rbac.authorization.k8s.io/v1", "RoleBinding", "writer")
	binding["roleRef"] = map[string]any{"kind": "Role", "name": "writer"}
	binding["subjects"] = []any{map[string]any{"kind": "ServiceAccount", "name": "writer", "namespace": "default"}}
	admin.must(t, http.StatusCreated, "POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", binding)
	answer := admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces/default/serviceaccounts/writer/token",
		map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"})
	writer := s.as(at(answer, "status.token"))
	admin.enforce(t, "asks", map[string]any{"validations": []any{map[string]any{
		"expression": "authorizer.group('').resource('secrets').namespace('default').check('get').allowed() && authorizer.serviceAccount('default', 'writer').group('').resource('configmaps').namespace('default').check('create').allowed()",
		"message":    "only for those who may read secrets",
	}}}, map[string]any{})
	until(t, "the policy is in force for one and not for the other", func() bool {
		code, out := writer.do(t, "POST", configMapsPath+"?dryRun=All", labelled("x", "asks", nil))
		return code == 422 && strings.HasSuffix(at(out, "message"), "only for those who may read secrets")
	})
	admin.must(t, http.StatusCreated, "POST", configMapsPath+"?dryRun=All", labelled("x", "asks", nil))
}

func TestMutatingPoliciesChangeObjectsInTurn(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	mutate := func(name string, spec map[string]any) {
		admin.must(t, http.StatusCreated, "POST", admissionPath+"mutatingadmissionpolicies", policyFor("MutatingAdmissionPolicy", name, spec))
		admin.must(t, http.StatusCreated, "POST", admissionPath+"mutatingadmissionpolicybindings", bindingOf("MutatingAdmissionPolicyBinding", name, map[string]any{}))
	}
	selected := map[string]any{
		"objectSelector": map[string]any{"matchLabels": map[string]any{"hook": "turns"}},
		"resourceRules": []any{map[string]any{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"CREATE"},
			"resources": []any{"configmaps"}}},
	}
	expression := func(kind, text string) []any {
		field := map[string]string{"JSONPatch": "jsonPatch", "ApplyConfiguration": "applyConfiguration"}[kind]
		return []any{map[string]any{"patchType": kind, field: map[string]any{"expression": text}}}
	}
	mutate("a", map[string]any{"matchConstraints": selected, "reinvocationPolicy": "IfNeeded", "mutations": expression("ApplyConfiguration",
		"Object{metadata: Object.metadata{annotations: {'seen': string(size(object.data))}}}")})
	mutate("b", map[string]any{"matchConstraints": selected, "reinvocationPolicy": "Never", "mutations": expression("JSONPatch",
		"[JSONPatch{op: 'add', path: '/data/b', value: 'made'}, JSONPatch{op: 'test', path: '/metadata/name', value: object.metadata.name}]")})
	until(t, "both policies change objects", func() bool {
		code, out := admin.do(t, "POST", configMapsPath+"?dryRun=All", labelled("x", "turns", map[string]any{"k": "v"}))
		return code == http.StatusCreated && at(out, "data.b") == "made" && at(out, "metadata.annotations.seen") == "2"
	})
	out := admin.must(t, http.StatusCreated, "POST", configMapsPath, labelled("x", "turns", map[string]any{"k": "v"}))
	if at(out, "data.b") != "made" || at(out, "metadata.annotations.seen") != "2" {
		t.Errorf("the policy that wants to be carried out again has not seen the other's change: %v", out)
	}
}

// Policies guard the configurations of webhooks, but neither themselves nor the questions without which a cluster does
// not work; those that change objects have nothing to do where one is deleted.
func TestWhatPoliciesConcern(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	everything := func() map[string]any {
		return map[string]any{"resourceRules": []any{map[string]any{"apiGroups": []any{"*"}, "apiVersions": []any{"*"}, "operations": []any{"*"}, "resources": []any{"*"}}}}
	}
	admin.must(t, http.StatusCreated, "POST", admissionPath+"mutatingadmissionpolicies", policyFor("MutatingAdmissionPolicy", "all", map[string]any{
		"matchConstraints": everything(), "reinvocationPolicy": "Never", "matchConditions": []any{map[string]any{"name": "fails", "expression": "object.metadata.name == 'none'"}},
		"mutations": []any{map[string]any{"patchType": "JSONPatch", "jsonPatch": map[string]any{"expression": "[JSONPatch{op: 'test', path: '/kind', value: 'None'}]"}}},
	}))
	admin.must(t, http.StatusCreated, "POST", admissionPath+"mutatingadmissionpolicybindings", bindingOf("MutatingAdmissionPolicyBinding", "all", map[string]any{}))
	admin.must(t, http.StatusCreated, "POST", configMapsPath, object("v1", "ConfigMap", "x"))
	admin.enforce(t, "some", map[string]any{"matchConstraints": everything(), "validations": []any{map[string]any{
		"expression": "!(request.resource.group in ['authorization.k8s.io', 'admissionregistration.k8s.io'])"}}}, map[string]any{})
	hooks := configuration("ValidatingWebhookConfiguration", "w")
	until(t, "the configurations of webhooks are guarded", func() bool {
		code, _ := admin.do(t, "POST", validatingPath+"?dryRun=All", hooks)
		return code == http.StatusUnprocessableEntity
	})
	review := map[string]any{"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": map[string]any{"nonResourceAttributes": map[string]any{"path": "/", "verb": "get"}}}
	admin.must(t, http.StatusCreated, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
	admin.must(t, http.StatusOK, "DELETE", configMapsPath+"/x", nil)
	admin.must(t, http.StatusOK, "DELETE", admissionPath+"validatingadmissionpolicies/some", nil)
}

// A policy that wants to be carried out again is so after its own change too.
func TestMutatingPoliciesHaveASecondTurn(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	policy := policyFor("MutatingAdmissionPolicy", "count", map[string]any{
		"reinvocationPolicy": "IfNeeded",
		"mutations": []any{map[string]any{"patchType": "JSONPatch", "jsonPatch": map[string]any{
			"expression": "[JSONPatch{op: 'test', path: '/kind', value: 'ConfigMap'}, JSONPatch{op: 'replace', path: '/data/n', value: string(int(object.data.n) + 1)}]"}}},
	})
	admin.must(t, http.StatusCreated, "POST", admissionPath+"mutatingadmissionpolicies", policy)
	admin.must(t, http.StatusCreated, "POST", admissionPath+"mutatingadmissionpolicybindings", bindingOf("MutatingAdmissionPolicyBinding", "count", map[string]any{}))
	got := ""
	until(t, "the policy changes objects", func() bool {
		got = at(admin.must(t, http.StatusCreated, "POST", configMapsPath+"?dryRun=All", labelled("x", "count", map[string]any{"n": "0"})), "data.n")
		return got != "0"
	})
	if got != "2" {
		t.Errorf("the policy was carried out %s times", got)
	}
}

// An object that cannot be given in the version that a policy is about is a failure of that policy.
func TestPoliciesBearFailedConversions(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	const group = "lost.example.com"
	admin.define(t, definition(group, func(spec map[string]any) {
		spec["conversion"] = map[string]any{"strategy": "Webhook", "webhook": map[string]any{"conversionReviewVersions": []any{"v1"},
			"clientConfig": map[string]any{"url": "https://127.0.0.1:1/"}}}
	}, version("v1", true, "a"), version("v2", false, "a")))
	match := func(name string) map[string]any {
		return map[string]any{"objectSelector": map[string]any{"matchLabels": map[string]any{"hook": name}},
			"resourceRules": []any{map[string]any{"apiGroups": []any{group}, "apiVersions": []any{"v2"}, "operations": []any{"CREATE"}, "resources": []any{"widgets"}}}}
	}
	for _, failure := range []string{"Fail", "Ignore"} {
		for _, kind := range []string{"Mutating", "Validating"} {
			name := strings.ToLower(kind + "-" + failure)
			spec := map[string]any{"failurePolicy": failure, "matchConstraints": match(name)}
			if kind == "Mutating" {
				spec["reinvocationPolicy"] = "Never"
				spec["mutations"] = []any{map[string]any{"patchType": "JSONPatch", "jsonPatch": map[string]any{"expression": "[JSONPatch{op: 'remove', path: '/spec/a'}]"}}}
			} else {
				spec["validations"] = []any{map[string]any{"expression": "true"}}
			}
			path := admissionPath + strings.ToLower(kind) + "admissionpolic"
			admin.must(t, http.StatusCreated, "POST", path+"ies", policyFor(kind+"AdmissionPolicy", name, spec))
			admin.must(t, http.StatusCreated, "POST", path+"ybindings", bindingOf(kind+"AdmissionPolicyBinding", name, map[string]any{}))
		}
	}
	for _, c := range []struct {
		name, message string
		code          int
	}{
		{"validating-fail", "ValidatingAdmissionPolicy 'validating-fail' with binding 'validating-fail' denied request: failed to configure binding: failed to convert object version: conversion webhook for ", 422},
		{"mutating-fail", `policy "mutating-fail" denied request: failed to configure policy: conversion webhook for `, 403},
		{"validating-ignore", "", 201},
		{"mutating-ignore", "", 201},
	} {
		w := widget(group, "v1", c.name, map[string]any{"a": "x"})
		w["metadata"].(map[string]any)["labels"] = map[string]any{"hook": c.name}
		until(t, c.name+" is carried out", func() bool {
			code, out := admin.do(t, "POST", widgets(group, "v1")+"?dryRun=All", w)
			return code == c.code && (c.message == "" || strings.Contains(at(out, "message"), c.message))
		})
	}
}

// Bodies of subresources can be patched like objects; parts cannot be merged into them, which is a failure of the policy.
func TestPoliciesChangeBodiesOfSubresources(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	const deployments, tokens = "/apis/apps/v1/namespaces/default/deployments", "/api/v1/namespaces/default/serviceaccounts/a/token"
	d := object("apps/v1", "Deployment", "d")
	labels := map[string]any{"a": "b"}
	d["spec"] = map[string]any{"replicas": 0, "selector": map[string]any{"matchLabels": labels}, "template": map[string]any{
		"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "i"}}}}}
	admin.must(t, http.StatusCreated, "POST", deployments, d)
	admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces/default/serviceaccounts", object("v1", "ServiceAccount", "a"))
	mutate := func(name string, resources []any, mutation map[string]any) {
		admin.must(t, http.StatusCreated, "POST", admissionPath+"mutatingadmissionpolicies", policyFor("MutatingAdmissionPolicy", name, map[string]any{
			"matchConstraints":   map[string]any{"resourceRules": []any{map[string]any{"apiGroups": []any{"*"}, "apiVersions": []any{"*"}, "operations": []any{"*"}, "resources": resources}}},
			"reinvocationPolicy": "Never", "mutations": []any{mutation}}))
		admin.must(t, http.StatusCreated, "POST", admissionPath+"mutatingadmissionpolicybindings", bindingOf("MutatingAdmissionPolicyBinding", name, map[string]any{}))
	}
	patch := func(text string) map[string]any {
		return map[string]any{"patchType": "JSONPatch", "jsonPatch": map[string]any{"expression": text}}
	}
	mutate("three", []any{"*/scale"}, patch("[JSONPatch{op: 'replace', path: '/spec/replicas', value: 3}]"))
	mutate("long", []any{"serviceaccounts/token"}, patch("[JSONPatch{op: 'replace', path: '/spec/expirationSeconds', value: 7000}]"))
	scale, token := object("autoscaling/v1", "Scale", "d"), map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": map[string]any{}}
	scale["spec"] = map[string]any{"replicas": 2}
	until(t, "the policies change bodies", func() bool {
		out := admin.must(t, http.StatusOK, "PUT", deployments+"/d/scale?dryRun=All", scale)
		return at(out, "spec.replicas") == "3" && at(admin.must(t, http.StatusCreated, "POST", tokens, token), "spec.expirationSeconds") == "7000"
	})
	mutate("part", []any{"*/scale"}, map[string]any{"patchType": "ApplyConfiguration", "applyConfiguration": map[string]any{"expression": "Object{spec: Object.spec{replicas: 4}}"}})
	until(t, "a part is refused", func() bool {
		code, out := admin.do(t, "PUT", deployments+"/d/scale?dryRun=All", scale)
		return code == http.StatusForbidden && strings.HasSuffix(at(out, "message"), "no corresponding type for autoscaling/v1, Kind=Scale")
	})
}
