package apiserver

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// asked is an answer that was read as an object.
type asked struct {
	answer
	text string
	body map[string]any
}

// ask sends a request whose body is JSON unless one of the headers says otherwise.
func (c *client) ask(t *testing.T, method, path, body string, headers ...string) *asked {
	t.Helper()
	media := ""
	if body != "" {
		media = "application/json"
	}
	if len(headers) > 1 && headers[0] == "Content-Type" {
		media, headers = headers[1], headers[2:]
	}
	a := &asked{answer: c.send(t, method, path, media, []byte(body), headers...)}
	a.text = string(a.answer.body)
	if json.Unmarshal(a.answer.body, &a.body) != nil {
		a.body = nil
	}
	return a
}

// events reads a watch until it ends.
func (c *client) events(t *testing.T, path string, headers ...string) (out []map[string]any) {
	t.Helper()
	a := c.ask(t, "GET", path, "", headers...)
	if a.code != http.StatusOK {
		t.Fatalf("GET %s: %d: %s", path, a.code, a.text)
	}
	lines := bufio.NewScanner(bytes.NewReader([]byte(a.text)))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e map[string]any
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		out = append(out, e)
	}
	return out
}

func kindsOf(events []map[string]any) (out []string) {
	for _, e := range events {
		out = append(out, at(e, "type"))
	}
	return out
}

// TestAnswersTakeTheFormAskedFor asks for the same objects in every form there is, and in some that are not.
func TestAnswersTakeTheFormAskedFor(t *testing.T) {
	s := start(t, t.TempDir())
	admin := s.as(adminToken)
	admin.must(t, http.StatusCreated, "POST", configMaps, object("v1", "ConfigMap", "a"))
	const one, none = configMaps + "/a", "/api/v1/namespaces/none/configmaps"
	const table, meta, list = ";as=Table;g=meta.k8s.io;v=", ";as=PartialObjectMetadata;g=meta.k8s.io;v=", ";as=PartialObjectMetadataList;g=meta.k8s.io;v="
	const plain = "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"
	const unnamed = "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf"
	const streams = ", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
	for _, c := range []struct {
		path, accept string
		code         int
		where, want  string
	}{
		{one, "application/json" + table + "v1", 200, "apiVersion", "meta.k8s.io/v1"},
		{one, "application/json" + table + "v1beta1", 200, "apiVersion", "meta.k8s.io/v1beta1"},
		{configMaps, "application/json" + table + "v1beta1", 200, "kind", "Table"},
		{one, "application/json" + table + "v2", 406, "message", plain},
		{one, "application/vnd.kubernetes.protobuf" + table + "v1", 406, "message", plain},
		{one, "application/vnd.kubernetes.protobuf" + table + "v1,application/json", 200, "kind", "ConfigMap"},
		{one, "application/json" + meta + "v1beta1", 200, "apiVersion", "meta.k8s.io/v1beta1"},
		{configMaps, "application/json" + list + "v1beta1", 200, "kind", "PartialObjectMetadataList"},
		{none, "application/json" + list + "v1", 200, "items", "<nil>"},
		{configMaps, "application/json" + meta + "v1", 406, "message", "you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)"},
		{one, "application/json" + list + "v1", 406, "message", "you requested PartialObjectMetadataList, but the requested object is not a list (*core.ConfigMap)"},
		{one + "?includeObject=Nope", "application/json" + table + "v1", 400, "message",
			"Unable to convert to Table as requested: includeObject: Invalid value: \"Nope\": must be 'Metadata', 'Object', 'None', or empty"},
		{one, "text/html", 406, "message", unnamed},
		{configMaps, "text/html", 406, "message", unnamed + streams},
		{"/api/v1", "text/html", 406, "message", unnamed},
		{one, "application/*", 406, "message", unnamed},
		{one, "text/html, application/*, */*;q=0.1", 200, "kind", "ConfigMap"},
		{one, "application/yaml;stream=watch,application/json", 200, "kind", "ConfigMap"},
		{configMaps + "?watch=1", "application/yaml", 406, "", ""},
		{configMaps + "?watch=1", "application/json" + table + "v2", 406, "message", plain},
		{one + "?export=true", "", 400, "message", "the export parameter, deprecated since v1.14, is no longer supported"},
		{one + "?export=false", "", 200, "kind", "ConfigMap"},
	} {
		a := admin.ask(t, "GET", c.path, "", "Accept", c.accept)
		if a.code != c.code {
			t.Errorf("GET %s as %s: %d, want %d: %s", c.path, c.accept, a.code, c.code, a.text)
			continue
		}
		if got := at(a.body, c.where); c.where != "" && got != c.want {
			t.Errorf("GET %s as %s: %s is %q, want %q", c.path, c.accept, c.where, got, c.want)
		}
	}
	for _, c := range []struct{ method, path string }{{"HEAD", one}, {"HEAD", one + "/none"}, {"POST", "/api/v1/watch/namespaces/default/configmaps"}} {
		want := http.StatusMethodNotAllowed
		if strings.HasSuffix(c.path, "none") {
			want = http.StatusNotFound
		}
		if a := admin.ask(t, c.method, c.path, ""); a.code != want {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, a.code, want)
		}
	}
}

// TestWatchesTakeTheFormAskedFor also looks at the bookmarks, which are objects with nothing in them.
func TestWatchesTakeTheFormAskedFor(t *testing.T) {
	s := start(t, t.TempDir())
	admin := s.as(adminToken)
	for _, name := range []string{"a", "b"} {
		admin.must(t, http.StatusCreated, "POST", "/api/v1/namespaces/kube-public/configmaps", object("v1", "ConfigMap", name))
	}
	const mine = "/api/v1/namespaces/kube-public/configmaps?watch&timeoutSeconds=1&fieldSelector=metadata.name%3Da"
	for _, c := range []struct {
		name, query, accept, want string
	}{
		{"from nothing", "", "", "ADDED"},
		{"with bookmarks", "&allowWatchBookmarks=true", "", "ADDED BOOKMARK"},
		{"of which any word but denial is one", "&allowWatchBookmarks=maybe", "", "ADDED BOOKMARK"},
		{"as a table", "&allowWatchBookmarks=true", "application/json;as=Table;g=meta.k8s.io;v=v1beta1", "ADDED BOOKMARK"},
		{"as metadata", "", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1", "ADDED"},
		{"as lists, which events are not", "", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", ""},
		{"without the state, too short for a bookmark", "&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true", "", ""},
	} {
		events := admin.events(t, mine+c.query, "Accept", c.accept)
		if got := strings.Join(kindsOf(events), " "); got != c.want {
			t.Errorf("a watch %s: %q, want %q", c.name, got, c.want)
		}
		for _, e := range events {
			if strings.Contains(c.accept, "v1beta1") && at(e, "object.apiVersion") != "meta.k8s.io/v1beta1" {
				t.Errorf("a watch %s: %v", c.name, e)
			}
			if rows, is := e["object"].(map[string]any)["rows"].([]any); is && len(rows[0].(map[string]any)["cells"].([]any)) != 3 {
				t.Errorf("a watch %s: a row without its cells: %v", c.name, rows)
			}
		}
	}
	events := admin.events(t, strings.Replace(mine, "timeoutSeconds=1", "timeoutSeconds=3", 1)+"&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true")
	if got := strings.Join(kindsOf(events), " "); got != "BOOKMARK" {
		t.Errorf("a watch of three seconds: %q, want a bookmark two seconds before the end", got)
	}
	a := admin.ask(t, "GET", "/api/v1/namespaces/kube-public/configmaps?watch=1&continue=x", "")
	if a.code != http.StatusUnprocessableEntity || !strings.Contains(a.text, "resourceVersionMatch is forbidden when continue is provided") {
		t.Errorf("a watch with a continue token: %d: %s", a.code, a.text)
	}
}

// TestListsGoOnFromTokensMadeElsewhere uses tokens as another server makes them: below the list's own prefix.
func TestListsGoOnFromTokensMadeElsewhere(t *testing.T) {
	s := start(t, t.TempDir())
	admin := s.as(adminToken)
	const mine = "/api/v1/namespaces/kube-public/configmaps"
	for _, name := range []string{"b", "c", "d"} {
		admin.must(t, http.StatusCreated, "POST", mine, object("v1", "ConfigMap", name))
	}
	token := func(start string) string {
		text, err := json.Marshal(map[string]any{"v": "meta.k8s.io/v1", "rv": -1, "start": start})
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	for start, want := range map[string]int{"b\x00": http.StatusOK, "/b\x00": http.StatusOK, "../secrets/a": http.StatusBadRequest, "a/./b": http.StatusBadRequest, "a//b": http.StatusBadRequest} {
		a := admin.ask(t, "GET", mine+"?limit=1&continue="+token(start), "")
		if a.code != want {
			t.Errorf("a token that starts at %q: %d, want %d: %s", start, a.code, want, a.text)
			continue
		}
		if items, _ := a.body["items"].([]any); want == http.StatusOK && (len(items) != 1 || at(items[0], "metadata.name") != "c") {
			t.Errorf("a token that starts at %q: %v", start, items)
		}
	}
	all := admin.ask(t, "GET", "/api/v1/configmaps?fieldSelector=metadata.name%3Dc&limit=1&continue="+token("kube-public/b\x00"), "")
	if items, _ := all.body["items"].([]any); len(items) != 1 || at(items[0], "metadata.name") != "c" {
		t.Errorf("a token of a list over all namespaces: %s", all.text)
	}
	whole := admin.ask(t, "GET", mine+"?limit=1&resourceVersion=0", "")
	if items, _ := whole.body["items"].([]any); len(items) < 3 || at(whole.body, "metadata.continue") != "<nil>" {
		t.Errorf("whatever is at hand does not come whole: %s", whole.text)
	}
}

// TestWatchesFailWithEvents begins watches where there is nothing to begin with.
func TestWatchesFailWithEvents(t *testing.T) {
	s := start(t, memory(t))
	admin := s.as(adminToken)
	events := admin.events(t, configMaps+"?watch=1&resourceVersionMatch=NotOlderThan&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersion=999999999")
	if len(events) != 1 || at(events[0], "type") != "ERROR" || at(events[0], "object.code") != "504" || !strings.Contains(at(events[0], "object.details.causes"), "ResourceVersionTooLarge") {
		t.Errorf("the state at a version that is yet to come: %v", events)
	}
	admin.events(t, configMaps+"?watch=1&timeoutSeconds=-1&resourceVersion=0") // which ends
	if a := admin.ask(t, "GET", configMaps+"?watch=1&resourceVersion=x", ""); a.code != http.StatusInternalServerError {
		t.Errorf("from what is no version: %d: %s", a.code, a.text)
	}
}
