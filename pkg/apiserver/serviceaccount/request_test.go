package serviceaccount

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

// A request may name the service account that it means, even its uid, and gets no token of another.
func TestRequestsNameTheirServiceAccount(t *testing.T) {
	access := resourcetest.New()
	if _, err := access.Create(context.Background(), schema.GroupResource{Resource: "serviceaccounts"},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "a", UID: "u"}}); err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := NewIssuer("https://issuer", key, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	requests := &Requests{Issuer: issuer, Access: access, Audiences: []string{"api"}, Now: time.Now}
	for _, c := range []struct {
		what, name string
		meta       metav1.ObjectMeta
		fault      string
	}{
		{"no metadata", "a", metav1.ObjectMeta{}, ""},
		{"all of them", "a", metav1.ObjectMeta{Namespace: "n", Name: "a", UID: "u"}, ""},
		{"another name, of a service account that is not there", "gone", metav1.ObjectMeta{Namespace: "m", Name: "b"},
			`TokenRequest.authentication.k8s.io "gone" is invalid: metadata.name: Invalid value: "b": must match the service account name if specified`},
		{"another namespace", "a", metav1.ObjectMeta{Namespace: "m"},
			`TokenRequest.authentication.k8s.io "a" is invalid: metadata.namespace: Invalid value: "m": must match the service account namespace if specified`},
		{"another uid", "a", metav1.ObjectMeta{UID: "other"},
			`Operation cannot be fulfilled on TokenRequest.authentication.k8s.io "a": the UID in the token request (other) ` +
				`does not match the UID of the service account (u)`},
	} {
		got, err := requests.Do(context.Background(), "n", c.name, &authenticationv1.TokenRequest{ObjectMeta: c.meta}, nil)
		if c.fault != "" {
			if _, is := err.(apierrors.APIStatus); !is || err.Error() != c.fault {
				t.Errorf("%s: %v, want %s", c.what, err, c.fault)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		if req := got.(*authenticationv1.TokenRequest); req.Namespace != "n" || req.Name != "a" || req.UID != "u" {
			t.Errorf("%s: answered as of %s/%s, uid %s", c.what, req.Namespace, req.Name, req.UID)
		}
	}
}
