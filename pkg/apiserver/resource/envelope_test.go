package resource

import (
	"bytes"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/sampan-project/sampan/pkg/apiserver/objectjson/objecttest"
)

// TestSealedBytesAreThoseOfTheSerializer compares random objects of every built-in kind.
func TestSealedBytesAreThoseOfTheSerializer(t *testing.T) {
	library := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
	for _, gvk := range objecttest.Kinds() {
		seed := objecttest.Seed(t)
		o := objecttest.New(seed).Object(gvk)
		m, ok := o.(message)
		if !ok {
			t.Fatalf("%s has no protobuf form", gvk)
		}
		var want bytes.Buffer
		if err := library.Encode(o, &want); err != nil {
			t.Fatal(err)
		}
		got, err := seal(envelopeHead(gvk), m)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want.Bytes(), got) {
			t.Errorf("%s, seed %d: library %q, own %q", gvk, seed, want.Bytes(), got)
		}
		if cap(got) != len(got) {
			t.Errorf("%s: %d bytes in a buffer of %d", gvk, len(got), cap(got))
		}
	}
}
