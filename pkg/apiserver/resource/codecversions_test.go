package resource

import (
	"bytes"
	"encoding/binary"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
	"github.com/sampan-project/sampan/pkg/defaults"
)

// secrets are of a kind that is stored in the version that is said, and served in v0 too where there are views.
func secrets(kind, version string, views bool) *Codec {
	d := Definition[*corev1.Secret]{
		Kind: corev1.SchemeGroupVersion.WithKind(kind), StoredVersion: version, New: func() *corev1.Secret { return &corev1.Secret{} },
	}
	if views {
		d.Views = []View[*corev1.Secret]{{
			Kind: schema.GroupVersionKind{Version: "v0", Kind: kind}, New: func() runtime.Object { return &corev1.Secret{} },
			To: func(served runtime.Object) (*corev1.Secret, error) {
				s := served.(*corev1.Secret)
				s.Type = "converted"
				return s, nil
			},
		}}
	}
	return NewCodec(Define(d))
}

func TestObjectsAreReadInEveryVersion(t *testing.T) {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s", ResourceVersion: "3"}, Data: map[string][]byte{"k": {0, 255}}}
	value, err := secrets("Secret", "v0", false).Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		codec *Codec
		fails bool
		kind  corev1.SecretType
	}{
		{"by who stores it so", secrets("Secret", "v0", false), false, ""},
		{"by who stores it otherwise", secrets("Secret", "", false), false, ""},
		{"by who serves it too", secrets("Secret", "", true), false, "converted"},
		{"as another kind", secrets("Other", "", false), true, ""},
	} {
		o, err := test.codec.Decode(value, 7)
		if test.fails {
			if err == nil {
				t.Errorf("read %s: %v", test.name, o)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		got := o.(*corev1.Secret)
		if got.APIVersion != "v1" || got.ResourceVersion != "7" || !bytes.Equal(got.Data["k"], []byte{0, 255}) || got.Type != test.kind {
			t.Errorf("read %s: %v", test.name, got)
		}
	}
}

func TestOnlyWhatIsStoredInItsOwnVersionIsAnsweredAsItIs(t *testing.T) {
	value, err := secrets("Secret", "v0", false).Encode(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}})
	if err != nil {
		t.Fatal(err)
	}
	raw, ok := secrets("Secret", "v0", false).splice([]byte("x"), value, 7, watchcache.Protobuf)
	var got corev1.Secret
	if !ok || raw[0] != 'x' || got.Unmarshal(raw[1:]) != nil || got.Name != "s" || got.ResourceVersion != "7" {
		t.Errorf("spliced %v: %v", ok, got)
	}
	text, ok := secrets("Secret", "v0", false).splice([]byte("x"), value, 7, watchcache.JSON)
	if want := `x{"metadata":{"name":"s","resourceVersion":"7"}}`; !ok || string(text) != want {
		t.Errorf("spliced %v: %s", ok, text)
	}
	for _, enc := range []watchcache.Encoding{watchcache.JSON, watchcache.Protobuf} {
		if _, ok := secrets("Secret", "", true).splice(nil, value, 7, enc); ok {
			t.Error("an object of another version was answered as it is stored")
		}
	}
	for _, bad := range []string{"", "{}", "k8s\x00", "k8s\x00\x12", "k8s\x00\x12\x7f", "k8s\x00\x08\x01"} {
		if _, ok := secrets("Secret", "v0", false).splice(nil, []byte(bad), 7, watchcache.Protobuf); ok {
			t.Errorf("%q was taken for an object", bad)
		}
	}
}

// TestWhatLacksDefaultsIsNotWhole: such a value is decoded, for clients are told of the defaults.
func TestWhatLacksDefaultsIsNotWhole(t *testing.T) {
	c := secrets("Secret", "v0", false)
	c.defaults = func(o Object) { o.(*corev1.Secret).Type = corev1.SecretTypeOpaque }
	for kind, want := range map[corev1.SecretType]bool{"": false, corev1.SecretTypeOpaque: true} {
		value, err := c.Encode(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s", Labels: map[string]string{"a": string(make([]byte, 100))}}, Type: kind})
		if err != nil {
			t.Fatal(err)
		}
		o, err := c.Decode(value, 1<<60)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.whole(value, o); got != want || o.GetResourceVersion() != "1152921504606846976" {
			t.Errorf("stored with type %q: whole %v, version %s", kind, got, o.GetResourceVersion())
		}
	}
}

// TestWhatIsAsLargeAsItsDefaultsIsNotWhole: numbers are stored though they are zero, in as many bytes as the defaults that
// stand for it; what a later version has added may be as large as what is missing; and what contradicts itself is set
// right without growing.
func TestWhatIsAsLargeAsItsDefaultsIsNotWhole(t *testing.T) {
	c := NewCodec(Define(Definition[*corev1.Pod]{Kind: corev1.SchemeGroupVersion.WithKind("Pod"), New: func() *corev1.Pod { return &corev1.Pod{} }, Default: defaults.Pod}))
	pod := func() *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}}
		p.Spec.HostNetwork = true
		p.Spec.Containers = []corev1.Container{{Name: "c", Image: "i", Ports: []corev1.ContainerPort{{ContainerPort: 80}}}}
		p.Status.PodIP = "10.0.0.1"
		defaults.Pod(p)
		return p
	}
	later := protowire.AppendVarint(protowire.AppendTag(nil, 100, protowire.VarintType), 1) // as large as the field that is missing
	for name, test := range map[string]struct {
		change func(*corev1.Pod)
		added  []byte
		want   bool
	}{
		"as it is written":          {func(*corev1.Pod) {}, nil, true},
		"a number that is zero":     {func(p *corev1.Pod) { p.Spec.Containers[0].Ports[0].HostPort = 0 }, nil, false},
		"a field that is not known": {func(p *corev1.Pod) { p.Spec.EnableServiceLinks = nil }, later, false},
		"addresses that differ":     {func(p *corev1.Pod) { p.Status.PodIPs[0].IP = "10.0.0.2" }, nil, false},
	} {
		p := pod()
		test.change(p)
		message, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		message = append(message, test.added...)
		value := append(binary.AppendUvarint(bytes.Clone(c.head), uint64(len(message))), message...)
		o, err := c.Decode(value, 7)
		if err != nil {
			t.Fatal(err)
		}
		if o.(*corev1.Pod).Size() != len(message)+1 { // the version, of one digit more
			t.Errorf("%s: the test is of values of one size", name)
		}
		if got := c.whole(value, o); got != test.want {
			t.Errorf("%s: whole %v", name, got)
		}
	}
}
