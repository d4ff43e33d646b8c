package objectjson

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"

	"github.com/sampan-project/sampan/pkg/apiserver/objectjson/objecttest"
)

// readAlike reads a text in both ways. What is read here must be what the library reads, without a fault; it
// answers whether it was read.
func readAlike(t *testing.T, data []byte, typ reflect.Type) bool {
	t.Helper()
	got, want := reflect.New(typ).Interface(), reflect.New(typ).Interface()
	if !UnmarshalStrict(bytes.Clone(data), got) {
		return false
	}
	faults, err := kjson.UnmarshalStrict(data, want)
	if err != nil || len(faults) > 0 {
		t.Fatalf("read as %s though the library finds: %v %v\n%s", typ, err, faults, data)
	}
	if !reflect.DeepEqual(want, got) {
		t.Fatalf("library (-) and own (+):\n%s\n%s", cmp.Diff(want, got), data)
	}
	return true
}

// TestObjectsAreReadAsByTheLibrary reads random objects of every built-in kind, and the same with a few bytes
// of the text changed.
func TestObjectsAreReadAsByTheLibrary(t *testing.T) {
	read := 0
	for _, gvk := range objecttest.Kinds() {
		seed := objecttest.Seed(t)
		g := objecttest.New(seed)
		for range 20 {
			o := g.Object(gvk)
			text, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			typ := reflect.TypeOf(o).Elem()
			if !readAlike(t, text, typ) {
				t.Fatalf("%s, seed %d: not read: %s", gvk, seed, text)
			}
			indented, err := json.MarshalIndent(o, " ", "\t")
			if err != nil {
				t.Fatal(err)
			}
			if !readAlike(t, indented, typ) {
				t.Fatalf("%s, seed %d: not read: %s", gvk, seed, indented)
			}
			for range 20 {
				if readAlike(t, disturbed(g, text), typ) {
					read++
				}
			}
		}
	}
	if read == 0 {
		t.Error("no changed text was read")
	}
}

// disturbed is a text in which something stands for something else, twice, or not at all.
func disturbed(g *objecttest.Generator, text []byte) []byte {
	out := bytes.Clone(text)
	for range 1 + g.IntN(2) {
		if len(out) == 0 {
			return out
		}
		at := g.IntN(len(out))
		end := at + g.IntN(min(20, len(out)-at)) + 1
		switch g.IntN(5) {
		case 0:
			const marks = "{}[]\",:\\ntf019-.eE \x00\xff"
			out[at] = marks[g.IntN(len(marks))]
		case 1:
			out = append(out[:at:at], out[end:]...)
		case 2:
			out = append(out[:end:end], out[at:]...)
		case 3:
			values := []string{"null", "{}", "[]", `""`, "0", "-1", "1e3", "true", `"\u00e9\n"`, "99999999999", " "}
			out = bytes.Replace(out, out[at:end], []byte(values[g.IntN(len(values))]), 1)
		case 4: // a member once more
			if i := bytes.IndexByte(out[at:], ','); i >= 0 {
				if n := bytes.IndexAny(out[at+i+1:], ",}"); n >= 0 {
					out = append(out[:at+i:at+i], append(bytes.Clone(out[at+i:at+i+1+n]), out[at+i:]...)...)
				}
			}
		}
	}
	return out
}

func TestWhatHasFaultsIsNotRead(t *testing.T) {
	for _, text := range []string{
		``, `{`, `{}x`, `[]`, `"x"`, `{"metadata":{"name":"a","name":"b"}}`, `{"spec":{"Containers":[]}}`, `{"unknown":1}`,
		`{"metadata":{"labels":{"a":"b","a":"c"}}}`, `{"metadata":{"labels":{"a":1}}}`, `{"metadata":{"name":1}}`, `{"metadata":{"generation":"1"}}`,
		`{"metadata":{"generation":1.5}}`, `{"metadata":{"generation":01}}`, `{"spec":{"containers":[,]}}`, `{"spec":{"containers":[{},]}}`,
		`{"spec":{"containers":{}}}`, `{"metadata":{"creationTimestamp":"yesterday"}}`, `{"metadata":{"name":"a` + "\n" + `"}}`,
		`{"spec":{"containers":[` + strings.Repeat(",", 100) + `]}}`, `{"metadata":{"managedFields":[{"fieldsV1":{"f:a":{}`,
	} {
		if readAlike(t, []byte(text), reflect.TypeFor[corev1.Pod]()) {
			t.Errorf("read: %s", text)
		}
	}
}

func TestWhatIsUnusualIsRead(t *testing.T) {
	for _, text := range []string{
		` {} `, `null`, `{"metadata":null}`, `{"metadata":{"labels":null,"finalizers":[null,"\u0061\ud83d\ude00é"]}}`, `{"spec":{"containers":[null,{}],"volumes":[]}}`,
		`{"metadata":{"creationTimestamp":null,"deletionTimestamp":"2026-01-01T00:00:00+02:00","generation":-0}}`, `{"metadata":{"labels":{}}}`,
		`{"metadata":{"managedFields":[{"fieldsV1": {"f:a" : {}} }]}}`,
		`{"spec":{"containers":[{"resources":{"limits":{"cpu":1,"memory":"1Gi"}},"livenessProbe":{"httpGet":{"port":"http"},"tcpSocket":{"port":80}}}]}}`,
	} {
		if !readAlike(t, []byte(text), reflect.TypeFor[corev1.Pod]()) {
			t.Errorf("not read: %s", text)
		}
	}
}

func BenchmarkReadPod(b *testing.B) {
	text, err := json.Marshal(recordedPod(b))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("own", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if !UnmarshalStrict(text, &corev1.Pod{}) {
				b.Fatal("not read")
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if _, err := kjson.UnmarshalStrict(text, &corev1.Pod{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestPlainObjectsAreTheSameInYAML reads random objects, and the same with a few bytes of the text changed.
func TestPlainObjectsAreTheSameInYAML(t *testing.T) {
	read := 0
	for _, gvk := range objecttest.Kinds() {
		seed := objecttest.Seed(t)
		g := objecttest.New(seed)
		for range 10 {
			text, err := json.Marshal(g.Object(gvk))
			if err != nil {
				t.Fatal(err)
			}
			for range 10 {
				if plainAlike(t, text) {
					read++
				}
				text = disturbed(g, text)
			}
		}
	}
	if read < 100 {
		t.Errorf("only %d texts were plain", read)
	}
}

func plainAlike(t *testing.T, text []byte) bool {
	t.Helper()
	got, ok := PlainObject(text)
	if !ok {
		return false
	}
	want := map[string]any{}
	if err := yaml.UnmarshalStrict(text, &want); err != nil {
		t.Fatalf("plain though YAML finds: %v\n%s", err, text)
	}
	if !reflect.DeepEqual(want, got) {
		t.Fatalf("YAML (-) and own (+):\n%s\n%s", cmp.Diff(want, got), text)
	}
	return true
}

func TestWhatYAMLReadsOtherwiseIsNotPlain(t *testing.T) {
	for _, text := range []string{
		`{"a":1,"a":2}`, `{"a":"\u0041"}`, `{"a":"é"}`, `{"a":1.5}`, `{"a":-0}`, `{"a":9007199254740993}`, `{"<<":{"b":1}}`, `{"a":01}`, `[]`, `a: 1`, ``, "{\"a\"\n:1}", "{\"a\":\t1}", "{\"a\":\"\x7f\"}",
		`{"` + strings.Repeat("n", 2000) + `":1}`, `{"a":[1,{"b":1,"b":1}]}`, `{} {}`,
	} {
		if plainAlike(t, []byte(text)) {
			t.Errorf("plain: %s", text)
		}
	}
	if !plainAlike(t, []byte("{\"a\":  [1, -5 , {\"b\":\"#x: y\",\"c\":null}, true,false,\"\", {}, []]}\n")) {
		t.Error("a plain text is not taken for one")
	}
}
