package plugins

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

// torn is an Access whose etcd does not answer.
type torn struct{ resource.Access }

func (torn) GetLive(context.Context, schema.GroupResource, string, string) (resource.Object, error) {
	return nil, errors.New("no answer")
}

func TestNothingIsWrittenInNamespacesThatAreNotThere(t *testing.T) {
	access := resourcetest.New()
	if _, err := access.Create(t.Context(), namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "there"}}); err != nil {
		t.Fatal(err)
	}
	reviews := schema.GroupVersionResource{Group: "authorization.k8s.io", Version: "v1", Resource: "localsubjectaccessreviews"}
	for name, c := range map[string]struct {
		operation admission.Operation
		resource  schema.GroupVersionResource
		namespace string
		access    resource.Access
		want      string
	}{
		"in one that is":       {admission.Create, corev1.SchemeGroupVersion.WithResource("pods"), "there", access, ""},
		"in none":              {admission.Create, corev1.SchemeGroupVersion.WithResource("nodes"), "", access, ""},
		"in one that is not":   {admission.Update, corev1.SchemeGroupVersion.WithResource("pods"), "lost", access, `namespaces "lost" not found`},
		"a deletion":           {admission.Delete, corev1.SchemeGroupVersion.WithResource("pods"), "lost", access, `namespaces "lost" not found`},
		"a question":           {admission.Create, reviews, "lost", access, `namespaces "lost" not found`},
		"the namespace itself": {admission.Create, corev1.SchemeGroupVersion.WithResource("namespaces"), "lost", access, ""},
		"known without etcd":   {admission.Create, corev1.SchemeGroupVersion.WithResource("pods"), "there", torn{access}, ""},
		"unknown without etcd": {admission.Create, corev1.SchemeGroupVersion.WithResource("pods"), "lost", torn{access}, "Internal error occurred: no answer"},
	} {
		chain := admission.Chain{Plugins: []admission.Plugin{namespaceExists(&Config{Access: c.access})}}
		err := chain.Validate(t.Context(), &admission.Attributes{Operation: c.operation, Resource: c.resource, Namespace: c.namespace, Name: "o"})
		if got := errText(err); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
