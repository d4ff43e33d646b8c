package core

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestImmutableDataStays(t *testing.T) {
	yes, no := true, false
	type data = map[string]string
	for _, test := range []struct {
		name     string
		now, was data
		frozen   *bool
		want     []string
	}{
		{"none, as before", nil, nil, &yes, nil},
		{"the same", data{"a": ""}, data{"a": ""}, &yes, nil},
		{"another value", data{"a": "b"}, data{"a": "c"}, &yes, []string{"data: FieldValueForbidden"}},
		{"one more", data{"a": "b"}, nil, &yes, []string{"data: FieldValueForbidden"}},
		{"gone", nil, data{"a": "b"}, &yes, []string{"data: FieldValueForbidden"}},
		{"an empty map for none", data{}, nil, &yes, []string{"data: FieldValueForbidden"}},
		{"no longer immutable", nil, nil, &no, []string{"immutable: FieldValueForbidden"}},
		{"not said", nil, nil, nil, []string{"immutable: FieldValueForbidden"}},
	} {
		now := &corev1.ConfigMap{Data: test.now, Immutable: test.frozen}
		if got := fieldsOf(validateConfigMapUpdate(now, &corev1.ConfigMap{Data: test.was, Immutable: &yes})); !slices.Equal(got, test.want) {
			t.Errorf("config map, %s: %v, want %v", test.name, got, test.want)
		}
		bytes := func(list data) map[string][]byte {
			if list == nil {
				return nil
			}
			out := map[string][]byte{}
			for k, v := range list {
				out[k] = []byte(v)
			}
			return out
		}
		secret := &corev1.Secret{Data: bytes(test.now), Immutable: test.frozen}
		if got := fieldsOf(validateSecretUpdate(secret, &corev1.Secret{Data: bytes(test.was), Immutable: &yes})); !slices.Equal(got, test.want) {
			t.Errorf("secret, %s: %v, want %v", test.name, got, test.want)
		}
	}
	cm := &corev1.ConfigMap{Data: data{}, BinaryData: map[string][]byte{}}
	if ConfigMap().Complete(cm); cm.Data != nil || cm.BinaryData != nil {
		t.Errorf("stored as %v", cm)
	}
	secret := &corev1.Secret{Data: map[string][]byte{}}
	if Secret().Complete(secret); secret.Data != nil {
		t.Errorf("stored as %v", secret)
	}
}

func TestSecretsOfBadCertificatesWarnWithEveryWrite(t *testing.T) {
	s := &corev1.Secret{Type: corev1.SecretTypeTLS, Data: map[string][]byte{"tls.crt": nil, "tls.key": nil}}
	for _, old := range []*corev1.Secret{nil, s} {
		if got := Secret().Warn(t.Context(), s, old); !slices.Equal(got, []string{"tls: failed to find any PEM data in certificate input"}) {
			t.Errorf("%q", got)
		}
	}
}
