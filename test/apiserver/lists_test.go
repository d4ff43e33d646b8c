package apiserver

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
)

// ages are cells that change between two answers.
var ages = regexp.MustCompile(`"[0-9]+s"`)

// many makes so many config maps with so much data, no two alike.
func many(t *testing.T, c *client, n, size int) {
	t.Helper()
	together(16, func(worker int) {
		for i := worker; i < n; i += 16 {
			name := fmt.Sprintf("map-%03d", i)
			data := strings.Repeat(fmt.Sprintf("%d, ", i*i), size)[:size]
			if code, out := c.do(t, "POST", configMaps, map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
				"metadata": map[string]any{"name": name, "labels": map[string]any{"third": fmt.Sprint(i % 3)}},
				"data":     map[string]any{"text": data + "<&>"}}); code != 201 {
				t.Errorf("%s: %d: %v", name, code, out)
			}
		}
	})
}

// unzipped is an answer's body as it was before it was compressed.
func (a answer) unzipped(t *testing.T) []byte {
	t.Helper()
	if a.header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("not compressed: %d %v", a.code, a.header)
	}
	z, err := gzip.NewReader(bytes.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z) // which checks the sum
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// TestLargeListsAreTheSameInAllForms asks for one moment's list in every form. What is streamed, compressed or not,
// is what the answer would be as one text, which is what somebody gets who wants it indented.
func TestLargeListsAreTheSameInAllForms(t *testing.T) {
	admin := start(t, memory(t)).as(adminToken)
	many(t, admin, 150, 2000)
	revision := at(admin.must(t, 200, "GET", configMaps+"?limit=1", nil), "metadata.resourceVersion")
	for _, accept := range []string{
		"application/json",
		"application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
		"application/json;as=PartialObjectMetadataList;v=v1beta1;g=meta.k8s.io",
		"application/json;as=Table;v=v1;g=meta.k8s.io",
		"application/json;as=Table;v=v1beta1;g=meta.k8s.io",
	} {
		for _, query := range []string{"", "&labelSelector=third%3D1", "&limit=120", "&labelSelector=third%3Dnone", "&includeObject=None", "&includeObject=Object"} {
			path := configMaps + "?resourceVersionMatch=Exact&resourceVersion=" + revision + query
			gz := admin.send(t, "GET", path, "", nil, "Accept", accept, "Accept-Encoding", "gzip")
			plain := admin.send(t, "GET", path, "", nil, "Accept", accept, "Accept-Encoding", "identity")
			pretty := admin.send(t, "GET", path+"&pretty=true", "", nil, "Accept", accept, "Accept-Encoding", "identity")
			if gz.code != 200 || plain.code != 200 || pretty.code != 200 {
				t.Fatalf("%s %s: %d, %d, %d: %s", accept, query, gz.code, plain.code, pretty.code, brief(plain.body))
			}
			text := plain.body
			if len(text) > 300<<10 {
				text = gz.unzipped(t)
			}
			var indented bytes.Buffer
			if err := json.Indent(&indented, bytes.TrimSuffix(text, []byte("\n")), "", "  "); err != nil {
				t.Fatalf("%s %s: %v", accept, query, err)
			}
			age := func(b []byte) string { return ages.ReplaceAllString(string(b), `"AGE"`) }
			if d := cmp.Diff(age(pretty.body), age(indented.Bytes())); d != "" {
				t.Errorf("%s %s: compressed against indented:\n%.2000s", accept, query, d)
			}
			if age(text) != age(plain.body) {
				t.Errorf("%s %s: compressed and plain answers differ", accept, query)
			}
		}
	}
}

// TestLargeListsInProtobuf compares them with JSON, object by object.
func TestLargeListsInProtobuf(t *testing.T) {
	admin := start(t, memory(t)).as(adminToken)
	many(t, admin, 150, 2000)
	revision := at(admin.must(t, 200, "GET", configMaps+"?limit=1", nil), "metadata.resourceVersion")
	path := configMaps + "?resourceVersionMatch=Exact&resourceVersion=" + revision
	for _, c := range []struct {
		as         string
		want, list runtime.Object
	}{
		{"", &corev1.ConfigMapList{}, &corev1.ConfigMapList{}},
		{";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", &metav1.PartialObjectMetadataList{}, &metav1.PartialObjectMetadataList{}},
	} {
		plain := admin.send(t, "GET", path, "", nil, "Accept", "application/json"+c.as, "Accept-Encoding", "identity")
		if err := json.Unmarshal(plain.body, c.want); err != nil {
			t.Fatal(err)
		}
		if p, ok := c.want.(*metav1.PartialObjectMetadataList); ok {
			for i := range p.Items {
				p.Items[i].TypeMeta = metav1.TypeMeta{} // which the message has not
			}
		}
		for _, encoding := range []string{"gzip", "identity", "gzip"} { // made anew for the first one, and shared by the others
			got := admin.send(t, "GET", path, "", nil, "Accept", "application/vnd.kubernetes.protobuf"+c.as, "Accept-Encoding", encoding)
			body := got.body
			if encoding == "gzip" {
				body = got.unzipped(t)
			}
			if _, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, c.list); err != nil {
				t.Fatalf("%s: %v", c.as, err)
			}
			c.list.GetObjectKind().SetGroupVersionKind(c.want.GetObjectKind().GroupVersionKind())
			if d := cmp.Diff(c.want, c.list); d != "" {
				t.Errorf("%s in %s:\n%.2000s", c.as, encoding, d)
			}
		}
	}
}
