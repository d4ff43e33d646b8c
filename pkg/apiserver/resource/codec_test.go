package resource

import (
	"bytes"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
)

// TestAnOlderVersionMayBeStored writes a kind under the name of an older version, and reads it under any.
func TestAnOlderVersionMayBeStored(t *testing.T) {
	d := Definition[*admissionv1.MutatingAdmissionPolicy]{
		Kind: admissionv1.SchemeGroupVersion.WithKind("MutatingAdmissionPolicy"), StoredVersion: "v1beta1",
		New: func() *admissionv1.MutatingAdmissionPolicy { return &admissionv1.MutatingAdmissionPolicy{} },
	}
	older := NewCodec(Define(d))
	d.StoredVersion = ""
	newer := NewCodec(Define(d))
	obj := &admissionv1.MutatingAdmissionPolicy{}
	obj.Name, obj.ResourceVersion = "p", "5"
	for c, named := range map[*Codec]string{older: "admissionregistration.k8s.io/v1beta1", newer: "admissionregistration.k8s.io/v1"} {
		value, err := c.Encode(obj)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(value, append([]byte(named), 0x12)) { // the field that follows
			t.Errorf("%q does not name %s", value, named)
		}
		if v := obj.APIVersion; v != "admissionregistration.k8s.io/v1" {
			t.Errorf("the object that was written is now of %s", v)
		}
		for _, reader := range []*Codec{older, newer} {
			o, err := reader.Decode(value, 7)
			if err != nil {
				t.Fatal(err)
			}
			if o.GetName() != "p" || o.GetResourceVersion() != "7" || o.GetObjectKind().GroupVersionKind() != d.Kind {
				t.Errorf("read %v", o)
			}
		}
	}
}
