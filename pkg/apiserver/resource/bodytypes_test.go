package resource

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
)

func TestBodiesOwnFieldsOneByOneAndListsAsAWhole(t *testing.T) {
	kind := authenticationv1.SchemeGroupVersion.WithKind("TokenReview")
	body := bodyConvertor{kind, func() runtime.Object { return &authenticationv1.TokenReview{} }}
	f, err := managedfields.NewDefaultFieldManager(newBodyTypes(&authenticationv1.TokenReview{}), body, body, body, kind, kind.GroupVersion(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	none, _ := body.New(kind)
	sent := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: "t", Audiences: []string{"a", "b"}}}
	sent.SetGroupVersionKind(kind)
	out, err := f.Update(none, sent, "client")
	if err != nil {
		t.Fatal(err)
	}
	entries := out.(*authenticationv1.TokenReview).ManagedFields
	if len(entries) != 1 {
		t.Fatalf("%d entries, want that of the client", len(entries))
	}
	if diff := cmp.Diff(`{"f:spec":{"f:audiences":{},"f:token":{}}}`, string(entries[0].FieldsV1.GetRawBytes())); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}
