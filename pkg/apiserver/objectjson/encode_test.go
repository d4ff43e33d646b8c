package objectjson

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/objectjson/objecttest"
)

// TestBytesAreThoseOfEncodingJSON compares random objects of every built-in kind.
func TestBytesAreThoseOfEncodingJSON(t *testing.T) {
	for _, gvk := range objecttest.Kinds() {
		seed := objecttest.Seed(t)
		g := objecttest.New(seed)
		for range 20 {
			same(t, g.Object(gvk), seed)
		}
	}
}

func same(t *testing.T, o any, seed uint64) {
	t.Helper()
	want, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Fatalf("%T, seed %d: encoding/json (-) and own (+):\n%s", o, seed, d)
	}
}

func TestWhatNeedsEscapesIsEscaped(t *testing.T) {
	for _, o := range []any{
		&corev1.ConfigMap{Data: map[string]string{"<&>": "\u2028 \x00 \xff é \"\\", "a": "b"}, BinaryData: map[string][]byte{"x": {0, 255}, "nil": nil}},
		&metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{{FieldsV1: &metav1.FieldsV1{Raw: []byte(`{"k:{\"a\":\"<\"}": {}}`)}}, {FieldsV1: &metav1.FieldsV1{}}}},
		&runtime.RawExtension{Raw: []byte(`{ "a": 1 }`)},
		&runtime.RawExtension{},
		map[string]any{"a": 1.5, "b": []any{nil, "x"}},
		nil,
		&metav1.Status{Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{}}},
		(*corev1.Pod)(nil),
		struct {
			Number int `json:"number,string"`
		}{5},
	} {
		same(t, o, 0)
	}
}

// BenchmarkPod encodes one of the pods that the recorded answers hold.
func BenchmarkPod(b *testing.B) {
	pod := recordedPod(b)
	b.Run("own", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if _, err := Marshal(pod); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			if _, err := json.Marshal(pod); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func recordedPod(b *testing.B) *corev1.Pod {
	b.Helper()
	f, err := os.Open("../../../test/oracle/storage/served.jsonl")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line map[string]json.RawMessage
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			b.Fatal(err)
		}
		for _, raw := range line {
			pod, compact := &corev1.Pod{}, bytes.Buffer{}
			if err := json.Compact(&compact, raw); err != nil {
				b.Fatal(err)
			}
			if json.Unmarshal(compact.Bytes(), pod) == nil && pod.Kind == "Pod" {
				return pod
			}
		}
	}
	b.Fatal("no pod among the recorded objects")
	return nil
}
