package crd

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/apiserver/webhookclient"
)

// answering is a webhook that says one thing, with the request's UID in the place of $UID.
type answering []byte

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	var asked apiextensionsv1.ConversionReview
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		return nil, err
	}
	said := bytes.ReplaceAll(a, []byte("$UID"), []byte(asked.Request.UID))
	header := http.Header{"Content-Type": {"application/json"}}
	return &http.Response{StatusCode: http.StatusOK, Header: header, Body: io.NopCloser(bytes.NewReader(said)), Request: r}, nil
}

// FuzzConversion has a webhook answer anything: what is taken is the same object in the version that was asked for, but
// for its labels, annotations and contents.
func FuzzConversion(f *testing.F) {
	text := []byte(`{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"a","namespace":"n","uid":"u","labels":{"a":"b"},"finalizers":["x/y"]},"spec":{"old":1}}`)
	for _, object := range []string{
		`{"apiVersion":"example.com/v2","kind":"Widget","metadata":{"name":"a","namespace":"n","uid":"u","labels":{"a":"c"},"finalizers":[]},"spec":{"new":1.5}}`,
		`{"apiVersion":"example.com/v2","kind":"Widget","metadata":{"name":"a","namespace":"n","uid":"u","annotations":{"a":1}}}`,
		`{"apiVersion":"example.com/v2","kind":"Widget","metadata":null,"items":[]}`, `null`,
	} {
		f.Add([]byte(`{"apiVersion":"apiextensions.k8s.io/v1","kind":"ConversionReview","response":{"uid":"$UID","result":{"status":"Success"},"convertedObjects":[` + object + `]}}`))
	}
	f.Add([]byte(`{"apiVersion":"apiextensions.k8s.io/v1","kind":"ConversionReview","response":{"uid":"$UID","result":{"status":"Failure","message":"no"}}}`))
	clients, err := webhookclient.New(nil)
	if err != nil {
		f.Fatal(err)
	}
	definition := &apiextensionsv1.CustomResourceDefinition{}
	definition.Spec.Conversion = &apiextensionsv1.CustomResourceConversion{Strategy: apiextensionsv1.WebhookConverter,
		Webhook: &apiextensionsv1.WebhookConversion{ConversionReviewVersions: []string{"v1"}}}
	f.Fuzz(func(t *testing.T, said []byte) {
		in := &unstructured.Unstructured{}
		if err := in.UnmarshalJSON(text); err != nil {
			t.Fatal(err)
		}
		was := in.DeepCopy()
		c := converter{definition, func() (*webhookclient.Client, error) { return clients.Through(answering(said)) }}
		out, err := c.to(in, "example.com/v2")
		if d := cmp.Diff(was.Object, in.Object); d != "" {
			t.Errorf("what is stored was written into:\n%s", d)
		}
		if err != nil {
			return
		}
		if _, err := out.MarshalJSON(); err != nil {
			t.Errorf("what was taken cannot be written: %v", err)
		}
		kept := func(u *unstructured.Unstructured) any {
			o := runtime.DeepCopyJSON(map[string]any{"kind": u.GetKind(), "metadata": u.Object["metadata"]})
			delete(o["metadata"].(map[string]any), "labels")
			delete(o["metadata"].(map[string]any), "annotations")
			return o
		}
		if d := cmp.Diff(kept(was), kept(out)); d != "" || out.GetAPIVersion() != "example.com/v2" {
			t.Errorf("the object came to be another, of %s:\n%s", out.GetAPIVersion(), d)
		}
	})
}
