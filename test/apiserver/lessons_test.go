package apiserver

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// CVE-2021-25737: traffic of a Service is never led to the node's own addresses, or to what answers for a cloud.
func TestEndpointsNameNoLoopbackOrLinkLocalAddress(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	const endpoints, slices = "/api/v1/namespaces/default/endpoints", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
	legacy := func(ip string) map[string]any {
		o := object("v1", "Endpoints", "e")
		o["subsets"] = []any{map[string]any{"addresses": []any{map[string]any{"ip": ip}}, "ports": []any{map[string]any{"port": 80}}}}
		return o
	}
	slice := func(family, ip string) map[string]any {
		o := object("discovery.k8s.io/v1", "EndpointSlice", "s")
		o["addressType"], o["endpoints"] = family, []any{map[string]any{"addresses": []any{ip}}}
		return o
	}
	admin.must(t, http.StatusCreated, "POST", endpoints, legacy("10.0.0.1"))
	admin.must(t, http.StatusCreated, "POST", slices, slice("IPv4", "10.0.0.1"))
	notReady := legacy("10.0.0.1")
	notReady["subsets"].([]any)[0].(map[string]any)["notReadyAddresses"] = []any{map[string]any{"ip": "127.0.0.1"}}
	admin.must(t, http.StatusUnprocessableEntity, "PUT", endpoints+"/e", notReady)
	for _, c := range []struct{ family, ip string }{
		{"IPv4", "127.0.0.1"}, {"IPv4", "127.8.9.10"}, {"IPv4", "169.254.169.254"}, {"IPv4", "0.0.0.0"}, {"IPv4", "224.0.0.1"},
		{"IPv6", "::1"}, {"IPv6", "fe80::1"}, {"IPv6", "::"}, {"IPv6", "::ffff:127.0.0.1"}, {"IPv6", "ff02::1"},
	} {
		changed := slice(c.family, c.ip)
		if c.family == "IPv6" { // its family could not be changed
			changed["metadata"] = map[string]any{"name": "six"}
			admin.must(t, http.StatusUnprocessableEntity, "POST", slices, changed)
		} else {
			admin.must(t, http.StatusUnprocessableEntity, "PUT", slices+"/s", changed)
		}
		admin.must(t, http.StatusUnprocessableEntity, "PUT", endpoints+"/e", legacy(c.ip))
	}
	service := object("v1", "Service", "outside")
	service["spec"] = map[string]any{"ports": []any{map[string]any{"port": 80}}, "externalIPs": []any{"127.0.0.1"}}
	admin.must(t, http.StatusUnprocessableEntity, "POST", "/api/v1/namespaces/default/services", service)
}

// secret is a server at loopback that nobody may be led to.
func secret(t *testing.T) (port string, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port, asked
}

// addNode makes a node that says it is at an address.
func addNode(t *testing.T, admin *client, name, kind, address string, kubelet int) {
	t.Helper()
	node := admin.must(t, http.StatusCreated, "POST", "/api/v1/nodes", object("v1", "Node", name))
	node["status"] = map[string]any{
		"addresses":       []any{map[string]any{"type": kind, "address": address}},
		"daemonEndpoints": map[string]any{"kubeletEndpoint": map[string]any{"Port": kubelet}},
	}
	admin.must(t, http.StatusOK, "PUT", "/api/v1/nodes/"+name+"/status", node)
}

// addPod makes a pod on a node that says it is at an address.
func addPod(t *testing.T, admin *client, name, node, ip string) {
	t.Helper()
	pod := object("v1", "Pod", name)
	pod["spec"] = map[string]any{"nodeName": node, "automountServiceAccountToken": false, "containers": []any{map[string]any{"name": "c", "image": "i"}}}
	pod = admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces/default/pods", pod)
	pod["status"] = map[string]any{"phase": "Running", "podIPs": []any{map[string]any{"ip": ip}}, "qosClass": "BestEffort"}
	admin.must(t, http.StatusOK, "PUT", "/api/v1/namespaces/default/pods/"+name+"/status", pod)
}

func addAccount(t *testing.T, admin *client) {
	t.Helper()
	admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces/default/serviceaccounts", object("v1", "ServiceAccount", "default"))
}

// CVE-2020-8562 and CVE-2022-3294: no proxy leads to the host that the apiserver runs on.
func TestProxiesLeadNobodyToTheServersOwnHost(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	port, asked := secret(t)
	addAccount(t, admin)
	addNode(t, admin, "here", "InternalIP", "127.0.0.1", 10250)
	addNode(t, admin, "named", "Hostname", "localhost", 10250)
	addNode(t, admin, "cloud", "InternalIP", "169.254.169.254", 10250)
	addPod(t, admin, "here", "here", "127.0.0.1")
	addPod(t, admin, "six", "here", "::1")
	for _, path := range []string{
		"/api/v1/nodes/here:" + port + "/proxy/", "/api/v1/nodes/named:" + port + "/proxy/", "/api/v1/nodes/cloud/proxy/",
		"/api/v1/namespaces/default/pods/here:" + port + "/proxy/", "/api/v1/namespaces/default/pods/six:" + port + "/proxy/",
		"/api/v1/namespaces/default/pods/http:here:" + port + "/proxy/x",
	} {
		if code, answer := admin.do(t, "GET", path, nil); code != http.StatusBadRequest {
			t.Errorf("%s: %d: %v", path, code, answer)
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("it was asked %d times", n)
	}
}

// CVE-2020-8559: a kubelet cannot send the apiserver, with its credentials, elsewhere.
func TestRedirectsOfKubeletsAreNotFollowed(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	port, asked := secret(t)
	var redirected atomic.Int32
	kubelet := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		redirected.Add(1)
		http.Redirect(w, r, "http://127.0.0.1:"+port+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(kubelet.Close)
	u, err := url.Parse(kubelet.URL)
	if err != nil {
		t.Fatal(err)
	}
	kubeletPort, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	addAccount(t, admin)
	addNode(t, admin, "n", "InternalIP", "127.0.0.1", kubeletPort)
	addPod(t, admin, "p", "n", "10.0.0.1")
	const pod = "/api/v1/namespaces/default/pods/p"
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
	for path, headers := range map[string][]string{
		pod + "/log": nil, pod + "/exec?command=x&stdout=1": upgrade, pod + "/attach?stdout=1": upgrade,
	} {
		if got := admin.send(t, "GET", path, "", nil, headers...); got.code < 400 {
			t.Errorf("%s: %d", path, got.code)
		}
	}
	if redirected.Load() == 0 {
		t.Error("the kubelet was never asked")
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// CVE-2023-2728 and CVE-2024-3177: what an account allows its pods to read holds for every container and for
// every way to read it.
func TestMountableSecretsBindEveryContainerAndEnvironment(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	account := object("v1", "ServiceAccount", "default")
	account["metadata"].(map[string]any)["annotations"] = map[string]any{"kubernetes.io/enforce-mountable-secrets": "true"}
	account["secrets"] = []any{map[string]any{"name": "listed"}}
	admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces/default/serviceaccounts", account)
	container := func(more map[string]any) map[string]any {
		c := map[string]any{"name": "x", "image": "i"}
		for k, v := range more {
			c[k] = v
		}
		return c
	}
	env := func(secret string) map[string]any {
		return map[string]any{"env": []any{map[string]any{"name": "E", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": secret, "key": "k"}}}}}
	}
	envFrom := func(secret string) map[string]any {
		return map[string]any{"envFrom": []any{map[string]any{"secretRef": map[string]any{"name": secret}}}}
	}
	pod := func(name string, spec map[string]any) map[string]any {
		o := object("v1", "Pod", name)
		whole := map[string]any{"automountServiceAccountToken": false, "containers": []any{map[string]any{"name": "main", "image": "i"}}}
		for k, v := range spec {
			whole[k] = v
		}
		o["spec"] = whole
		return o
	}
	const pods = "/api/v1/namespaces/default/pods"
	for what, spec := range map[string]map[string]any{
		"env":               {"containers": []any{container(env("other"))}},
		"envFrom":           {"containers": []any{container(envFrom("other"))}},
		"an init's env":     {"initContainers": []any{container(env("other"))}},
		"an init's envFrom": {"initContainers": []any{container(envFrom("other"))}},
		"a volume":          {"volumes": []any{map[string]any{"name": "v", "secret": map[string]any{"secretName": "other"}}}},
	} {
		code, answer := admin.do(t, "POST", pods, pod("refused", spec))
		if code != http.StatusForbidden || !strings.Contains(at(answer, "message"), "does not reference that secret") {
			t.Errorf("%s: %d: %v", what, code, answer)
		}
	}
	admin.must(t, http.StatusCreated, "POST", pods, pod("p", map[string]any{"containers": []any{container(envFrom("listed"))}}))
	for what, more := range map[string]map[string]any{"env": env("other"), "envFrom": envFrom("other")} {
		current := admin.must(t, http.StatusOK, "GET", pods+"/p", nil)
		current["spec"].(map[string]any)["ephemeralContainers"] = []any{map[string]any{"name": "e", "image": "i", what: more[what]}}
		code, answer := admin.do(t, "PUT", pods+"/p/ephemeralcontainers", current)
		if want := "ephemeral container e with " + what; code != http.StatusForbidden || !strings.Contains(at(answer, "message"), want) {
			t.Errorf("an ephemeral container's %s: %d: %v", what, code, answer)
		}
	}
}

// CVE-2023-2727 and its like: a namespace's security level holds for containers of every kind.
func TestPodSecurityCoversEveryKindOfContainer(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	namespace := object("v1", "Namespace", "safe")
	namespace["metadata"].(map[string]any)["labels"] = map[string]any{"pod-security.kubernetes.io/enforce": "baseline"}
	admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces", namespace)
	admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces/safe/serviceaccounts", object("v1", "ServiceAccount", "default"))
	const pods = "/api/v1/namespaces/safe/pods"
	privileged := map[string]any{"name": "x", "image": "i", "securityContext": map[string]any{"privileged": true}}
	plain := map[string]any{"name": "main", "image": "i"}
	pod := object("v1", "Pod", "p")
	for _, spec := range []map[string]any{
		{"containers": []any{privileged}},
		{"containers": []any{plain}, "initContainers": []any{privileged}},
	} {
		pod["spec"] = spec
		admin.must(t, http.StatusForbidden, "POST", pods, pod)
	}
	pod["spec"] = map[string]any{"containers": []any{plain}}
	made := admin.must(t, http.StatusCreated, "POST", pods, pod)
	made["spec"].(map[string]any)["ephemeralContainers"] = []any{privileged}
	admin.must(t, http.StatusForbidden, "PUT", pods+"/p/ephemeralcontainers", made)
}

// CVE-2021-25735: what decides about a change of a node sees the node as it was.
func TestValidatingWebhooksSeeTheTrueOldNode(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	h := serveHooks(t, map[string]func(*http.Request, map[string]any) map[string]any{
		"/old": func(_ *http.Request, request map[string]any) map[string]any {
			return map[string]any{"allowed": at(request, "oldObject.metadata.labels.locked") != "yes"}
		},
	})
	node := object("v1", "Node", "n")
	node["metadata"].(map[string]any)["labels"] = map[string]any{"locked": "yes"}
	admin.must(t, http.StatusCreated, "POST", "/api/v1/nodes", node)
	admin.must(t, http.StatusCreated, "POST", validatingPath, configuration("ValidatingWebhookConfiguration", "c", h.hook("old", "", func(hook map[string]any) {
		delete(hook, "objectSelector")
		hook["rules"] = []any{map[string]any{"apiGroups": []any{""}, "apiVersions": []any{"v1"}, "operations": []any{"UPDATE"}, "resources": []any{"nodes", "nodes/status"}}}
	})))
	change := func(labels string, spec string) []byte {
		return []byte(`{"metadata":{"labels":` + labels + `},"spec":` + spec + `}`)
	}
	const merge = "application/merge-patch+json"
	until(t, "the webhook is asked", func() bool {
		admin.send(t, "PATCH", "/api/v1/nodes/n?dryRun=All", merge, change(`{"a":"b"}`, `{}`))
		return len(h.asked("/old")) > 0
	})
	for _, body := range [][]byte{change(`{"locked":null}`, `{}`), change(`{"locked":"no"}`, `{"unschedulable":true}`), change(`{}`, `{"taints":[{"key":"a","effect":"NoSchedule"}]}`)} {
		for _, path := range []string{"/api/v1/nodes/n", "/api/v1/nodes/n/status"} {
			admin.send(t, "PATCH", path, merge, body).want(t, path+" "+string(body), http.StatusBadRequest, "denied the request")
		}
	}
}

// CVE-2019-11247: rights in a namespace reach no object of the cluster.
func TestClusterScopedCustomResourcesHaveNoNamespacedPath(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	definition := object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "things.example.com")
	definition["spec"] = map[string]any{
		"group": "example.com", "scope": "Cluster", "names": map[string]any{"plural": "things", "kind": "Thing"},
		"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true,
			"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object"}}}},
	}
	admin.must(t, http.StatusCreated, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
	thing := object("example.com/v1", "Thing", "a")
	until(t, "things are served", func() bool {
		code, _ := admin.do(t, "POST", "/apis/example.com/v1/things", thing)
		return code == http.StatusCreated
	})
	for _, c := range []struct{ method, path string }{
		{"GET", "/apis/example.com/v1/namespaces/default/things/a"}, {"GET", "/apis/example.com/v1/namespaces/default/things"},
		{"POST", "/apis/example.com/v1/namespaces/default/things"}, {"PUT", "/apis/example.com/v1/namespaces/default/things/a"},
		{"PATCH", "/apis/example.com/v1/namespaces/default/things/a"}, {"DELETE", "/apis/example.com/v1/namespaces/default/things/a"}, {"DELETE", "/apis/example.com/v1/namespaces/default/things"},
	} {
		var body any
		if c.method[0] == 'P' {
			body = thing
		}
		admin.must(t, http.StatusNotFound, c.method, c.path, body)
	}
	admin.must(t, http.StatusOK, "GET", "/apis/example.com/v1/things/a", nil)
}

// TestExecByGetNeedsCreate: a WebSocket begins with a GET, and runs commands all the same.
func TestExecByGetNeedsCreate(t *testing.T) {
	s, ca := authority(t)
	admin := s.as(adminToken)
	role := object("rbac.authorization.k8s.io/v1", "ClusterRole", "reader")
	role["rules"] = []any{map[string]any{"apiGroups": []any{""}, "verbs": []any{"get", "list", "watch"},
		"resources": []any{"pods", "pods/exec", "pods/attach", "pods/portforward", "nodes", "nodes/proxy"}}}
	admin.must(t, http.StatusCreated, "POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", role)
	binding := object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "reader")
	binding["roleRef"] = map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"}
	binding["subjects"] = []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}}
	admin.must(t, http.StatusCreated, "POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
	addAccount(t, admin)
	addNode(t, admin, "n", "InternalIP", "192.0.2.1", 10250)
	addPod(t, admin, "p", "n", "10.0.0.1")
	jane := s.as("", certificate(t, ca, "jane", "team"))
	until(t, "jane reads pods", func() bool {
		code, _ := jane.do(t, "GET", "/api/v1/pods", nil)
		return code == http.StatusOK
	})
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
	const pod = "/api/v1/namespaces/default/pods/p"
	for _, path := range []string{pod + "/exec?command=x&stdout=1", pod + "/attach?stdout=1", pod + "/portforward?ports=80"} {
		for _, headers := range [][]string{nil, upgrade} {
			if got := jane.send(t, "GET", path, "", nil, headers...); got.code != http.StatusForbidden {
				t.Errorf("%s %v: %d: %s", path, headers, got.code, got.message())
			}
		}
	}
}

// CVE-2019-11248 and CVE-2025-0426, for the apiserver: strangers learn that it is well and which version it has.
func TestStrangersSeeHealthAndVersionOnly(t *testing.T) {
	stranger := start(t, t.TempDir()).as("")
	for path, code := range map[string]int{
		"/healthz": 200, "/livez": 200, "/readyz": 200, "/version": 200,
		"/metrics": 403, "/debug/pprof/": 403, "/debug/pprof/heap": 403, "/debug/pprof/profile": 403, "/debug/flags/v": 403, "/logs/": 403,
		"/api": 403, "/apis": 403, "/api/v1": 403, "/openapi/v2": 403, "/openapi/v3": 403, "/statusz": 403, "/flagz": 403, "/": 403,
		"/api/v1/secrets": 403, "/.well-known/openid-configuration": 403, "/openid/v1/jwks": 403,
	} {
		if got, answer := stranger.do(t, "GET", path, nil); got != code {
			t.Errorf("%s: %d, want %d: %v", path, got, code, answer)
		}
	}
}

// TestABindingNamesNoOtherNamespace: who may bind pods of one namespace binds none of another.
func TestABindingNamesNoOtherNamespace(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	addAccount(t, admin)
	addNode(t, admin, "n", "InternalIP", "192.0.2.1", 10250)
	pod := object("v1", "Pod", "p")
	pod["spec"] = map[string]any{"automountServiceAccountToken": false, "containers": []any{map[string]any{"name": "c", "image": "i"}}}
	admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces/default/pods", pod)
	binding := object("v1", "Binding", "p")
	binding["metadata"].(map[string]any)["namespace"] = "default"
	binding["target"] = map[string]any{"kind": "Node", "name": "n"}
	admin.must(t, http.StatusBadRequest, "POST", "/api/v1/namespaces/kube-system/bindings", binding)
	admin.must(t, http.StatusBadRequest, "POST", "/api/v1/namespaces/kube-system/pods/p/binding", binding)
	if node := at(admin.must(t, http.StatusOK, "GET", "/api/v1/namespaces/default/pods/p", nil), "spec.nodeName"); node != "<nil>" {
		t.Errorf("the pod was bound to %s", node)
	}
	admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces/default/bindings", binding)
}
