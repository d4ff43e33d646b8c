package openapi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resources"
)

func described(t *testing.T) *Handler {
	t.Helper()
	registry := resource.NewRegistry(nil, nil, clock.RealClock{})
	var served []*endpoint.Served
	for _, r := range resources.All(resources.Deps{Access: registry, Clock: clock.RealClock{}}) {
		if r.Internal {
			continue
		}
		served = append(served, endpoint.NewServed(&resource.Store{Resource: r}, nil, clock.RealClock{}))
	}
	return New(func() []*endpoint.Served { return served }, scheme.Scheme, time.Unix(0, 0))
}

func get(t *testing.T, h *Handler, path string, head http.Header) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header = head
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestEveryVersionHasADocumentThatRefersToNothingAbsent(t *testing.T) {
	h := described(t)
	for name, p := range h.current().v3 {
		if _, err := h.version3(h.current(), p, read); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPodIsDescribedAsClientsReadIt(t *testing.T) {
	w := get(t, described(t), "/openapi/v3/api/v1", http.Header{})
	var doc struct {
		Paths      map[string]map[string]any
		Components struct {
			Schemas map[string]struct {
				Required   []string
				Properties map[string]map[string]any
				Kinds      []schema.GroupVersionKind `json:"x-kubernetes-group-version-kind"`
			}
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	s := doc.Components.Schemas
	if want := []schema.GroupVersionKind{{Version: "v1", Kind: "Pod"}}; !slices.Equal(s["io.k8s.api.core.v1.Pod"].Kinds, want) {
		t.Errorf("the kinds of a pod are %v", s["io.k8s.api.core.v1.Pod"].Kinds)
	}
	containers := s["io.k8s.api.core.v1.PodSpec"].Properties["containers"]
	for key, want := range map[string]string{"x-kubernetes-patch-merge-key": "name", "x-kubernetes-patch-strategy": "merge", "x-kubernetes-list-type": "map"} {
		if containers[key] != want {
			t.Errorf("containers: %s is %v, want %q", key, containers[key], want)
		}
	}
	if !slices.Equal(s["io.k8s.api.core.v1.PodSpec"].Required, []string{"containers"}) {
		t.Errorf("a pod's specification requires %v", s["io.k8s.api.core.v1.PodSpec"].Required)
	}
	if got := s["io.k8s.api.core.v1.ContainerPort"].Properties["protocol"]["default"]; got != "TCP" {
		t.Errorf("the protocol's default is %v", got)
	}
	patch, _ := json.Marshal(doc.Paths["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"])
	if !strings.Contains(string(patch), `"fieldValidation"`) {
		t.Error("kubectl looks for fieldValidation among a patch's parameters, and it is not there")
	}
}

func TestHashOfTheIndexMakesADocumentCacheable(t *testing.T) {
	h := described(t)
	var index struct {
		Paths map[string]struct{ ServerRelativeURL string }
	}
	if err := json.Unmarshal(get(t, h, "/openapi/v3", http.Header{}).Body.Bytes(), &index); err != nil {
		t.Fatal(err)
	}
	right := index.Paths["apis/apps/v1"].ServerRelativeURL
	w := get(t, h, right, http.Header{})
	if w.Code != 200 || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
		t.Errorf("%s: %d, Cache-Control %q", right, w.Code, w.Header().Get("Cache-Control"))
	}
	refused := get(t, h, right, http.Header{"Accept": {"text/html"}})
	if kept := refused.Header().Get("Cache-Control") + refused.Header().Get("Expires"); refused.Code != http.StatusNotAcceptable || kept != "" || refused.Header().Get("Vary") != "Accept" {
		t.Errorf("in a form that there is not: %d, %v", refused.Code, refused.Header())
	}
	if again := get(t, h, right, http.Header{"If-None-Match": {w.Header().Get("Etag")}}); again.Code != http.StatusNotModified {
		t.Errorf("with its own ETag: %d", again.Code)
	}
	stale := get(t, h, "/openapi/v3/apis/apps/v1?hash=OLD", http.Header{})
	if stale.Code != http.StatusMovedPermanently || stale.Header().Get("Location") != right {
		t.Errorf("with an old hash: %d to %q, want a redirect to %q", stale.Code, stale.Header().Get("Location"), right)
	}
	if plain := get(t, h, "/openapi/v3/apis/apps/v1", http.Header{}); plain.Header().Get("Cache-Control") != "" {
		t.Error("without a hash the document must not be cached")
	}
}

func TestDocumentsComeAsProtobufToo(t *testing.T) {
	h := described(t)
	for path, accept := range map[string]string{
		"/openapi/v2":              "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
		"/openapi/v3/apis/apps/v1": protobufV3,
	} {
		w := get(t, h, path, http.Header{"Accept": {accept}})
		if w.Code != 200 || w.Body.Len() == 0 || strings.HasPrefix(w.Body.String(), "{") {
			t.Errorf("%s: %d, %q ...", path, w.Code, w.Body.String()[:min(20, w.Body.Len())])
		}
	}
	if w := get(t, h, "/openapi/v2", http.Header{"Accept": {"text/html"}}); w.Code != http.StatusNotAcceptable {
		t.Errorf("text/html: %d", w.Code)
	}
}

// TestADocumentThatTheClientHasIsNotConverted asks for one by its tag.
func TestADocumentThatTheClientHasIsNotConverted(t *testing.T) {
	doc, err := pack(map[string]any{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	for tag, want := range map[string]int{`"` + doc.hash + `"`: 0, `"other"`: 1} {
		converted := 0
		r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
		r.Header = http.Header{"Accept": {protobufV3}, "If-None-Match": {tag}}
		(&Handler{}).answer(w, r, doc, protobufV3, func([]byte) ([]byte, error) {
			converted++
			return []byte("protobuf"), nil
		}, false)
		if sent := w.Body.Len() > 0; converted != want || sent != (want == 1) || sent == (w.Code == http.StatusNotModified) {
			t.Errorf("If-None-Match: %s: converted %d times, want %d: %d %s", tag, converted, want, w.Code, w.Body)
		}
	}
}

func TestADocumentIsConvertedOnceForAll(t *testing.T) {
	doc, err := pack(map[string]any{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	converted := 0
	for _, encoding := range []string{"", "gzip", ""} {
		r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
		r.Header = http.Header{"Accept": {protobufV2}, "Accept-Encoding": {encoding}}
		(&Handler{}).answer(w, r, doc, protobufV2, func(plain []byte) ([]byte, error) {
			converted++
			return append([]byte("protobuf of "), plain...), nil
		}, false)
		body := w.Body.Bytes()
		if got := w.Header().Get("Content-Encoding"); got != encoding {
			t.Errorf("Accept-Encoding: %s is answered with Content-Encoding: %s", encoding, got)
		}
		if encoding != "" {
			if body, err = expand(body); err != nil {
				t.Fatal(err)
			}
		}
		if want := `protobuf of {"a":"b"}`; string(body) != want {
			t.Errorf("Accept-Encoding: %s: %q, want %q", encoding, body, want)
		}
	}
	if converted != 1 {
		t.Errorf("converted %d times for three who asked", converted)
	}
}

func TestVersion2HasNoDefaultsAndNoWrappedReferences(t *testing.T) {
	w := get(t, described(t), "/openapi/v2", http.Header{})
	if s := w.Body.String(); strings.Contains(s, `"allOf":[`) || strings.Contains(s, `"oneOf":[`) || strings.Contains(s, reference) {
		t.Error("the document has what OpenAPI v2 does not know")
	}
}

func TestVersion2KeepsAPropertyThatIsNamedAsAReference(t *testing.T) {
	older := olderForm(object{"properties": object{"$ref": object{"type": "string"}, "other": object{"$ref": reference + "a.B"}}})
	want := object{"properties": object{"$ref": object{"type": "string"}, "other": object{"$ref": "#/definitions/a.B"}}}
	if !reflect.DeepEqual(older, want) {
		t.Errorf("%v, want %v", older, want)
	}
}

func TestVersion2SharesParametersUnderUpstreamsNames(t *testing.T) {
	var doc struct{ Parameters map[string]map[string]any }
	text := get(t, described(t), "/openapi/v2", http.Header{}).Body.Bytes()
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if got := doc.Parameters["body-78PwaGsr"]["required"]; got != true {
		t.Errorf("the shared body of a patch has required %v; the table holds %d", got, len(doc.Parameters))
	}
	for name := range doc.Parameters {
		if strings.HasPrefix(name, "dryRun-") || strings.HasPrefix(name, "fieldValidation-") || strings.HasPrefix(name, "name-") {
			t.Errorf("%s is shared, and clients look for it in the operation", name)
		}
	}
	if !strings.Contains(string(text), `"$ref":"#/parameters/body-78PwaGsr"`) {
		t.Error("no operation refers to the table")
	}
}

func TestPathsAboveGroupVersionsAreDescribed(t *testing.T) {
	h := described(t)
	for path, id := range map[string]string{"apis": "getAPIVersions", "apis/apps": "getAppsAPIGroup", "version": "getCodeVersion", "openid/v1/jwks": "getServiceAccountIssuerOpenIDKeyset"} {
		w := get(t, h, "/openapi/v3/"+path, http.Header{})
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"operationId":"`+id+`"`) {
			t.Errorf("%s: %d, without %s", path, w.Code, id)
		}
		if !strings.Contains(get(t, h, "/openapi/v2", http.Header{}).Body.String(), `"operationId":"`+id+`"`) {
			t.Errorf("v2 has no %s", id)
		}
	}
}
