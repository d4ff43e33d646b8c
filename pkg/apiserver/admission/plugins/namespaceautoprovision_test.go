package plugins

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

// refusing is an Access that creates nothing.
type refusing struct {
	resource.Access
	err error
}

func (r refusing) Create(context.Context, schema.GroupResource, resource.Object) (resource.Object, error) {
	return nil, r.err
}

func TestNamespacesAreMadeForWhatIsCreatedInThem(t *testing.T) {
	for name, c := range map[string]struct {
		operation admission.Operation
		plural    string
		namespace string
		dry       bool
		refusal   error // of the creation
		made      bool
		want      string
	}{
		"in one that is not":     {admission.Create, "pods", "lost", false, nil, true, ""},
		"for a dry run":          {admission.Create, "pods", "lost", true, nil, false, ""},
		"by an update":           {admission.Update, "pods", "lost", false, nil, false, ""},
		"by a deletion":          {admission.Delete, "pods", "lost", false, nil, false, ""},
		"the namespace itself":   {admission.Create, "namespaces", "lost", false, nil, false, ""},
		"in one that is":         {admission.Create, "pods", "there", false, errors.New("made again"), false, ""},
		"in none":                {admission.Create, "nodes", "", false, errors.New("made"), false, ""},
		"another was quicker":    {admission.Create, "pods", "lost", false, apierrors.NewAlreadyExists(namespaces, "lost"), false, ""},
		"one that may not be":    {admission.Create, "pods", "lost", false, apierrors.NewForbidden(namespaces, "lost", errors.New("no")), false, `namespaces "lost" is forbidden: no`},
		"one that cannot be now": {admission.Create, "pods", "lost", false, errors.New("no answer"), false, `pods "p" is forbidden: no answer`},
	} {
		store := resourcetest.New()
		if _, err := store.Create(t.Context(), namespaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "there"}}); err != nil {
			t.Fatal(err)
		}
		cfg := &Config{Access: store}
		if c.refusal != nil {
			cfg.Access = refusing{store, c.refusal}
		}
		err := admission.Chain{Plugins: []admission.Plugin{namespaceAutoProvision(cfg)}}.Admit(t.Context(), &admission.Attributes{
			Operation: c.operation, Resource: corev1.SchemeGroupVersion.WithResource(c.plural), Namespace: c.namespace, Name: "p", DryRun: c.dry,
		})
		if got := errText(err); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if _, err := store.Get(t.Context(), namespaces, "", "lost"); (err == nil) != c.made {
			t.Errorf("%s: made %v, want %v", name, err == nil, c.made)
		}
	}
}
