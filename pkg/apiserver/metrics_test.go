package apiserver

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// asks sends a request of the administrator's and gives the answer.
func (s *benched) asks(t *testing.T, h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer admin")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestMetricsNameRequestsAsDashboardsDo makes requests of every kind and looks for them by upstream's labels.
func TestMetricsNameRequestsAsDashboardsDo(t *testing.T) {
	s := inMemory(t)
	h := s.handler(t.Context())
	const maps = "/api/v1/namespaces/default/configmaps"
	for _, c := range []struct{ method, path, body, media string }{
		{"POST", maps, `{"metadata":{"name":"a"}}`, "application/json"},
		{"POST", maps + "?dryRun=All", `{"metadata":{"name":"b"}}`, "application/json"},
		{"POST", maps + "?dryRun=Some", `{"metadata":{"name":"b"}}`, "application/json"},
		{"PUT", maps + "/a", `{"metadata":{"name":"a"},"data":{"x":"y"}}`, "application/json"},
		{"PATCH", maps + "/a", `{"data":{"x":"z"}}`, "application/merge-patch+json"},
		{"PATCH", maps + "/a?fieldManager=m", `{"apiVersion":"v1","kind":"ConfigMap","data":{"w":"z"}}`, "application/apply-patch+yaml"},
		{"GET", maps + "/a", "", ""},
		{"GET", maps + "?fieldSelector=metadata.name%3Da", "", ""},
		{"GET", "/api/v1/configmaps", "", ""},
		{"GET", "/api/v1/namespaces/default/endpoints", "", ""},
		{"HEAD", maps, "", ""},
		{"DELETE", maps, "", ""},
		{"GET", "/api/v1/namespaces/default/pods/none/log", "", ""},
		{"GET", maps + "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1", "", ""},
		{"GET", "/api/v1/configmaps?watch=1&timeoutSeconds=-1", "", ""},
		{"GET", "/version", "", ""},
		{"BREW", "/version", "", ""},
	} {
		s.asks(t, h, c.method, c.path, c.body, "Content-Type", c.media)
	}
	got := s.asks(t, h, "GET", "/metrics", "").Body.String()
	for _, want := range []string{
		`apiserver_request_total{code="201",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="POST",version="v1"} 1`,
		`apiserver_request_total{code="201",component="apiserver",dry_run="All",group="",resource="configmaps",scope="resource",subresource="",verb="POST",version="v1"} 1`,
		`dry_run="invalid",group="",resource="configmaps",scope="resource",subresource="",verb="POST",version="v1"} 1`,
		`apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="PUT",version="v1"} 1`,
		`apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="PATCH",version="v1"} 1`,
		`apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="APPLY",version="v1"} 1`,
		`apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="GET",version="v1"} 1`,
		`apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="configmaps",scope="namespace",subresource="",verb="LIST",version="v1"} 1`,
		`apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="configmaps",scope="cluster",subresource="",verb="LIST",version="v1"} 1`,
		`apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="configmaps",scope="namespace",subresource="",verb="DELETE",version="v1"} 1`,
		`apiserver_request_total{code="404",component="apiserver",dry_run="",group="",resource="pods",scope="resource",subresource="log",verb="CONNECT",version="v1"} 1`,
		`apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="",scope="",subresource="",verb="GET",version=""} 1`,
		`verb="other",version=""} 1`,
		`apiserver_request_sli_duration_seconds_bucket{component="apiserver",group="",resource="configmaps",scope="resource",subresource="",verb="POST",version="v1",le="5"} 1`,
		`apiserver_request_duration_seconds_count{component="apiserver",dry_run="",group="",resource="configmaps",scope="cluster",subresource="",verb="LIST",version="v1"} 1`,
		`apiserver_response_sizes_count{component="apiserver",group="",resource="configmaps",scope="cluster",subresource="",verb="LIST",version="v1"} 1`,
		`apiserver_watch_list_duration_seconds_count{group="",resource="configmaps",scope="namespace",version="v1"} 1`,
		`apiserver_requested_deprecated_apis{group="",removed_release="",resource="endpoints",subresource="",version="v1"} 1`,
		`apiserver_longrunning_requests{component="apiserver",group="",resource="pods",scope="resource",subresource="log",verb="CONNECT",version="v1"} 0`,
		`apiserver_storage_objects{resource="clusterroles.rbac.authorization.k8s.io"}`,
		`apiserver_resource_objects{group="",resource="configmaps"}`,
		`apiserver_storage_events_received_total{group="",resource="configmaps"} `,
		`apiserver_storage_size_bytes{storage_cluster_id="etcd-0"} `,
		`apiserver_admission_controller_admission_duration_seconds_count{name="NamespaceLifecycle",operation="CREATE",rejected="false",type="admit"}`,
		`apiserver_admission_step_admission_duration_seconds_bucket{operation="DELETE",rejected="false",type="validate",le="2.5"}`,
		`kubernetes_build_info{`,
		`apiserver_cel_compilation_duration_seconds_bucket{le="2.5"} `,
		`apiserver_cel_evaluation_duration_seconds_count `,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if n := strings.Count(got, "# TYPE process_start_time_seconds "); n != 1 {
		t.Errorf("the process is told of %d times", n)
	}
	s.asks(t, h, "GET", "/readyz", "")
	if got := s.asks(t, h, "GET", "/metrics/slis", "").Body.String(); !strings.Contains(got, `kubernetes_healthcheck{name="etcd",type="readyz"} 1`) ||
		!strings.Contains(got, `kubernetes_healthchecks_total{name="ping",status="success",type="readyz"} 1`) {
		t.Errorf("what checks came to: %s", got)
	}
}

func TestDeletingTheMetricsResetsThem(t *testing.T) {
	s := inMemory(t)
	h := s.handler(t.Context())
	counts := func(what ...string) (out []int) {
		got := s.asks(t, h, "GET", "/metrics", "").Body.String()
		for _, w := range what {
			out = append(out, strings.Count(got, w))
		}
		return out
	}
	const gets, admitted, deprecated, build = `resource="namespaces",scope="resource",subresource="",verb="GET",version="v1"} 1`,
		`apiserver_admission_step_admission_duration_seconds_count{`, `apiserver_requested_deprecated_apis{`, `kubernetes_build_info{`
	ask := func() {
		s.asks(t, h, "GET", "/api/v1/namespaces/none", "")
		s.asks(t, h, "GET", "/api/v1/endpoints", "")
		s.asks(t, h, "POST", "/api/v1/namespaces", `{"metadata":{"name":"a"}}`, "Content-Type", "application/json")
	}
	for range 2 {
		ask()
		before := counts(gets, admitted, deprecated, build)
		if slices.Min(before) == 0 {
			t.Errorf("counted %v", before)
		}
		s.cfg.Profiling = false
		if w := s.asks(t, s.handler(t.Context()), "DELETE", "/metrics", ""); w.Code != 200 || w.Body.String() == "metrics reset\n" {
			t.Errorf("without --profiling: %d %.30s", w.Code, w.Body)
		}
		s.cfg.Profiling = true
		if w := s.asks(t, h, "DELETE", "/metrics", ""); w.Code != 200 || w.Body.String() != "metrics reset\n" {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if got := counts(gets, admitted, deprecated, build); !slices.Equal(got, []int{0, 0, 0, 1}) {
			t.Errorf("after the reset: %v, before: %v", got, before)
		}
	}
	s.asks(t, h, "GET", "/readyz", "")
	s.asks(t, h, "DELETE", "/metrics/slis", "")
	if got := s.asks(t, h, "GET", "/metrics/slis", "").Body.String(); strings.Contains(got, "kubernetes_healthcheck{") {
		t.Errorf("checks after the reset: %s", got)
	}
}

// TestThePagesAboutTheProcess asks for them in every form.
func TestThePagesAboutTheProcess(t *testing.T) {
	s := inMemory(t)
	s.cfg.flags = pflag.NewFlagSet("", pflag.ContinueOnError)
	s.cfg.flags.Int("secure-port", 6443, "")
	h := s.handler(t.Context())
	const form = ";g=config.k8s.io;v=v1beta1;as="
	for _, c := range []struct {
		path, accept string
		code         int
		media, want  string
	}{
		{"/flagz", "", 200, "text/plain; charset=utf-8", "\napiserver flagz\nWarning: This endpoint is not meant to be machine parseable"},
		{"/flagz", "*/*", 200, "text/plain; charset=utf-8", "\nsecure-port=6443\n"},
		{"/flagz", "application/json" + form + "Flagz", 200, "application/json" + form + "Flagz", `"flags":{"secure-port":"6443"}`},
		{"/flagz", "application/yaml" + form + "Flagz", 200, "application/yaml" + form + "Flagz", "kind: Flagz\n"},
		{"/flagz", "application/json", 406, "application/json", "only the following media types are accepted: application/json, application/yaml, text/plain"},
		{"/flagz", "application/json" + form + "Statusz", 406, "application/json", "only the following"},
		{"/statusz", "text/plain", 200, "text/plain; charset=utf-8", "\nBinary version: 1.36\n"},
		{"/statusz", "application/json" + form + "Statusz", 200, "application/json" + form + "Statusz", `"paths":["/flagz","/healthz","/livez","/metrics","/readyz","/statusz","/version"]`},
	} {
		w := s.asks(t, h, "GET", c.path, "", "Accept", c.accept)
		if w.Code != c.code || w.Header().Get("Content-Type") != c.media || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("GET %s as %s: %d, %s: %s", c.path, c.accept, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
	s.cfg.flags.Int("later", 1, "") // requests at the same time may not visit the flags, which sorts them
	if got := s.asks(t, h, "GET", "/flagz", "").Body.String(); strings.Contains(got, "later=") {
		t.Errorf("the flags were visited again: %s", got)
	}
	for _, path := range []string{"/", "/version", "/metrics", "/none", "/api/v1", "/api/v1/nodes", "/livez", "/openapi/v3"} {
		if w := s.asks(t, h, "GET", path, ""); w.Header().Get("Cache-Control") != "no-cache, private" {
			t.Errorf("GET %s: caches are told %q", path, w.Header().Get("Cache-Control"))
		}
	}
	for path, want := range map[string]string{
		"/readyz?verbose&exclude=none&exclude=etcd&exclude=a": "[+]ping ok\n[+]etcd excluded: ok\n[+]poststarthook/bootstrap ok\nwarn: some health checks cannot be excluded: no matches for \"a\",\"none\"\nreadyz check passed\n",
		"/livez?verbose=false&exclude=ping":                   "[+]ping excluded: ok\n[+]etcd ok\nlivez check passed\n",
		"/livez?exclude=none":                                 "ok",
	} {
		if got := s.asks(t, h, "GET", path, "").Body.String(); got != want {
			t.Errorf("GET %s: %q, want %q", path, got, want)
		}
	}
}

// TestMetricsOfWhatIsWithdrawnGo with the requests for it that are still under way, and codes that HTTP does not know are
// counted by their class.
func TestMetricsOfWhatIsWithdrawnGo(t *testing.T) {
	registry := prometheus.NewRegistry()
	widgets := schema.GroupResource{Group: "example.com", Resource: "widgets"}
	served := &endpoint.Served{Store: &resource.Store{Resource: &resource.Resource{}}}
	m := newServedMetrics(registry, func(*request.Info) *endpoint.Served { return served }, clock.RealClock{})
	withdraw := func() { served = nil; m.forget(widgets, []string{"v1"}) }
	ask := func(path string, code int, meanwhile func()) {
		info, err := endpoint.Parse(httptest.NewRequest("GET", path, nil))
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", path, nil).WithContext(request.Begin(t.Context(), info))
		m.measured(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { meanwhile(); w.WriteHeader(code) })).ServeHTTP(httptest.NewRecorder(), r)
	}
	const path = "/apis/example.com/v1/namespaces/n/widgets/w"
	ask(path, 200, func() {})
	ask(path+"?watch=true", 200, func() {})
	ask(path, 799, func() {})
	if text := collected(t, registry); !strings.Contains(text, `value:"7xx"`) || strings.Contains(text, `"799"`) || !strings.Contains(text, "widgets") {
		t.Errorf("counted as %s", text)
	}
	ask(path, 404, withdraw)
	ask(path+"?watch=true", 200, func() {})
	if text := collected(t, registry); strings.Contains(text, "widgets") || !strings.Contains(text, `value:"404"`) {
		t.Errorf("what was withdrawn is counted still: %s", text)
	}
}

func collected(t *testing.T, registry *prometheus.Registry) string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(families)
}

func TestAnAnswerIsCountedByItsFirstFinalCode(t *testing.T) {
	for want, codes := range map[int][]int{200: {103, 200}, 101: {101}, 404: {404, 200}, 0: {100}} {
		c := &statusRecorder{ResponseWriter: &unread{header: http.Header{}}}
		for _, code := range codes {
			c.WriteHeader(code)
		}
		if c.code != want {
			t.Errorf("after %v it is counted as %d, want %d", codes, c.code, want)
		}
	}
}
