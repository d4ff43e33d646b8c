package webhook

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"testing"

	"github.com/go-logr/logr"
	reviewv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/webhookclient"
)

// answering is a webhook that says one thing, with the request's UID in the place of $UID.
type answering []byte

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	var asked reviewv1.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		return nil, err
	}
	said := bytes.ReplaceAll(a, []byte("$UID"), []byte(asked.Request.UID))
	header := http.Header{"Content-Type": {"application/json"}}
	return &http.Response{StatusCode: http.StatusOK, Header: header, Body: io.NopCloser(bytes.NewReader(said)), Request: r}, nil
}

// FuzzReview has a webhook answer anything about a pod and about a custom object: what it makes of them can be written,
// and what is stored stays what it was.
func FuzzReview(f *testing.F) {
	for _, patch := range []string{
		`[{"op":"add","path":"/metadata/labels","value":{"a":"b"}},{"op":"copy","from":"/spec","path":"/metadata/annotations"}]`,
		`[{"op":"test","path":""}]`, `[{"op":"test","path":"/metadata/finalizers","value":[null]}]`, `[{"op":"remove","path":"/metadata"}]`, `[{"op":"replace","path":"","value":[]}]`,
	} {
		f.Add(true, []byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"$UID","allowed":true,"patchType":"JSONPatch","patch":"`+
			base64.StdEncoding.EncodeToString([]byte(patch))+`","warnings":["w"],"auditAnnotations":{"a":"b"}}}`))
	}
	f.Add(true, []byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"$UID","status":{"code":-1,"reason":"x","details":{"causes":[{}]}}}}`))
	f.Add(false, []byte(`{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","response":{"allowed":true,"patch":"W10="}}`))
	clients, err := webhookclient.New(nil)
	if err != nil {
		f.Fatal(err)
	}
	meta := metav1.ObjectMeta{Name: "o", Namespace: "n", Finalizers: []string{"a/b"}}
	pod := &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}}
	custom := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.com/v1", "kind": "Widget",
		"metadata": map[string]any{"name": "o", "namespace": "n", "finalizers": []any{"a/b"}}, "spec": map[string]any{"n": int64(1)}}}
	f.Fuzz(func(t *testing.T, newer bool, said []byte) {
		versions := map[bool]string{true: "v1", false: "v1beta1"}
		h := &hook{name: "h", key: "h", versions: []string{versions[newer]}, client: func() (*webhookclient.Client, error) {
			return clients.Through(answering(said))
		}}
		d := &Dispatcher{clients: clients, log: logr.Discard()}
		for _, o := range []runtime.Object{pod, custom} {
			kind := o.GetObjectKind().GroupVersionKind()
			if kind.Empty() {
				kind = corev1.SchemeGroupVersion.WithKind("Pod")
			}
			was := o.DeepCopyObject()
			a := &admission.Attributes{Operation: admission.Create, Kind: kind, Namespace: "n", Name: "o", Object: o}
			_, err := d.mutate(t.Context(), h, a, admission.Target{Kind: kind}, annotator{ctx: t.Context(), h: h})
			if !reflect.DeepEqual(was, o) {
				t.Errorf("what was sent was written into: %v, was %v", o, was)
			}
			if err != nil {
				_ = answer(err).Error()
				continue
			}
			if _, err := json.Marshal(a.Object); err != nil {
				t.Errorf("what the webhook made cannot be written: %v", err)
			}
		}
	})
}
