package apiserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The bounds, as kube-apiserver's.
const (
	mostBody        = 3 << 20
	mostData        = 1 << 20
	mostAnnotations = 256 << 10
	mostDepth       = 10000
	mostOperations  = 10000
)

const configMaps = "/api/v1/namespaces/default/configmaps"

// answer is what came back for a request, as it was sent.
type answer struct {
	code   int
	header http.Header
	body   []byte
}

// message is that of a Status, or the text itself.
func (a answer) message() string {
	var status struct{ Kind, Message string }
	if json.Unmarshal(a.body, &status) == nil && status.Kind == "Status" {
		return status.Message
	}
	return string(a.body)
}

// object is the answered object.
func (a answer) object(t *testing.T) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal(a.body, &o); err != nil {
		t.Fatalf("the answer is no object: %v: %s", err, brief(a.body))
	}
	return o
}

func brief(b []byte) string {
	if len(b) > 300 {
		return fmt.Sprintf("%s ... (%d bytes)", b[:300], len(b))
	}
	return string(b)
}

// send sends a body as it is.
func (c *client) send(t *testing.T, method, path, media string, body []byte, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	got, err := c.http.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, brief([]byte(path)), err)
	}
	defer func() { _ = got.Body.Close() }()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{got.StatusCode, got.Header, text}
}

// want checks an answer's code and what its message holds.
func (a answer) want(t *testing.T, what string, code int, message string) {
	t.Helper()
	if a.code != code || !strings.Contains(a.message(), message) {
		t.Errorf("%s: answered %d, want %d with %q: %s", what, a.code, code, message, brief(a.body))
	}
}

// cheaply fails a test whose work took more than a second of a processor or 100 MB in all.
func cheaply(t *testing.T, what string, work func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := processorTime(t)
	work()
	took := processorTime(t) - start
	runtime.ReadMemStats(&after)
	if took > time.Second {
		t.Errorf("%s took %v", what, took)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 100<<20 {
		t.Errorf("%s took %d MB", what, used>>20)
	}
}

// processorTime is what this process, the server in it included, has used: unlike a clock it does not count
// what others on the machine do.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// configMap is one with so many bytes of data.
func configMap(name string, size int) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q},"data":{"k":%q}}`, name, strings.Repeat("x", size))
}

// padded is JSON made so many bytes long with blanks, which mean nothing.
func padded(body []byte, size int) []byte {
	return append(bytes.Clone(body), bytes.Repeat([]byte(" "), size-len(body))...)
}

func TestSizesAreBoundedOnBothSides(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	annotated := func(name string, size int) []byte {
		return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q,"annotations":{"a":%q}}}`, name, strings.Repeat("x", size-1))
	}
	revision := func(name string, size int) []byte {
		return fmt.Appendf(nil, `{"apiVersion":"apps/v1","kind":"ControllerRevision","metadata":{"name":%q},"revision":1,"data":{"x":%q}}`, name, strings.Repeat("x", size))
	}
	secret := func(name string, size int) []byte {
		return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Secret","metadata":{"name":%q},"stringData":{"k":%q}}`, name, strings.Repeat("x", size))
	}
	const revisions, secrets = "/apis/apps/v1/namespaces/default/controllerrevisions", "/api/v1/namespaces/default/secrets"
	const stored = 1536 << 10
	for _, c := range []struct {
		what, path string
		body       []byte
		code       int
		message    string
	}{
		{"a body of 3 MiB", configMaps, padded(configMap("body", 1), mostBody), http.StatusCreated, ""},
		{"a body of a byte more", configMaps, padded(configMap("body-more", 1), mostBody+1), http.StatusRequestEntityTooLarge, "Request entity too large: limit is 3145728"},
		{"data of 1 MiB", configMaps, configMap("data", mostData), http.StatusCreated, ""},
		{"data of a byte more", configMaps, configMap("data-more", mostData+1), http.StatusUnprocessableEntity, "Too long: may not be more than 1048576 bytes"},
		{"a secret of 1 MiB", secrets, secret("data", mostData), http.StatusCreated, ""},
		{"a secret of a byte more", secrets, secret("data-more", mostData+1), http.StatusUnprocessableEntity, "Too long: may not be more than 1048576 bytes"},
		{"annotations of 256 KiB", configMaps, annotated("annotations", mostAnnotations), http.StatusCreated, ""},
		{"annotations of a byte more", configMaps, annotated("annotations-more", mostAnnotations+1), http.StatusUnprocessableEntity, "Too long: may not be more than 262144 bytes"},
		{"an object below 1.5 MiB", revisions, revision("object", stored-1024), http.StatusCreated, ""},
		{"an object above 1.5 MiB", revisions, revision("object-more", stored), http.StatusInternalServerError, "etcdserver: request is too large"},
	} {
		got := admin.send(t, "POST", c.path, "application/json", c.body)
		got.want(t, c.what, c.code, c.message)
	}
	// What was refused by its size left nothing.
	for path, names := range map[string][]string{configMaps: {"body-more", "data-more", "annotations-more"}, secrets: {"data-more"}, revisions: {"object-more"}} {
		for _, name := range names {
			admin.send(t, "GET", path+"/"+name, "", nil).want(t, name, http.StatusNotFound, "not found")
		}
	}
	// Each way of a body into the server has the bound.
	for _, method := range []string{"PUT", "PATCH", "DELETE"} {
		media := "application/json"
		if method == "PATCH" {
			media = "application/merge-patch+json"
		}
		got := admin.send(t, method, configMaps+"/body", media, padded([]byte("{}"), mostBody+1))
		got.want(t, method, http.StatusRequestEntityTooLarge, "limit is 3145728")
	}
	growing := fmt.Appendf(nil, `{"data":{"more":%q}}`, strings.Repeat("x", mostData))
	admin.send(t, "PATCH", configMaps+"/data", "application/merge-patch+json", growing).
		want(t, "a patch that makes the data too large", http.StatusUnprocessableEntity, "Too long")
}

// nested is a value so deep in lists.
func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func TestDepthIsBoundedOnBothSides(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	revision := func(name string, depth int) string { // the value stands within two objects
		return fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"ControllerRevision","metadata":{"name":%q},"revision":1,"data":{"x":%s}}`, name, nested(depth-2))
	}
	const revisions = "/apis/apps/v1/namespaces/default/controllerrevisions"
	for _, media := range []string{"application/json", "application/yaml"} {
		name := strings.TrimPrefix(media, "application/")
		cheaply(t, name, func() {
			admin.send(t, "POST", revisions, media, []byte(revision(name, mostDepth))).want(t, name+" as deep as may be", http.StatusCreated, "")
		})
		cheaply(t, name, func() {
			admin.send(t, "POST", revisions, media, []byte(revision(name+"-more", mostDepth+1))).want(t, name+" too deep", http.StatusBadRequest, "exceeded max depth")
		})
		cheaply(t, name, func() {
			admin.send(t, "POST", revisions, media, bytes.Repeat([]byte("["), mostBody)).want(t, name+" of brackets alone", http.StatusBadRequest, "")
		})
	}
	deepYAML := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: indented}\ndata:\n"
	for i := range 2000 {
		deepYAML += strings.Repeat(" ", i+1) + "a:\n"
	}
	admin.send(t, "POST", configMaps, "application/yaml", []byte(deepYAML)).want(t, "YAML indented deep", http.StatusBadRequest, "")

	for kind, body := range map[string]string{
		"application/json-patch+json":            `[{"op":"add","path":"/data/y","value":` + nested(mostDepth+1) + `}]`,
		"application/merge-patch+json":           `{"data":` + nested(mostDepth+1) + `}`,
		"application/strategic-merge-patch+json": `{"data":` + nested(mostDepth+1) + `}`,
		"application/apply-patch+yaml":           `{"apiVersion":"apps/v1","kind":"ControllerRevision","metadata":{"name":"json"},"data":` + nested(mostDepth+1) + `}`,
	} {
		admin.send(t, "PATCH", revisions+"/json?fieldManager=m", kind, []byte(body)).want(t, kind+" too deep", http.StatusBadRequest, "exceeded max depth")
	}
}

func TestTextThatLooksDeepIsText(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	log := strings.Repeat("[", 2*mostDepth)
	for name, body := range map[string]string{
		"block":  "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: block\ndata:\n  log: |\n    " + log + "\n",
		"single": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: single\ndata:\n  log: '" + log + "'\n",
	} {
		got := admin.send(t, "POST", configMaps, "application/yaml", []byte(body), "Accept", "application/json")
		got.want(t, name, http.StatusCreated, "")
		if got.code == http.StatusCreated && strings.TrimSpace(at(got.object(t), "data.log")) != log {
			t.Errorf("%s: the text came to be another", name)
		}
	}
}

func TestPatchOperationsAreBoundedOnBothSides(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	admin.send(t, "POST", configMaps, "application/json", configMap("c", 1)).want(t, "create", http.StatusCreated, "")
	operations := func(n int) []byte {
		return []byte("[" + strings.TrimSuffix(strings.Repeat(`{"op":"test","path":"/data/k","value":"x"},`, n), ",") + "]")
	}
	admin.send(t, "PATCH", configMaps+"/c", "application/json-patch+json", operations(mostOperations)).want(t, "10000 operations", http.StatusOK, "")
	admin.send(t, "PATCH", configMaps+"/c", "application/json-patch+json", operations(mostOperations+1)).
		want(t, "10001 operations", http.StatusRequestEntityTooLarge, "The allowed maximum operations in a JSON patch is 10000, got 10001")
}

func TestSmallRequestsDoNotBecomeLarge(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	admin.send(t, "POST", configMaps, "application/json", configMap("c", 1)).want(t, "create", http.StatusCreated, "")
	admin.send(t, "POST", configMaps, "application/json", configMap("large", 512<<10)).want(t, "create", http.StatusCreated, "")

	lists := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		lists += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 9), ","))
	}
	text := "a: &a " + strings.Repeat("x", 1<<20) + "\nb: [" + strings.TrimSuffix(strings.Repeat("*a,", 90000), ",") + "]\n"
	merges := "a: &a {" + keys(1000) + "}\nb:\n" + strings.Repeat("- <<: *a\n", 90000)
	head := "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n"
	for name, bomb := range map[string]string{"lists of lists": lists, "one text many times": text, "one map many times": merges} {
		for what, send := range map[string]func() answer{
			"POST": func() answer { return admin.send(t, "POST", configMaps, "application/yaml", []byte(head+bomb)) },
			"PUT":  func() answer { return admin.send(t, "PUT", configMaps+"/c", "application/yaml", []byte(head+bomb)) },
			"apply": func() answer {
				return admin.send(t, "PATCH", configMaps+"/c?fieldManager=m", "application/apply-patch+yaml", []byte(head+bomb))
			},
			"DELETE": func() answer {
				return admin.send(t, "DELETE", configMaps+"/c", "application/yaml", []byte("apiVersion: v1\nkind: DeleteOptions\n"+bomb))
			},
		} {
			said := "yaml: document contains excessive aliasing"
			if what == "apply" {
				said = "error decoding YAML: error converting YAML to JSON: " + said
			}
			cheaply(t, name+" by "+what, func() { send().want(t, name+" by "+what, http.StatusBadRequest, said) })
		}
	}

	var copies []string
	for range 12 { // each doubles the object
		copies = append(copies, `{"op":"copy","from":"/data","path":"/data/k"}`)
	}
	cheaply(t, "copies of a member into itself", func() {
		got := admin.send(t, "PATCH", configMaps+"/large", "application/json-patch+json", []byte("["+strings.Join(copies, ",")+"]"))
		got.want(t, "copies", http.StatusUnprocessableEntity, "")
	})
	var aside []string
	for i := range mostOperations {
		aside = append(aside, fmt.Sprintf(`{"op":"copy","from":"/data/k","path":"/data/k%d"}`, i))
	}
	cheaply(t, "many copies of a large member", func() {
		got := admin.send(t, "PATCH", configMaps+"/large", "application/json-patch+json", []byte("["+strings.Join(aside, ",")+"]"))
		got.want(t, "copies", http.StatusUnprocessableEntity, "")
	})
}

// TestPatchesOfLongListsAreBounded: those who apply patches move, or compare, all items of a list for each that is named.
func TestPatchesOfLongListsAreBounded(t *testing.T) {
	admin := start(t, memory(t)).as(adminToken)
	const revisions, templates = "/apis/apps/v1/namespaces/default/controllerrevisions", "/api/v1/namespaces/default/podtemplates"
	many := func(n int, item string) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }
	env := func(item string) string {
		items := make([]string, 8000)
		for i := range items {
			items[i] = fmt.Sprintf(item, i)
		}
		return "[" + strings.Join(items, ",") + "]"
	}
	admin.send(t, "POST", revisions, mediaJSON, []byte(`{"apiVersion":"apps/v1","kind":"ControllerRevision","metadata":{"name":"long"},"revision":1,"data":{"x":[`+many(300000, "1")+`]}}`)).
		want(t, "create", http.StatusCreated, "")
	admin.send(t, "POST", templates, mediaJSON, []byte(`{"apiVersion":"v1","kind":"PodTemplate","metadata":{"name":"long"},"template":{"spec":{"containers":[{"name":"c","image":"i","env":`+
		env(`{"name":"e%d"}`)+`}]}}}`)).want(t, "create", http.StatusCreated, "")
	for operation, text := range map[string]string{
		"add": `{"op":"add","path":"/data/x/0","value":1}`, "remove": `{"op":"remove","path":"/data/x/0"}`, "move": `{"op":"move","from":"/data/x/0","path":"/data/x/-"}`,
	} {
		cheaply(t, operation, func() {
			admin.send(t, "PATCH", revisions+"/long", "application/json-patch+json", []byte("["+many(mostOperations, text)+"]")).
				want(t, operation, http.StatusRequestEntityTooLarge, "too many items of lists")
		})
	}
	for what, members := range map[string]string{
		"merge": `"env":` + env(`{"name":"f%d"}`), "delete": `"env":` + env(`{"$patch":"delete","name":"f%d"}`), "order": `"env":[],"$setElementOrder/env":` + env(`{"name":"e%d"}`),
	} {
		cheaply(t, what, func() {
			admin.send(t, "PATCH", templates+"/long", "application/strategic-merge-patch+json", []byte(`{"template":{"spec":{"containers":[{"name":"c",`+members+`}]}}}`)).
				want(t, what, http.StatusRequestEntityTooLarge, "too many items of lists")
		})
	}
}

// TestOwnersOfLongListsAreBounded: items of a list that have names are kept in order by who tells their owners, one by
// one. In their order any number of them is told of; the other way round too many move each other.
func TestOwnersOfLongListsAreBounded(t *testing.T) {
	admin := start(t, t.TempDir()).as(adminToken)
	set := map[string]any{"type": "array", "x-kubernetes-list-type": "set", "items": map[string]any{"type": "integer"}}
	pairs := map[string]any{"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": []string{"n"}, "items": map[string]any{
		"type": "object", "required": []string{"n"}, "properties": map[string]any{"n": map[string]any{"type": "integer"}},
	}}
	many := map[string]any{"type": "object", "additionalProperties": set}
	spec := map[string]any{"type": "object", "properties": map[string]any{"set": set, "pairs": pairs, "many": many}}
	admin.define(t, definition("long.io", nil, map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{
		"openAPIV3Schema": map[string]any{"type": "object", "properties": map[string]any{"spec": spec}},
	}}))
	numbers := func(n int) (list []any) {
		for i := range n {
			list = append(list, i)
		}
		return list
	}
	reversed := func(n int) []any {
		list := numbers(n)
		slices.Reverse(list)
		return list
	}
	reversedPairs := func(n int) []any {
		list := reversed(n)
		for i, number := range list {
			list[i] = map[string]any{"n": number}
		}
		return list
	}
	reversedLists := func(n int) map[string]any {
		lists := map[string]any{}
		for i := range n {
			lists[fmt.Sprint(i)] = reversed(4096) // 8,386,560 pairs out of order
		}
		return lists
	}
	const most = 10_954 // as many the other way round are 59,989,581 pairs out of order
	for name, c := range map[string]struct {
		field string
		value any
		owned bool
	}{
		"set":           {"set", reversed(most), true},
		"longer-set":    {"set", reversed(most + 1), false},
		"ordered-set":   {"set", numbers(2 * most), true},
		"pairs":         {"pairs", reversedPairs(most), true},
		"more-pairs":    {"pairs", reversedPairs(most + 1), false},
		"short-sets":    {"many", reversedLists(7), true},
		"too-many-sets": {"many", reversedLists(8), false},
	} {
		created := admin.must(t, http.StatusCreated, "POST", widgets("long.io", "v1"), widget("long.io", "v1", name, map[string]any{c.field: c.value}))
		if _, owned := created["metadata"].(map[string]any)["managedFields"]; owned != c.owned {
			t.Errorf("%s created: owners are told: %t", name, owned)
		}
		body, err := json.Marshal(widget("long.io", "v1", name+"-applied", map[string]any{c.field: c.value}))
		if err != nil {
			t.Fatal(err)
		}
		code, message := http.StatusCreated, ""
		if !c.owned {
			code, message = http.StatusRequestEntityTooLarge, "give long lists in order"
		}
		admin.send(t, "PATCH", widgets("long.io", "v1")+"/"+name+"-applied?fieldManager=m", "application/apply-patch+yaml", body).want(t, name+" applied", code, message)
	}
}

func TestManyFaultsAreToldInNoTime(t *testing.T) {
	admin := start(t, memory(t)).as(adminToken)
	mounts := strings.TrimSuffix(strings.Repeat(`{"mountPath":"/x"},`, 5000), ",")
	cheaply(t, "thousands of faults", func() {
		admin.send(t, "POST", "/api/v1/namespaces/default/podtemplates", mediaJSON, []byte(`{"apiVersion":"v1","kind":"PodTemplate","metadata":{"name":"f"},"template":{"spec":{
			"containers":[{"name":"c","image":"i","volumeMounts":[`+mounts+`]}]}}}`)).want(t, "thousands of faults", http.StatusUnprocessableEntity, "volumeMounts[4999].name: Required value")
	})
}

// keys are so many members of a YAML map.
func keys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d: v, ", i)
	}
	return strings.TrimSuffix(b.String(), ", ")
}
