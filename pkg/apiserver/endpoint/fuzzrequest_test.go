package endpoint

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// FuzzRequest reads what is asked for from a method, a path and a query, and in which form from an Accept header.
func FuzzRequest(f *testing.F) {
	for _, c := range [][4]string{
		{"GET", "/api/v1/namespaces/n/pods/p/log", "container=c&pretty=1", "application/json;as=Table;v=v1;g=meta.k8s.io, application/json;q=0.5"},
		{"GET", "/apis/apps/v1/watch/namespaces/n/deployments/d", "fieldSelector=metadata.name%3Dx", "application/vnd.kubernetes.protobuf;stream=watch"},
		{"PATCH", "/apis/g/v1/namespaces/n/status", "watch=0&includeObject=Object", "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1beta1"},
		{"DELETE", "//api//v1/x/..%2fy/", "watch=TRUE&labelSelector=a", "*/*;q=2,application/yaml;as=Table"},
	} {
		f.Add(c[0], c[1], c[2], c[3])
	}
	f.Fuzz(func(t *testing.T, method, path, query, accept string) {
		u, err := url.ParseRequestURI(path)
		if err != nil {
			return
		}
		u.RawQuery = query
		r := &http.Request{Method: method, URL: u, Header: http.Header{"Accept": {accept}}}
		info, err := Parse(r)
		if err != nil {
			return
		}
		for what, part := range map[string]string{"the group": info.Group, "the version": info.Version, "the resource": info.Resource,
			"the namespace": info.Namespace, "the path's name": info.PathName, "the subresource": info.Subresource} {
			if strings.Contains(part, "/") {
				t.Errorf("%s is %q", what, part)
			}
		}
		if !info.IsResource && info.Resource+info.Namespace+info.Name != "" {
			t.Errorf("%q is no resource, and %+v", path, info)
		}
		for _, protobuf := range []bool{true, false} {
			form, err := negotiate(r, protobuf, true)
			if client(t, err); err != nil {
				continue
			}
			if !slices.Contains([]string{mediaJSON, mediaYAML, mediaProtobuf}, form.contentType()) || !protobuf && form.media == mediaProtobuf && form.as == "" ||
				form.as == asTable && form.media == mediaProtobuf || form.as != "" && !form.transforms() {
				t.Errorf("%q asks for %+v", accept, form)
			}
		}
		client(t, representable(r, true))
	})
}

// FuzzDeleteOptions reads them from a body or a query: what is let in means what it says when it is sent again.
func FuzzDeleteOptions(f *testing.F) {
	s := pods(f)
	media := []string{mediaJSON, mediaYAML, mediaProtobuf}
	f.Add(uint8(0), "", []byte(`{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0,"preconditions":{"uid":"u","resourceVersion":"1"},"propagationPolicy":"Orphan","dryRun":["All"]}`))
	f.Add(uint8(1), "", []byte("orphanDependents: true\n"))
	f.Add(uint8(2), "", append([]byte("k8s\x00"), 0x0a, 0x13, 0x0a, 2, 'v', '1', 0x12, 0x0d, 'D', 'e', 'l', 'e', 't', 'e', 'O', 'p', 't', 'i', 'o', 'n', 's'))
	f.Add(uint8(0), "gracePeriodSeconds=-1&propagationPolicy=Foreground&dryRun=All&preconditions=x", []byte(nil))
	f.Fuzz(func(t *testing.T, form uint8, query string, body []byte) {
		ask := func(media, query string, body []byte) (*metav1.DeleteOptions, error) {
			r := httptest.NewRequest(http.MethodDelete, "/", bytes.NewReader(body))
			r.URL.RawQuery = query
			r.Header.Set("Content-Type", media)
			return s.deleteOptions(r)
		}
		opts, err := ask(media[int(form)%len(media)], query, body)
		if client(t, err); err != nil {
			return
		}
		message, err := opts.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again := &metav1.DeleteOptions{TypeMeta: opts.TypeMeta}
		if err := again.Unmarshal(message); err != nil || !equality.Semantic.DeepEqual(opts, again) {
			t.Errorf("%+v is read again as %+v, %v", opts, again, err)
		}
	})
}
