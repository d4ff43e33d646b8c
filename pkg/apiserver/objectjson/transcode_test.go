package objectjson

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sampan-project/sampan/pkg/apiserver/objectjson/objecttest"
)

// message is what all built-in objects are.
type message interface {
	runtime.Object
	metav1.Object
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// transcodedAs compares what a message is transcoded to with what Marshal makes of the object that it decodes to. It
// answers false where only decoding tells.
func transcodedAs(t testing.TB, tr *Transcoder, stored []byte, back message) bool {
	t.Helper()
	got, ok := tr.Append([]byte("x"), stored, []byte("17"))
	if !ok {
		return false
	}
	if err := back.Unmarshal(stored); err != nil {
		t.Fatalf("%T: transcoded to %s, but decoding fails: %v", back, got, err)
	}
	back.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	back.SetResourceVersion("17")
	want, err := Marshal(back)
	if err != nil {
		t.Fatalf("%T: transcoded to %s, but encoding fails: %v", back, got, err)
	}
	if d := cmp.Diff("x"+string(want), string(got)); d != "" {
		t.Fatalf("%T: decoded (-) and transcoded (+):\n%s", back, d)
	}
	return true
}

// storedForm is an object as it is kept: without version and type.
func storedForm(t testing.TB, o message) []byte {
	t.Helper()
	o.SetResourceVersion("")
	o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	b, err := o.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTranscodedIsDecodedAndEncoded compares random objects of all kinds whose types are known, and truncated ones.
func TestTranscodedIsDecodedAndEncoded(t *testing.T) {
	known, all := 0, 0
	for _, gvk := range objecttest.Kinds() {
		blank, ok := objecttest.Blank(gvk).(message)
		if !ok {
			continue
		}
		all++
		tr, ok := NewTranscoder(reflect.TypeOf(blank).Elem())
		if !ok {
			t.Logf("%s is decoded", gvk)
			continue
		}
		known++
		seed := objecttest.Seed(t)
		g := objecttest.New(seed)
		for range 20 {
			stored := storedForm(t, g.Object(gvk).(message))
			if !transcodedAs(t, tr, stored, objecttest.Blank(gvk).(message)) {
				t.Fatalf("%s, seed %d: not transcoded", gvk, seed)
			}
			for range 20 {
				transcodedAs(t, tr, stored[:g.IntN(len(stored)+1)], objecttest.Blank(gvk).(message))
			}
		}
	}
	if _, ok := NewTranscoder(reflect.TypeFor[appsv1.StatefulSet]()); ok {
		t.Error("claims within a StatefulSet have a type, which is not stored")
	}
	if known*10 < all*9 {
		t.Errorf("%d of %d types are known", known, all)
	}
}

func TestWhatTranscodingKnowsOfItself(t *testing.T) {
	zero, negative := int32(0), int64(-1)
	for _, o := range []message{
		&corev1.Pod{},
		&corev1.ConfigMap{Data: map[string]string{"<&>": "\u2028 \x00 é \"\\", "": "b", "a": ""}, BinaryData: map[string][]byte{"x": {0, 255}, "nil": nil, "empty": {}}},
		&corev1.Secret{Data: map[string][]byte{}, StringData: map[string]string{}},
		&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{DeletionGracePeriodSeconds: &negative, ManagedFields: []metav1.ManagedFieldsEntry{
			{FieldsV1: &metav1.FieldsV1{Raw: []byte(`{"k:{\"a\":\"<\"}": {}}`)}, Time: &metav1.Time{}}, {FieldsV1: &metav1.FieldsV1{}},
		}}},
		&appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: &zero}},
		&appsv1.ControllerRevision{Data: runtime.RawExtension{Raw: []byte(`{ "a": "<" }`)}, Revision: -1},
		&corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{TargetPort: intstr.FromString("é<")}, {TargetPort: intstr.FromInt32(-3)}}}},
		&corev1.ReplicationController{Spec: corev1.ReplicationControllerSpec{Template: &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "5"}}}},
		quantities("1", "0", "100m", "1000m", "999Mi", "1024Mi", "1000", "0.5", "1e3", "12E", "1Ei", "-5", "100u"),
	} {
		tr, ok := NewTranscoder(reflect.TypeOf(o).Elem())
		if !ok {
			t.Fatalf("%T is not known", o)
		}
		if !transcodedAs(t, tr, storedForm(t, o), reflect.New(reflect.TypeOf(o).Elem()).Interface().(message)) {
			t.Errorf("%T is not transcoded: %v", o, o)
		}
	}
}

func quantities(texts ...string) *corev1.Pod {
	list := corev1.ResourceList{}
	for _, s := range texts {
		list[corev1.ResourceName(s)] = resource.MustParse(s)
	}
	return &corev1.Pod{Spec: corev1.PodSpec{Overhead: list}}
}

// TestWhatOnlyDecodingTells is left to it: fields that stand twice, in pieces, or in another form.
func TestWhatOnlyDecodingTells(t *testing.T) {
	tr, ok := NewTranscoder(reflect.TypeFor[corev1.ConfigMap]())
	if !ok {
		t.Fatal("a ConfigMap is not known")
	}
	meta, data := []byte{1<<3 | 2, 0}, []byte{2<<3 | 2, 2, 1<<3 | 2, 0}
	for name, stored := range map[string][]byte{
		"metadata twice":            append(meta[:2:2], meta...),
		"a map in two pieces":       append(append(data[:4:4], meta...), data...),
		"a number for metadata":     {1 << 3, 1},
		"a key twice":               append(data[:4:4], data...),
		"a group":                   {1<<3 | 3, 1<<3 | 4},
		"a length beyond its end":   {1<<3 | 2, 5},
		"a tag that does not end":   {0x80},
		"a number beyond 64 bits":   {4 << 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
		"the number of no field":    {2, 0},
		"eight bytes beyond an end": {9<<3 | 1, 0},
	} {
		if got, ok := tr.Append(nil, stored, []byte("17")); ok {
			t.Errorf("%s was transcoded to %s", name, got)
		}
	}
	later := append([]byte{99<<3&0x7f | 0x80, 6, 1}, meta...) // field 99, a number
	if !transcodedAs(t, tr, later, &corev1.ConfigMap{}) {
		t.Error("a field of a later version was not passed over")
	}
}

func FuzzTranscoded(f *testing.F) {
	tr, ok := NewTranscoder(reflect.TypeFor[corev1.Pod]())
	if !ok {
		f.Fatal("a Pod is not known")
	}
	g := objecttest.New(1)
	for range 5 {
		f.Add(storedForm(f, g.Object(corev1.SchemeGroupVersion.WithKind("Pod")).(message)))
	}
	f.Fuzz(func(t *testing.T, stored []byte) { transcodedAs(t, tr, stored, &corev1.Pod{}) })
}

// BenchmarkTranscode brings one of the pods that the recorded answers hold from its stored form into JSON.
func BenchmarkTranscode(b *testing.B) {
	pod := recordedPod(b)
	stored := storedForm(b, pod)
	tr, ok := NewTranscoder(reflect.TypeFor[corev1.Pod]())
	if !ok {
		b.Fatal("a Pod is not known")
	}
	b.Run("transcoded", func(b *testing.B) {
		b.ReportAllocs()
		var to []byte
		for range b.N {
			if to, ok = tr.Append(to[:0], stored, []byte("17")); !ok {
				b.Fatal("not transcoded")
			}
		}
	})
	b.Run("decoded", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			back := &corev1.Pod{}
			if err := back.Unmarshal(stored); err != nil {
				b.Fatal(err)
			}
			if _, err := Marshal(back); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestWhatIsNoJSONIsNotTakenForIt: the types themselves refuse such parts, or read them in other ways.
func TestWhatIsNoJSONIsNotTakenForIt(t *testing.T) {
	c, ok := NewTranscoder(reflect.TypeFor[appsv1.ControllerRevision]())
	if !ok {
		t.Fatal("the type is not known")
	}
	for raw, want := range map[string]bool{`{"a":1}`: true, `\"\`: false, "\xd9\xd9\xf7\xa0": false} {
		m, err := (&appsv1.ControllerRevision{Data: runtime.RawExtension{Raw: []byte(raw)}}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := c.Append(nil, m, []byte("1")); ok != want {
			t.Errorf("%q: %v %s", raw, ok, text)
		}
	}
}
