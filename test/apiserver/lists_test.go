package apiserver

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// ages are cells that change between two answers, and plainAges those of YAML.
var (
	ages      = regexp.MustCompile(`"[0-9]+s"`)
	plainAges = regexp.MustCompile(`(?m)- [0-9]+s$`)
)

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

// TestLargeListsAreTheSameInAllForms asks for one moment's list in every form: compressed or not, indented, and as YAML.
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
			asYAML, err := yaml.JSONToYAML([]byte(age(text)))
			if err != nil {
				t.Fatal(err)
			}
			for _, encoding := range []string{"gzip", "identity"} {
				got := admin.send(t, "GET", path, "", nil, "Accept", strings.Replace(accept, "json", "yaml", 1), "Accept-Encoding", encoding)
				body := got.body
				if got.header.Get("Content-Encoding") == "gzip" {
					body = got.unzipped(t)
				}
				if d := cmp.Diff(string(asYAML), plainAges.ReplaceAllString(string(body), "- AGE")); d != "" {
					t.Errorf("%s %s as YAML, %s:\n%.2000s", accept, query, encoding, d)
				}
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
		want, list k8sruntime.Object
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

// TestListsThatNobodyReadsHoldNoAnswers has ten clients ask for a list of 40 MB and stop reading it: what the server
// holds then is less than one list. `limits lists -n 1000` does the same with 1 GB, 25 times as much.
func TestListsThatNobodyReadsHoldNoAnswers(t *testing.T) {
	admin := start(t, memory(t)).as(adminToken)
	const n, size, readers = 80, 500_000, 10
	random := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, size)
	for i := range n {
		for k := range text {
			text[k] = ' ' + byte(random.IntN(90)) // which hardly compresses
		}
		admin.must(t, 201, "POST", configMaps, map[string]any{"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": map[string]any{"name": fmt.Sprint("large-", i)}, "data": map[string]any{"text": string(text)}})
	}
	admin.http.CloseIdleConnections()
	held := func() int64 {
		runtime.GC()
		runtime.GC() // what pools held
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := held()
	bodies := make([]io.ReadCloser, readers)
	for i := range bodies {
		r, err := http.NewRequestWithContext(t.Context(), "GET", admin.url+configMaps, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+adminToken)
		if i%2 == 0 {
			r.Header.Set("Accept-Encoding", "gzip")
		} else {
			r.Header.Set("Accept", "application/vnd.kubernetes.protobuf")
		}
		answer, err := admin.http.Do(r) //nolint:bodyclose // below
		if err != nil {
			t.Fatal(err)
		}
		bodies[i] = answer.Body
		if _, err := io.ReadFull(answer.Body, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	if grown := held() - before; grown > n*size {
		t.Errorf("ten lists of %d MB hold %d MB", n*size>>20, grown>>20)
	}
	whole := admin.send(t, "GET", configMaps, "", nil, "Accept-Encoding", "identity") // others go on
	if whole.code != 200 || len(whole.body) < n*size {
		t.Errorf("a list beside those that nobody reads: %d, %d bytes", whole.code, len(whole.body))
	}
	for i, b := range bodies {
		if rest, err := io.Copy(io.Discard, b); err != nil || rest < n*size/2 {
			t.Errorf("the rest of list %d: %d bytes, %v", i, rest, err)
		}
		_ = b.Close()
	}
}
