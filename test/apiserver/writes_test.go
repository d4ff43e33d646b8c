package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
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
	const there, ending = configMaps + "/there", configMaps + "/ending"
	admin.must(t, http.StatusCreated, "POST", configMaps, json.RawMessage(body(`"name":"ending","finalizers":["a.b/c"]`)))
	admin.must(t, http.StatusOK, "DELETE", ending, nil)
	addAccount(t, admin)
	addPod(t, admin, "p", "n", "10.0.0.1")
	const hooks, ingresses = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", "/apis/networking.k8s.io/v1/namespaces/default/ingresses"
	admin.send(t, "POST", ingresses, mediaJSON, []byte(`{"metadata":{"name":"i"},"spec":{"defaultBackend":{"service":{"name":"s","port":{"number":80}}}}}`)).want(t, "an ingress", 201, "")
	const pod, otherPod = "/api/v1/namespaces/default/pods/p", `{"metadata":{"name":"p","uid":"x"},"spec":{"containers":[{"name":"c","image":"i"}]}}`
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
		{"and so are the kinds of extensions", "POST", hooks, `{"metadata":{"name":"f","finalizers":["noslash"]}}`, "", 201, "", ""},
		{"a version that is none", "PUT", there, body(`"name":"there","resourceVersion":"abc"`), "", 500, `strconv.ParseUint: parsing \"abc\": invalid syntax`, ""},
		{"a version that is old", "PUT", there, body(`"name":"there","resourceVersion":"1"`), "", 409, "the object has been modified", ""},
		{"a patch that takes the name", "PATCH", there, `{"metadata":{"name":null}}`, merge, 400, "the name of the object (there based on URL) was undeterminable: name must be provided", ""},
		{"a patch that takes the version", "PATCH", there, `{"apiVersion":null}`, merge, 400, "the name of the object (there based on URL) was undeterminable: name must be provided", `unknown field "metadata"`},
		{"a patch that takes the version, strictly", "PATCH", there + "?fieldValidation=Strict", `{"apiVersion":""}`, merge, 422, `strict decoding error: unknown field`, ""},
		{"a patch that takes the kind", "PATCH", there, `{"apiVersion":"v1","kind":null}`, merge, 200, "", ""},
		{"a patch that is nothing", "PATCH", there, `null`, merge, 400, "Invalid JSON Patch", ""},
		{"what is deprecated warns", "GET", "/api/v1/componentstatuses", "", "", 200, "", "v1 ComponentStatus is deprecated in v1.19+"},
		{"but not of what it does not do", "DELETE", "/api/v1/componentstatuses", "", "", 405, "", ""},
		{"apply refuses unknown fields itself", "PATCH", there + "?fieldManager=m&fieldValidation=Ignore", body(`"name":"there"`)[:1] + `"foo":1,` + body(`"name":"there"`)[1:], apply, 500, ".foo: field not declared in schema", ""},
		{"apply warns of keys that stand twice", "PATCH", there + "?fieldManager=m", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: there}\ndata:\n  k: a\n  k: b\n", apply, 200, "", `line 6: key "k" already set in map`},
		{"and refuses them where asked to", "PATCH", there + "?fieldManager=m&fieldValidation=Strict", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: there}\ndata:\n  k: a\n  k: b\n", apply, 400, "error strict decoding YAML", ""},
		{"a name that is taken, of one who also gave what to make another of", "POST", configMaps, body(`"name":"there","generateName":"th"`), "", 409, `configmaps \"there\" already exists, the server was not able to generate a unique name for the object`, ""},
		{"a version that is none is passed over in what is new", "POST", configMaps, body(`"name":"v","resourceVersion":"abc"`), "", 201, "", ""},
		{"but not one that could be one", "POST", configMaps, body(`"name":"w","resourceVersion":"5"`), "", 500, "resourceVersion should not be set on objects to be created", ""},
		{"what ends, ends when it is told to", "PUT", ending, body(`"name":"ending","finalizers":["a.b/c"],"deletionTimestamp":"2020-01-01T00:00:00Z"`), "", 200, "", ""},
		{"and its name is not free, in a dry run either", "POST", configMaps + "?dryRun=All", body(`"name":"ending"`), "", 409, `object is being deleted: configmaps \"ending\" already exists`, ""},
		{"owners of a patch stand once", "PATCH", there, `{"metadata":{"ownerReferences":[` + owner + "," + owner + `]}}`, merge, 200, "", "duplicate entries after mutating admission happens; "},
		{"an apply of what is not there needs its name", "PATCH", configMaps + "/x?fieldManager=m", `{"apiVersion":"v1","kind":"ConfigMap"}`, apply, 400, "the name of the object (x based on URL) was undeterminable: name must be provided", ""},
		{"what has no namespace takes none by PUT", "PUT", "/api/v1/namespaces/default", `{"metadata":{"name":"default","namespace":"x"}}`, "", 200, "", ""},
		{"nor by a patch", "PATCH", "/api/v1/namespaces/default", `{"metadata":{"namespace":"x"}}`, merge, 200, "", ""},
		{"nor by an apply", "PATCH", "/api/v1/namespaces/default?fieldManager=m", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"default","namespace":"x"}}`, apply, 200, "", ""},
		{"a quota of more requests than limits", "POST", "/api/v1/namespaces/default/resourcequotas", `{"metadata":{"name":"q"},"spec":{"hard":{"cpu":"2","limits.cpu":"1","requests.memory":"3","memory":"1","limits.memory":"2"}}}`, "", 201, "",
			"299 - \"ResourceQuota cpu (2) should be less than limits.cpu (1)\"\n299 - \"ResourceQuota requests.memory (3) should be less than limits.memory (2)\""},
		{"which is told when it is made", "PATCH", "/api/v1/namespaces/default/resourcequotas/q", `{"spec":{"hard":{"cpu":"3"}}}`, merge, 200, "", ""},
		{"a name for what is read from files", "POST", hooks, `{"metadata":{"name":"a.static.k8s.io"}}`, "", 201, "", `metadata.name: names ending with ".static.k8s.io" are reserved for static manifest-based configurations`},
		{"which is told again", "PATCH", hooks + "/a.static.k8s.io", `{"metadata":{"labels":{"a":"b"}}}`, merge, 200, "", `metadata.name: names ending with ".static.k8s.io"`},
		{"an ingress' address in other words", "PATCH", ingresses + "/i/status", `{"status":{"loadBalancer":{"ingress":[{"ip":"2001:DB8::1"}]}}}`, merge, 200, "", `299 - "status.loadBalancer.ingress[0]: `},
		{"a resize by a patch of another pod", "PATCH", pod + "/resize", `{"metadata":{"uid":"x","labels":{"a":"b"}}}`, merge, 422, `metadata.uid: Invalid value: \"x\": field is immutable`, ""},
		{"an ephemeral container of another pod", "PATCH", pod + "/ephemeralcontainers", `{"metadata":{"uid":"x"}}`, merge, 422, `metadata.uid: Invalid value: \"x\": field is immutable`, ""},
		{"a resize of another pod", "PUT", pod + "/resize", otherPod, "", 409, "Precondition failed: UID in precondition: x, UID in object meta: ", ""},
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

// TestQuantitiesInOtherWordsAreStored: what says the same in other words is no change of the specification, but it is
// what its client wrote.
func TestQuantitiesInOtherWordsAreStored(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	const quotas = "/api/v1/namespaces/default/resourcequotas"
	quota := func(memory string) map[string]any {
		o := object("v1", "ResourceQuota", "q")
		o["spec"] = map[string]any{"hard": map[string]any{"memory": memory, "cpu": "1500m"}}
		return o
	}
	before := admin.must(t, http.StatusCreated, "POST", quotas, quota("1Gi"))
	same := admin.must(t, http.StatusOK, "PUT", quotas+"/q", quota("1024Mi"))
	if at(same, "metadata.resourceVersion") != at(before, "metadata.resourceVersion") {
		t.Error("what is stored in the same words was written anew")
	}
	other := admin.must(t, http.StatusOK, "PUT", quotas+"/q", quota("1073741824"))
	if at(other, "metadata.resourceVersion") == at(before, "metadata.resourceVersion") || at(other, "spec.hard.memory") != "1073741824" {
		t.Errorf("other words are not stored: %v", other)
	}
}

// TestWhoOwnsWhatIsForgottenWhereItIsTooMuch writes objects that are only with their managedFields too large for etcd.
func TestWhoOwnsWhatIsForgottenWhereItIsTooMuch(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	data, size := map[string]string{}, 0
	for size < 1_000_000 {
		key := fmt.Sprintf("%0200d", len(data))
		data[key] = ""
		size += len(key)
	}
	cm := object("v1", "ConfigMap", "c")
	cm["data"] = data
	owners := func(o map[string]any) int {
		list, _ := o["metadata"].(map[string]any)["managedFields"].([]any)
		return len(list)
	}
	if o := admin.must(t, http.StatusCreated, "POST", configMaps, cm); owners(o) != 0 {
		t.Errorf("created with %d owners", owners(o))
	}
	small := object("v1", "ConfigMap", "small")
	small["data"] = map[string]string{"k": "v"}
	if o := admin.must(t, http.StatusCreated, "POST", configMaps, small); owners(o) != 1 {
		t.Errorf("a small one has %d owners", owners(o))
	}
	cm["metadata"] = small["metadata"]
	if o := admin.must(t, http.StatusOK, "PUT", configMaps+"/small", cm); owners(o) != 0 {
		t.Errorf("updated with %d owners", owners(o))
	}
}

// TestADeletionInProgressIsOnlyShortened deletes a pod again and again while it ends: its time is counted from the first
// deletion, and what a later one asks for beside a shorter time is passed over.
func TestADeletionInProgressIsOnlyShortened(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	addAccount(t, admin)
	addPod(t, admin, "p", "n", "10.0.0.1")
	const path = "/api/v1/namespaces/default/pods/p"
	ends := func(o map[string]any) time.Time {
		end, err := time.Parse(time.RFC3339, at(o, "metadata.deletionTimestamp"))
		if err != nil {
			t.Fatal(err)
		}
		return end
	}
	first := admin.must(t, http.StatusOK, "DELETE", path+"?gracePeriodSeconds=1000", nil)
	for _, c := range []struct {
		query, body string
		earlier     time.Duration
		grace       string
	}{
		{"?gracePeriodSeconds=900", "", 100 * time.Second, "900"},
		{"?gracePeriodSeconds=2000", "", 100 * time.Second, "900"},
		{"", `{"propagationPolicy":"Foreground"}`, 100 * time.Second, "900"},
		{"", `{"propagationPolicy":"Orphan","gracePeriodSeconds":900}`, 100 * time.Second, "900"},
		{"", `{"propagationPolicy":"Foreground","gracePeriodSeconds":800}`, 200 * time.Second, "800"},
	} {
		o := admin.ask(t, "DELETE", path+c.query, c.body).body
		if got := ends(first).Sub(ends(o)); got != c.earlier || at(o, "metadata.deletionGracePeriodSeconds") != c.grace || at(o, "metadata.generation") != "2" {
			t.Errorf("%s%s: ends %s earlier: %v", c.query, c.body, got, o["metadata"])
		}
		if has := at(o, "metadata.finalizers"); (has != "<nil>") != (c.grace == "800") {
			t.Errorf("%s%s: finalizers %s", c.query, c.body, has)
		}
	}
}

// TestEventsNeverWaitForTheGarbageCollector, whatever their deletion asks for.
func TestEventsNeverWaitForTheGarbageCollector(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	const events = "/api/v1/namespaces/default/events"
	for _, policy := range []string{"Orphan", "Foreground"} {
		event := object("v1", "Event", "e")
		event["involvedObject"] = map[string]any{"namespace": "default"}
		event["metadata"] = map[string]any{"name": "e", "finalizers": []any{"orphan"}}
		admin.must(t, http.StatusCreated, "POST", events, event)
		admin.must(t, http.StatusOK, "DELETE", events+"/e", map[string]any{"propagationPolicy": policy})
		admin.must(t, http.StatusNotFound, "GET", events+"/e", nil)
	}
	// Nor does it change the order of finalizers that stay.
	cm := object("v1", "ConfigMap", "c")
	cm["metadata"] = map[string]any{"name": "c", "finalizers": []any{"orphan", "a.b/c"}}
	admin.must(t, http.StatusCreated, "POST", configMaps, cm)
	if o := admin.must(t, http.StatusOK, "DELETE", configMaps+"/c", nil); at(o, "metadata.finalizers") != "[orphan a.b/c]" {
		t.Errorf("finalizers %s", at(o, "metadata.finalizers"))
	}
}

// TestAScaleIsJudgedByItself writes Scales that are not of their object.
func TestAScaleIsJudgedByItself(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	const deployments = "/apis/apps/v1/namespaces/default/deployments"
	d := object("apps/v1", "Deployment", "d")
	labels := map[string]any{"a": "b"}
	d["spec"] = map[string]any{"selector": map[string]any{"matchLabels": labels}, "template": map[string]any{
		"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "i"}}}}}
	admin.must(t, http.StatusCreated, "POST", deployments, d)
	const scale, merge, apply = deployments + "/d/scale", "application/merge-patch+json", "application/apply-patch+yaml"
	twice := "apiVersion: autoscaling/v1\nkind: Scale\nspec:\n  replicas: 1\n  replicas: 2\n"
	for _, c := range []struct {
		name, method, query, body, media string
		code                             int
		text, warning                    string
	}{
		{"another object", "PATCH", "", `{"metadata":{"uid":"x"}}`, merge, 409, `Operation cannot be fulfilled on deployments/scale.apps \"d\": Precondition failed: UID in precondition: x, UID in object meta: `, ""},
		{"another object by PUT", "PUT", "", `{"metadata":{"name":"d","uid":"x"}}`, "application/json", 409, `Operation cannot be fulfilled on deployments.apps \"d\": StorageError: invalid object`, ""},
		{"another namespace", "PATCH", "", `{"metadata":{"namespace":"x"}}`, merge, 400, "the namespace of the provided object does not match the namespace sent on the request", ""},
		{"no name", "PUT", "", `{"spec":{"replicas":1}}`, "application/json", 400, "the name of the object (d based on URL) was undeterminable: name must be provided", ""},
		{"labels that are none", "PATCH", "", `{"metadata":{"labels":{"!!":"x"}}}`, merge, 422, `Scale.autoscaling \"d\" is invalid: metadata.labels: Invalid value: \"!!\"`, ""},
		{"a key that stands twice", "PATCH", "?fieldManager=m&force=true", twice, apply, 200, "", `line 5: key "replicas" already set in map`},
		{"and is refused", "PATCH", "?fieldManager=m&force=true&fieldValidation=Strict", twice, apply, 400, "error strict decoding YAML", ""},
	} {
		a := admin.ask(t, c.method, scale+c.query, c.body, "Content-Type", c.media)
		if a.code != c.code || !strings.Contains(a.text, c.text) {
			t.Errorf("%s: %d, want %d with %s: %s", c.name, a.code, c.code, c.text, a.text)
		}
		if warnings := strings.ReplaceAll(strings.Join(a.header.Values("Warning"), "\n"), `\"`, `"`); !strings.Contains(warnings, c.warning) {
			t.Errorf("%s: warned %q, want %q", c.name, warnings, c.warning)
		}
	}
}

// TestNothingIsSaidInTwoWays: of some kinds a client that gives an empty list says something else than one that gives
// none, each time, for what is stored is none. What a patch leaves alone says nothing.
func TestNothingIsSaidInTwoWays(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	hook := `{"name":"a.b.c","clientConfig":{"url":"https://127.0.0.1:1/"},"sideEffects":"None","admissionReviewVersions":["v1"]%s}`
	const policies, registration = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", "/apis/admissionregistration.k8s.io/v1/"
	for path, spec := range map[string][2]string{
		policies: {`"spec":{"podSelector":{}}`, `"spec":{"podSelector":{},"ingress":[]}`},
		registration + "validatingwebhookconfigurations": {`"webhooks":[` + fmt.Sprintf(hook, "") + "]", `"webhooks":[` + fmt.Sprintf(hook, `,"rules":[]`) + "]"},
		registration + "mutatingwebhookconfigurations":   {`"webhooks":[` + fmt.Sprintf(hook, "") + "]", `"webhooks":[` + fmt.Sprintf(hook, `,"rules":[]`) + "]"},
	} {
		none, empty := spec[0], spec[1]
		put := func(version, text string) (string, string) {
			return "PUT", `{"metadata":{"name":"o","resourceVersion":"` + version + `"},` + text + `}`
		}
		o := admin.must(t, http.StatusCreated, "POST", path, json.RawMessage(`{"metadata":{"name":"o"},`+none+`}`))
		for i, generation := range []string{"1", "2", "3", "3", "3"} {
			method, body := put(at(o, "metadata.resourceVersion"), []string{none, empty, empty, "", none}[i])
			media := mediaJSON
			if i == 3 {
				method, body, media = "PATCH", `{"metadata":{"labels":{"a":"b"}}}`, mediaMerge
			}
			a := admin.send(t, method, path+"/o", media, []byte(body))
			a.want(t, path, http.StatusOK, "")
			o = a.object(t)
			if got := at(o, "metadata.generation"); got != generation {
				t.Errorf("%s: generation %s after write %d, want %s", path, got, i, generation)
			}
		}
	}
}

// TestTheLastFinalizerMayGoByTheStatus: an object that is ending goes with its last finalizer, by whatever way that is
// taken.
func TestTheLastFinalizerMayGoByTheStatus(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	const volumes = "/api/v1/persistentvolumes"
	o := object("v1", "PersistentVolume", "v")
	o["metadata"] = map[string]any{"name": "v", "finalizers": []any{"a.b/c"}}
	o["spec"] = map[string]any{"capacity": map[string]any{"storage": "1Gi"}, "accessModes": []any{"ReadWriteOnce"}, "hostPath": map[string]any{"path": "/x"}}
	admin.must(t, http.StatusCreated, "POST", volumes, o)
	admin.must(t, http.StatusOK, "DELETE", volumes+"/v", nil)
	a := admin.send(t, "PATCH", volumes+"/v/status", mediaMerge, []byte(`{"metadata":{"finalizers":null}}`))
	a.want(t, "taking the finalizers", http.StatusOK, "")
	admin.must(t, http.StatusNotFound, "GET", volumes+"/v", nil)
}
