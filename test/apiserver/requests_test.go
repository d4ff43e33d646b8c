package apiserver

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/sampan-project/sampan/pkg/apiserver"
	"github.com/sampan-project/sampan/pkg/apiserver/storage"
)

const (
	mediaJSON     = "application/json"
	mediaProtobuf = "application/vnd.kubernetes.protobuf"
	mediaMerge    = "application/merge-patch+json"
)

// startWithEtcd also opens the server's etcd.
func startWithEtcd(t *testing.T, set ...func(*apiserver.Config)) (*server, *storage.Etcd) {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	s := start(t, t.TempDir(), append(set, func(c *apiserver.Config) { c.EtcdListen = address })...)
	etcd, err := storage.Dial(storage.DialConfig{Endpoints: []string{"http://" + address}}, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = etcd.Close() })
	return s, etcd
}

// everything gives each key in etcd and when it was written, but for those that the server renews by itself.
func everything(t *testing.T, etcd *storage.Etcd) map[string]int64 {
	t.Helper()
	page, err := etcd.List(t.Context(), "/", 0, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]int64{}
	for _, kv := range page.Items {
		if !strings.Contains(kv.Key, "leases/") && !strings.HasPrefix(kv.Key, "/registry/flowschemas/") {
			all[kv.Key] = kv.ModRevision
		}
	}
	if len(all) < 50 {
		t.Fatalf("etcd was read wrong: it holds %d keys", len(all))
	}
	return all
}

// CVE-2022-3162.
func TestPathsNeverLeaveTheirPlace(t *testing.T) {
	s, etcd := startWithEtcd(t)
	admin := s.as(adminToken)
	admin.send(t, "POST", "/api/v1/namespaces/kube-system/secrets", mediaJSON,
		[]byte(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"treasure"},"stringData":{"k":"Z29sZA"}}`)).want(t, "create", http.StatusCreated, "")
	admin.send(t, "POST", configMaps, mediaJSON, configMap("c", 1)).want(t, "create", http.StatusCreated, "")
	before := everything(t, etcd)
	long := strings.Repeat("x", 200<<10)
	for _, name := range []string{
		"..", ".", "%2e%2e", "..%2f..%2fsecrets%2fkube-system%2ftreasure", "../../secrets/kube-system/treasure", "..%2ftreasure", "%2f", "%2e%2e%2f",
		"c%2f..%2fc", "c%00", "%00", "c%00/../x", "c%25", "c%3f", "%ff%fe", "c%0a", "c%0d%0aX-Injected:%20yes", long, strings.Repeat("a/", 20000), strings.Repeat("%2f", 20000),
		"treasure%00", "../kube-system/configmaps/x",
	} {
		for _, at := range []string{
			configMaps + "/" + name, "/api/v1/namespaces/" + name + "/configmaps/treasure", "/api/v1/namespaces/" + name + "/secrets", "/api/v1/" + name,
			configMaps + "/c/" + name, "/apis/" + name + "/v1/x", "/api/v1/namespaces/" + name, configMaps + "?fieldSelector=metadata.namespace%3d" + name,
			"/api/v1/configmaps?fieldSelector=metadata.namespace%3d" + name,
		} {
			if strings.Contains(at, "?") && len(name) > 1000 {
				continue
			}
			got := admin.send(t, "GET", at, "", nil)
			if got.code >= 500 || bytes.Contains(got.body, []byte("WjI5c1pB")) || got.header.Get("X-Injected") != "" {
				t.Errorf("GET %s: %d %s", brief([]byte(at)), got.code, brief(got.body))
			}
		}
		path := configMaps + "/" + name
		for method, media := range map[string]string{"PUT": mediaJSON, "PATCH": mediaMerge, "DELETE": mediaJSON} {
			body := []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"treasure"},"data":{"a":"b"}}`)
			if method == "DELETE" {
				body = nil
			}
			if got := admin.send(t, method, path, media, body); got.code < 400 || got.code >= 500 {
				t.Errorf("%s %s: %d %s", method, brief([]byte(path)), got.code, brief(got.body))
			}
		}
		unescaped, err := url.PathUnescape(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, body := range []string{
			fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q}}`, unescaped),
			fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","namespace":%q}}`, unescaped),
			fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":%q}}`, unescaped),
		} {
			if got := admin.send(t, "POST", configMaps, mediaJSON, []byte(strings.ReplaceAll(body, `\x`, `\u00`))); got.code < 400 || got.code >= 500 {
				t.Errorf("POST %s: %d %s", brief([]byte(body)), got.code, brief(got.body))
			}
		}
	}
	if diff := cmp.Diff(before, everything(t, etcd)); diff != "" {
		t.Errorf("etcd came to be another:\n%s", diff)
	}
}

// encoded is an object in its protobuf envelope.
func encoded(t *testing.T, o k8sruntime.Object) []byte {
	t.Helper()
	kinds, _, err := scheme.Scheme.ObjectKinds(o)
	if err != nil {
		t.Fatal(err)
	}
	o.GetObjectKind().SetGroupVersionKind(kinds[0])
	var b bytes.Buffer
	if err := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(o, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestProtobufGarbageIsRefused(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	refused := func(what, path string, body []byte) {
		t.Helper()
		if got := admin.send(t, "POST", path, mediaProtobuf, body, "Accept", mediaJSON); got.code < 400 || got.code >= 500 {
			t.Errorf("%s: %d %s", what, got.code, brief(got.body))
		}
	}
	whole := encoded(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c", Labels: map[string]string{"a": "b"}}, Data: map[string]string{"k": "v"}})
	for n := range len(whole) - 4 { // the last four are an empty encoding and media type
		refused(fmt.Sprintf("%d of %d bytes", n, len(whole)), configMaps, whole[:n])
	}
	admin.send(t, "POST", configMaps, mediaProtobuf, whole, "Accept", mediaJSON).want(t, "the whole", http.StatusCreated, "")
	refused("JSON called protobuf", configMaps, configMap("c2", 1))
	admin.send(t, "POST", configMaps, mediaJSON, whole).want(t, "protobuf called JSON", http.StatusBadRequest, "")
	refused("another kind", configMaps, encoded(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}))
	refused("a list", configMaps, encoded(t, &corev1.ConfigMapList{}))
	refused("a length beyond the end", configMaps, append([]byte("k8s\x00"), 0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f))
	refused("a length that is negative", configMaps, append([]byte("k8s\x00"), 0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01))
	bits := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		b := bytes.Clone(whole)
		for range 1 + bits.IntN(3) {
			b[bits.IntN(len(b))] ^= 1 << bits.IntN(8)
		}
		if got := admin.send(t, "POST", configMaps+"?dryRun=All", mediaProtobuf, b, "Accept", mediaJSON); got.code >= 500 {
			t.Errorf("%q: %d %s", b, got.code, brief(got.body))
		}
	}
}

// What no JSON could say must not come in by protobuf: one such object would spoil every list that holds it.
func TestProtobufDoesNotSpoilLists(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	const revisions, services = "/apis/apps/v1/namespaces/default/controllerrevisions", "/api/v1/namespaces/default/services"
	for name, raw := range map[string]string{"garbage": "{", "two": "{} {}", "text": "hello", "empty": ""} {
		got := admin.send(t, "POST", revisions, mediaProtobuf, encoded(t, &appsv1.ControllerRevision{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Data: k8sruntime.RawExtension{Raw: []byte(raw)},
		}), "Accept", mediaJSON)
		if got.code < 400 || got.code >= 500 {
			t.Errorf("%s: %d %s", name, got.code, brief(got.body))
		}
	}
	got := admin.send(t, "POST", services, mediaProtobuf, encoded(t, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "neither"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.IntOrString{Type: 7}}}},
	}), "Accept", mediaJSON)
	if got.code < 400 || got.code >= 500 {
		t.Errorf("a port that is neither number nor name: %d %s", got.code, brief(got.body))
	}
	admin.send(t, "POST", configMaps, mediaProtobuf, encoded(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name: "managed", ManagedFields: []metav1.ManagedFieldsEntry{{
			Manager: "m", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", FieldsType: "FieldsV1",
			FieldsV1: &metav1.FieldsV1{Raw: []byte(strings.Repeat(`{"f:a":`, 400000))},
		}},
	}}), "Accept", mediaJSON).want(t, "managedFields that are none", http.StatusCreated, "")
	admin.send(t, "POST", configMaps, mediaProtobuf, encoded(t, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "latin1"}, Data: map[string]string{"k": "\xff\xfe"},
	}), "Accept", mediaJSON)
	for _, path := range []string{revisions, configMaps, services} {
		for _, accept := range []string{mediaJSON, mediaProtobuf, "application/yaml", "application/json;as=Table;g=meta.k8s.io;v=v1"} {
			admin.send(t, "GET", path, "", nil, "Accept", accept).want(t, path+" as "+accept, http.StatusOK, "")
		}
	}
}

// forged is a continue token made by the client.
func forged(revision int64, from string) string {
	b, _ := json.Marshal(map[string]any{"v": "meta.k8s.io/v1", "rv": revision, "start": from}) // plain values
	return base64.RawURLEncoding.EncodeToString(b)
}

func TestTokensAndVersionsThatNobodyGave(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	for _, name := range []string{"a", "b", "c"} {
		admin.send(t, "POST", configMaps, mediaJSON, configMap(name, 1)).want(t, "create", http.StatusCreated, "")
	}
	admin.send(t, "POST", "/api/v1/namespaces/default/secrets", mediaJSON, []byte(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"treasure"}}`)).
		want(t, "create", http.StatusCreated, "")
	now := at(admin.send(t, "GET", configMaps, "", nil).object(t), "metadata.resourceVersion")
	first := admin.send(t, "GET", configMaps+"?limit=1", "", nil).object(t)
	rest := at(first, "metadata.continue")
	names := func(a answer) (out []string) {
		for _, item := range a.object(t)["items"].([]any) {
			out = append(out, at(item, "metadata.name"))
		}
		return out
	}
	if got := names(admin.send(t, "GET", configMaps+"?continue="+rest, "", nil)); !cmp.Equal(got, []string{"b", "c", "kube-root-ca.crt"}) && !cmp.Equal(got, []string{"b", "c"}) {
		t.Errorf("the rest is %v", got)
	}
	// A token of one list in another begins somewhere, and leads nowhere else.
	for _, path := range []string{"/api/v1/namespaces/kube-system/configmaps", "/api/v1/namespaces/none/configmaps", "/api/v1/namespaces/default/endpoints"} {
		got := admin.send(t, "GET", path+"?continue="+rest, "", nil)
		if got.code != http.StatusOK || bytes.Contains(got.body, []byte(`"name":"b"`)) || bytes.Contains(got.body, []byte("treasure")) {
			t.Errorf("%s with another list's token: %d %s", path, got.code, brief(got.body))
		}
	}
	for _, c := range []struct {
		token   string
		code    int
		message string
	}{
		{forged(-1, "a\u0000"), http.StatusOK, ""},
		{forged(-1, "../secrets/default/"), http.StatusBadRequest, "continue key is not valid"},
		{forged(-1, "a/../../secrets"), http.StatusBadRequest, "continue key is not valid"},
		{forged(-1, "/.."), http.StatusBadRequest, "continue key is not valid"},
		{forged(-1, ".."), http.StatusBadRequest, "continue key is not valid"},
		{forged(-1, "a//b"), http.StatusBadRequest, "continue key is not valid"},
		{forged(-1, "zzz"), http.StatusOK, ""},
		{forged(1<<62, "a"), http.StatusGatewayTimeout, "Too large resource version"},
		{forged(0, "a"), http.StatusBadRequest, "incorrect encoded start resourceVersion"},
		{base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("[", 30000))), http.StatusBadRequest, "continue key is not valid"},
		{strings.Repeat("A", 100000), http.StatusBadRequest, "continue key is not valid"},
		{"%00", http.StatusBadRequest, "continue key is not valid"},
	} {
		got := admin.send(t, "GET", configMaps+"?continue="+c.token, "", nil)
		got.want(t, brief([]byte(c.token)), c.code, c.message)
		if c.code == http.StatusBadRequest { // which is told before what does not go with a token
			admin.send(t, "GET", configMaps+"?resourceVersion=1&continue="+c.token, "", nil).want(t, brief([]byte(c.token)), c.code, c.message)
		}
	}
	for _, version := range []string{"abc", "-1", "1.5", "18446744073709551616", " 1", "0x1", "1e3", now + "x"} {
		for _, query := range []string{"", "&watch=1&timeoutSeconds=1", "&limit=1", "&resourceVersionMatch=Exact", "&resourceVersionMatch=NotOlderThan"} {
			got := admin.send(t, "GET", configMaps+"?resourceVersion="+url.QueryEscape(version)+query, "", nil)
			if got.code < 400 || got.code >= 600 || got.code == http.StatusNotFound {
				t.Errorf("version %q%s: %d %s", version, query, got.code, brief(got.body))
			}
		}
	}
	admin.send(t, "GET", configMaps+"?resourceVersion=18446744073709551616", "", nil).want(t, "a version out of range", http.StatusBadRequest, "value out of range")
	for _, query := range []string{
		"limit=x", "limit=99999999999999999999", "timeoutSeconds=x", "watch=1&timeoutSeconds=99999999999999999999", "resourceVersionMatch=Exact",
		"resourceVersionMatch=x&resourceVersion=1", "sendInitialEvents=true", "watch=1&sendInitialEvents=true", "timeout=x", "timeout=1", "labelSelector=a%3d%3d%3d", "labelSelector=!", "labelSelector=" + strings.Repeat("(", 1000),
		"fieldSelector=a", "fieldSelector=spec.x%3dy", "fieldSelector=metadata.name%3d%5c", "labelSelector=" + strings.Repeat("a", 64), "labelSelector=a%3d" + strings.Repeat("b", 64),
	} {
		if got := admin.send(t, "GET", configMaps+"?"+query, "", nil); got.code != http.StatusBadRequest && got.code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", brief([]byte(query)), got.code, brief(got.body))
		}
	}
	start := time.Now()
	got := admin.send(t, "GET", configMaps+"?watch=1&timeoutSeconds=1&resourceVersion="+now, "", nil)
	if got.want(t, "a watch of a second", http.StatusOK, ""); time.Since(start) < time.Second {
		t.Error("a watch of a second ended early")
	}
}

func TestLongQueriesAndHeadersCostLittle(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	for i := range 50 {
		admin.send(t, "POST", configMaps, mediaJSON, configMap(fmt.Sprintf("c%d", i), 1)).want(t, "create", http.StatusCreated, "")
	}
	times := func(text string, n int) string { return strings.TrimSuffix(strings.Repeat(text+",", n), ",") }
	for what, query := range map[string]string{
		"a set":        "labelSelector=a+in+(" + times("x", 100000) + ")",
		"absences":     "labelSelector=" + times("!a", 50000),
		"inequalities": "labelSelector=" + times("a!%3db", 40000),
		"names":        "fieldSelector=" + times("metadata.name!%3da", 15000),
		"dry runs":     strings.Repeat("dryRun=x&", 30000),
		"parameters":   strings.Repeat("a&", 100000),
	} {
		cheaply(t, what, func() {
			if got := admin.send(t, "GET", configMaps+"?"+query, "", nil); got.code != http.StatusOK {
				t.Errorf("%s: %d %s", what, got.code, brief(got.body))
			}
		})
	}
	var accept strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&accept, "a/b;q=0.%06d,", i)
	}
	cheaply(t, "an Accept header", func() {
		admin.send(t, "GET", configMaps, "", nil, "Accept", accept.String()+mediaJSON).want(t, "a long Accept", http.StatusOK, "")
	})
	admin.send(t, "GET", configMaps, "", nil, "X-Long", strings.Repeat("x", 2<<20)).want(t, "a header of 2 MiB", http.StatusRequestHeaderFieldsTooLarge, "")
	cheaply(t, "a scope of warnings", func() {
		var fields strings.Builder
		for i := range 100000 {
			fmt.Fprintf(&fields, `,"unknown%06d":1`, i)
		}
		got := admin.send(t, "POST", configMaps, mediaJSON, []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"warned"}`+fields.String()+`}`))
		got.want(t, "unknown fields", http.StatusCreated, "")
		total := 0
		for _, w := range got.header.Values("Warning") {
			total += len(w)
		}
		if total < 2000 || total > 8<<10 {
			t.Errorf("the warnings take %d bytes", total)
		}
	})
	got := admin.send(t, "POST", configMaps, mediaJSON, configMap("managed", 1), "User-Agent", strings.Repeat("é", 100)+"x/1")
	manager := at(got.object(t)["metadata"].(map[string]any)["managedFields"].([]any)[0], "manager")
	if !utf8.ValidString(manager) || strings.ContainsRune(manager, utf8.RuneError) || len(manager) != 128 {
		t.Errorf("the manager is %q", manager)
	}
}

func TestDryRunLeavesNoTrace(t *testing.T) {
	s, etcd := startWithEtcd(t)
	admin := s.as(adminToken)
	const services, pods, deployments = "/api/v1/namespaces/default/services", "/api/v1/namespaces/default/pods", "/apis/apps/v1/namespaces/default/deployments"
	pod := `{"containers":[{"name":"c","image":"i"}]}`
	deployment := `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":` + pod + `}}}`
	admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces/default/serviceaccounts", object("v1", "ServiceAccount", "default"))
	for path, body := range map[string]string{
		configMaps:  `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}`,
		services:    `{"apiVersion":"v1","kind":"Service","metadata":{"name":"s"},"spec":{"ports":[{"port":80}]}}`,
		pods:        `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":` + pod + `}`,
		deployments: deployment,
	} {
		admin.send(t, "POST", path, mediaJSON, []byte(body)).want(t, path, http.StatusCreated, "")
	}
	before := everything(t, etcd)
	for _, c := range []struct{ method, path, media, body string }{
		{"POST", configMaps, mediaJSON, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"new"}}`},
		{"POST", configMaps, mediaJSON, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"new-"}}`},
		{"POST", "/api/v1/namespaces", mediaJSON, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"new"}}`},
		{"POST", services, mediaJSON, `{"apiVersion":"v1","kind":"Service","metadata":{"name":"new"},"spec":{"type":"NodePort","ports":[{"port":80}]}}`},
		{"POST", services, mediaJSON, `{"apiVersion":"v1","kind":"Service","metadata":{"name":"new"},"spec":{"type":"NodePort","clusterIP":"10.96.9.9","ports":[{"port":80,"nodePort":31999}]}}`},
		{"PATCH", services + "/s", mediaMerge, `{"spec":{"type":"NodePort"}}`},
		{"PATCH", services + "/s", mediaMerge, `{"spec":{"type":"ExternalName","externalName":"a.b","clusterIP":null,"clusterIPs":null}}`},
		{"POST", pods, mediaJSON, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"new"},"spec":` + pod + `}`},
		{"POST", pods + "/p/binding", mediaJSON, `{"apiVersion":"v1","kind":"Binding","metadata":{"name":"p"},"target":{"kind":"Node","name":"n"}}`},
		{"POST", pods + "/p/eviction", mediaJSON, `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"p"}}`},
		{"PUT", configMaps + "/c", mediaJSON, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"a":"b"}}`},
		{"PATCH", configMaps + "/c", mediaMerge, `{"data":{"a":"b"},"metadata":{"finalizers":["a.b/c"]}}`},
		{"PATCH", configMaps + "/c", "application/json-patch+json", `[{"op":"add","path":"/data","value":{"a":"b"}}]`},
		{"PATCH", configMaps + "/c", "application/strategic-merge-patch+json", `{"data":{"a":"b"}}`},
		{"PATCH", configMaps + "/c?fieldManager=m", "application/apply-patch+yaml", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"a":"b"}}`},
		{"PATCH", configMaps + "/new?fieldManager=m", "application/apply-patch+yaml", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"new"},"data":{"a":"b"}}`},
		{"PATCH", deployments + "/d/scale", mediaMerge, `{"spec":{"replicas":3}}`},
		{"PATCH", deployments + "/d/status", mediaMerge, `{"status":{"replicas":3}}`},
		{"DELETE", pods + "/p", "", ""},
		{"DELETE", services + "/s", "", ""},
		{"DELETE", configMaps + "/c", "", ""},
		{"DELETE", configMaps, "", ""},
		{"DELETE", "/api/v1/namespaces/default", "", ""},
		{"POST", "/api/v1/namespaces/default/serviceaccounts/default/token", mediaJSON, `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}`},
	} {
		path := c.path + "?dryRun=All"
		if strings.Contains(c.path, "?") {
			path = c.path + "&dryRun=All"
		}
		if got := admin.send(t, c.method, path, c.media, []byte(c.body)); got.code/100 != 2 && !(strings.HasSuffix(c.path, "/default") && got.code == http.StatusForbidden) {
			t.Errorf("%s %s %s: %d %s", c.method, path, c.body, got.code, got.message())
		}
		after := everything(t, etcd)
		if !maps.Equal(before, after) {
			t.Errorf("%s %s %s left a trace:\n%s", c.method, path, c.body, cmp.Diff(before, after))
			before = after
		}
	}
	// What a dry run took was given back.
	got := admin.send(t, "POST", services, mediaJSON, []byte(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"real"},"spec":{"type":"NodePort","clusterIP":"10.96.9.9","ports":[{"port":80,"nodePort":31999}]}}`))
	got.want(t, "the address and port of a dry run", http.StatusCreated, "")
}

// TestPathsThatAreNoResourcesAndTheirMethods: upstream looks at the method where it describes the path; the others it
// answers as it answers GET. A slash behind a path is taken where it describes the path.
func TestPathsThatAreNoResourcesAndTheirMethods(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	const group = "methods.example.com"
	admin.define(t, definition(group, nil, version("v1", true)))
	const all, slash, none = http.StatusOK, http.StatusOK, http.StatusNotFound
	const only = http.StatusMethodNotAllowed
	for path, want := range map[string][2]int{ // of another method, and of the path with a slash
		"/api": {only, slash}, "/api/v1": {only, slash}, "/apis": {all, slash}, "/apis/apps": {all, slash}, "/apis/apps/v1": {only, slash},
		"/apis/apiregistration.k8s.io": {only, slash}, "/apis/" + group: {all, slash}, "/apis/" + group + "/v1": {all, slash},
		"/version": {only, slash}, "/.well-known/openid-configuration": {only, slash}, "/openid/v1/jwks": {only, slash},
		"/openapi/v2": {all, none}, "/openapi/v3": {all, none}, "/openapi/v3/api/v1": {all, none}, "/healthz": {all, none}, "/readyz/ping": {all, none},
		"/metrics": {all, none}, "/index.html": {all, none}, "/flagz": {all, none},
	} {
		for method, code := range map[string]int{"HEAD": want[0], "POST": want[0], "PUT": want[0], "GET": http.StatusOK} {
			a := admin.ask(t, method, path, "")
			if empty := a.text == ""; a.code != code || empty != (method == "HEAD") || code == only && method != "HEAD" && at(a.body, "reason") != "MethodNotAllowed" {
				t.Errorf("%s %s: %d, want %d: %.100s", method, path, a.code, code, a.text)
			}
		}
		if a := admin.ask(t, "GET", path+"/", ""); a.code != want[1] {
			t.Errorf("GET %s/: %d, want %d", path, a.code, want[1])
		}
	}
	for path, code := range map[string]int{ // with slashes that stand twice
		"//apis": none, "//api/v1": none, "//api/v1/pods": none, "///apis/apps/v1/deployments": none, "//apis/" + group + "/v1/widgets": none, "//healthz": none,
		"/apis//": none, "/apis//v1/pods": none, "/healthz//ping": none,
	} {
		if a := admin.ask(t, "GET", path, ""); a.code != code || code == none && a.text != "404 page not found\n" {
			t.Errorf("GET %s: %d, want %d: %.100s", path, a.code, code, a.text)
		}
	}
	for _, path := range []string{"/api/v1/namespaces/default/pods//", "/api/v1/namespaces/default/pods/%2f", "/apis/" + group + "/v1/widgets//"} { // which name nothing
		if a := admin.ask(t, "DELETE", path, ""); a.code != none {
			t.Errorf("DELETE %s: %d, want %d: %.100s", path, a.code, none, a.text)
		}
	}
}
