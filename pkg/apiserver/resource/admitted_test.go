package resource_test

import (
	"context"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/storage"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// TestAdmissionMaySayWhoOwnsWhat: what admission makes of managedFields stands, unless nobody can read it.
func TestAdmissionMaySayWhoOwnsWhat(t *testing.T) {
	etcd := storage.NewMemory()
	cache := watchcache.New(watchcache.Config{Store: etcd, Root: resource.Root, Clock: clock.RealClock{}, Log: logr.Discard()})
	s := resource.NewRegistry(etcd, cache, clock.RealClock{}).Add(resource.Define(resource.Definition[*corev1.ConfigMap]{
		Kind: corev1.SchemeGroupVersion.WithKind("ConfigMap"), Plural: "configmaps",
	}), applyconfigurations.NewTypeConverter(scheme.Scheme))
	entry := metav1.ManagedFieldsEntry{Manager: "admission", Operation: "Update", APIVersion: "v1", FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{Raw: []byte(`{"f:data":{"f:k":{}}}`)}}
	broken := entry
	broken.Operation = "Anything"
	for _, c := range []struct {
		name    string
		entries []metav1.ManagedFieldsEntry
		manager string
		warns   bool
	}{
		{"others", []metav1.ManagedFieldsEntry{entry}, "admission", false},
		{"broken ones", []metav1.ManagedFieldsEntry{broken}, "client", true},
		{"none", nil, "", false},
	} {
		ctx, warnings := request.WithWarnings(t.Context())
		chain := admission.Chain{Plugins: []admission.Plugin{{Admit: func(_ context.Context, a *admission.Attributes) error {
			a.Object.(metav1.Object).SetManagedFields(c.entries)
			return nil
		}}}}
		write := func() *resource.Write {
			return &resource.Write{Namespace: "n", Name: "c", Manager: "client", Admission: chain, Attributes: admission.Attributes{Kind: s.Kind}}
		}
		check := func(verb string, o resource.Object, err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %s: %v", c.name, verb, err)
			}
			manager := ""
			if all := o.GetManagedFields(); len(all) > 0 {
				manager = all[0].Manager
			}
			if manager != c.manager {
				t.Errorf("%s: %s: owned by %q, want %q", c.name, verb, manager, c.manager)
			}
		}
		o, err := s.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "c"}, Data: map[string]string{"k": "v"}}, write())
		check("create", o, err)
		o, _, err = s.Update(ctx, write(), nil, false, func(_ context.Context, old resource.Object) (resource.Object, error) {
			next := old.DeepCopyObject().(*corev1.ConfigMap)
			next.Data["k"] = "w"
			return next, nil
		})
		check("update", o, err)
		if got := strings.Contains(strings.Join(warnings.Texts(), "\n"), ".metadata.managedFields was in an invalid state after admission"); got != c.warns {
			t.Errorf("%s: warned %q", c.name, warnings.Texts())
		}
		if _, _, err := s.Delete(t.Context(), &resource.Write{Namespace: "n", Name: "c"}, &metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}
