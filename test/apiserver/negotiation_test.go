package apiserver

import (
	"net/http"
	"strings"
	"testing"
)

// TestMediaTypesAreChosenAsClientsPrefer names several, with qualities and without, in orders that matter.
func TestMediaTypesAreChosenAsClientsPrefer(t *testing.T) {
	s := start(t, memory(t))
	admin := s.as(adminToken)
	many(t, admin, 3, 100<<10)
	const aggregated = ";g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	const json, yaml, protobuf = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
	for _, c := range []struct{ path, accept, want string }{
		{configMaps, "*/*, application/yaml", yaml},
		{configMaps, "*/*;q=0.9,application/yaml;q=0.1", yaml},
		{configMaps, "application/*, application/yaml", yaml},
		{configMaps, "application/yaml;q=0.5, application/vnd.kubernetes.protobuf;q=0.6, */*;q=0.1", protobuf},
		{configMaps, "application/json;q=0.5,application/vnd.kubernetes.protobuf", protobuf},
		{configMaps, ", ;q=1, application/yaml;;, application/json", yaml},
		{configMaps, "*/*;stream=watch", json},
		{"/apis", "application/json, application/json" + aggregated, json + aggregated},
		{"/apis", "application/json;q=1, application/yaml" + aggregated + ";q=0.1", yaml + aggregated},
		{"/api", "*/*" + aggregated, json + aggregated},
		{"/api", "application/vnd.kubernetes.protobuf" + aggregated + ",application/json", protobuf + aggregated},
		{"/apis", "application/json" + strings.Replace(aggregated, "v2", "v2beta1", 1) + ",application/json", json},
		{"/openapi/v3/api/v1", "application/json;q=0.1,application/com.github.proto-openapi.spec.v3.v1.0+protobuf", "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"},
	} {
		a := admin.ask(t, "GET", c.path, "", "Accept", c.accept)
		if got := a.header.Get("Content-Type"); a.code != http.StatusOK || got != c.want {
			t.Errorf("GET %s as %s: %d, %s, want %s", c.path, c.accept, a.code, got, c.want)
		}
		if is := strings.HasPrefix(a.text, "{"); is != strings.HasPrefix(c.want, json) {
			t.Errorf("GET %s as %s: %.30s", c.path, c.accept, a.text)
		}
	}
	for accepted, want := range map[string]string{
		"gzip": "gzip", "br, gzip": "gzip", "gzip;q=0": "", "gzip;q=0.5": "", "x-gzip": "", "identity": "", "*": "",
	} {
		for _, path := range []string{configMaps, configMaps + "?limit=2", "/openapi/v3/api/v1"} {
			if a := admin.ask(t, "GET", path, "", "Accept-Encoding", accepted); a.header.Get("Content-Encoding") != want {
				t.Errorf("GET %s with %s: in %q, want %q", path, accepted, a.header.Get("Content-Encoding"), want)
			}
		}
	}
	if a := admin.ask(t, "GET", "/apis", "", "Accept", json+aggregated, "User-Agent", "curl/8"); !strings.HasPrefix(a.text, "{\n  ") {
		t.Errorf("a person's client gets %.30s", a.text)
	}
}

// TestDocumentsAreNotSentTwice asks again for documents with their tags.
func TestDocumentsAreNotSentTwice(t *testing.T) {
	s := start(t, memory(t))
	admin := s.as(adminToken)
	for path, accept := range map[string]string{
		"/apis": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", "/openapi/v2": "", "/openapi/v3/apis/apps/v1": "",
	} {
		first := admin.ask(t, "GET", path, "", "Accept", accept)
		tag := first.header.Get("Etag")
		if first.code != http.StatusOK || !strings.HasPrefix(tag, `"`) || first.header.Get("Vary") == "" {
			t.Errorf("GET %s: %d, %v", path, first.code, first.header)
		}
		if again := admin.ask(t, "GET", path, "", "Accept", accept, "If-None-Match", tag); again.code != http.StatusNotModified || again.text != "" || again.header.Get("Etag") != tag {
			t.Errorf("GET %s again: %d, %.30s, %v", path, again.code, again.text, again.header)
		}
		if other := admin.ask(t, "GET", path, "", "Accept", accept, "If-None-Match", `"other"`, "If-Modified-Since", "Fri, 31 Dec 2100 23:59:59 GMT"); other.code != http.StatusOK {
			t.Errorf("GET %s with another tag: %d", path, other.code)
		}
		if later := admin.ask(t, "GET", path, "", "Accept", accept, "If-Modified-Since", "Fri, 31 Dec 2100 23:59:59 GMT"); later.code != http.StatusOK {
			t.Errorf("GET %s with a time: %d", path, later.code)
		}
	}
}
