package others

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

var boatKind = schema.GroupVersionKind{Group: "sampan.test", Version: "v1", Kind: "Boat"}

func boat(name string, spec map[string]any) *unstructured.Unstructured {
	b := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	b.SetGroupVersionKind(boatKind)
	b.SetNamespace("default")
	b.SetName(name)
	return b
}

// harbour is an operator for a kind of its own: it says in each boat's status that it floats, and lets none go
// before it has heard of it.
type harbour struct{ client.Client }

func (h *harbour) Reconcile(ctx context.Context, r ctrl.Request) (ctrl.Result, error) {
	b := boat(r.Name, nil)
	if err := h.Get(ctx, r.NamespacedName, b); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if b.GetDeletionTimestamp() != nil {
		controllerutil.RemoveFinalizer(b, finalizer)
		return ctrl.Result{}, client.IgnoreNotFound(h.Update(ctx, b))
	}
	if controllerutil.AddFinalizer(b, finalizer) {
		return ctrl.Result{}, h.Update(ctx, b)
	}
	if seen, _, _ := unstructured.NestedInt64(b.Object, "status", "observedGeneration"); seen == b.GetGeneration() {
		return ctrl.Result{}, nil
	}
	b.Object["status"] = map[string]any{"observedGeneration": b.GetGeneration(), "floats": true}
	return ctrl.Result{}, h.Status().Update(ctx, b)
}

// flagged gives every boat a flag, and unlucky refuses some.
func flagged(_ context.Context, r admission.Request) admission.Response {
	var b map[string]any
	if err := json.Unmarshal(r.Object.Raw, &b); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if _, has, _ := unstructured.NestedString(b, "spec", "flag"); !has {
		if err := unstructured.SetNestedField(b, "white", "spec", "flag"); err != nil {
			return admission.Errored(http.StatusBadRequest, err)
		}
	}
	changed, err := json.Marshal(b)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	return admission.PatchResponseFromRaw(r.Object.Raw, changed)
}

func unlucky(_ context.Context, r admission.Request) admission.Response {
	if r.Name == "titanic" {
		return admission.Denied("there is one already").WithWarnings("look out for ice")
	}
	return admission.Allowed("")
}

// hooks are the configurations of the two webhooks; envtest says where they are served.
func hooks() envtest.WebhookInstallOptions {
	none, fail := admissionv1.SideEffectClassNone, admissionv1.Fail
	path := func(p string) admissionv1.WebhookClientConfig {
		return admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: "default", Name: "harbour", Path: &p}}
	}
	rules := []admissionv1.RuleWithOperations{{
		Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
		Rule:       admissionv1.Rule{APIGroups: []string{"sampan.test"}, APIVersions: []string{"v1"}, Resources: []string{"boats"}},
	}}
	return envtest.WebhookInstallOptions{
		MutatingWebhooks: []*admissionv1.MutatingWebhookConfiguration{{
			ObjectMeta: metav1.ObjectMeta{Name: "flagged"},
			Webhooks: []admissionv1.MutatingWebhook{{
				Name: "flagged.sampan.test", ClientConfig: path("/flagged"), Rules: rules, SideEffects: &none, FailurePolicy: &fail, AdmissionReviewVersions: []string{"v1"},
			}},
		}},
		ValidatingWebhooks: []*admissionv1.ValidatingWebhookConfiguration{{
			ObjectMeta: metav1.ObjectMeta{Name: "unlucky"},
			Webhooks: []admissionv1.ValidatingWebhook{{
				Name: "unlucky.sampan.test", ClientConfig: path("/unlucky"), Rules: rules, SideEffects: &none, FailurePolicy: &fail, AdmissionReviewVersions: []string{"v1"},
			}},
		}},
	}
}

func (h *harbour) run(t *testing.T, env *envtest.Environment) {
	served := env.WebhookInstallOptions
	manager, err := ctrl.NewManager(env.Config, ctrl.Options{
		Metrics:       metricsserver.Options{BindAddress: "0"},
		WebhookServer: webhook.NewServer(webhook.Options{Host: served.LocalServingHost, Port: served.LocalServingPort, CertDir: served.LocalServingCertDir}),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := manager.GetWebhookServer() // which has the manager run it
	server.Register("/flagged", &webhook.Admission{Handler: admission.HandlerFunc(flagged)})
	server.Register("/unlucky", &webhook.Admission{Handler: admission.HandlerFunc(unlucky)})
	h.Client = manager.GetClient()
	if err := ctrl.NewControllerManagedBy(manager).For(boat("", nil)).Complete(h); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the operator ended with: %v", err)
		}
	})
	check := server.StartedChecker()
	eventually(t, "the webhooks are served", func(context.Context) error { return check(nil) })
}

func TestOperatorOfItsOwnKindWithWebhooks(t *testing.T) {
	env := start(t, &envtest.Environment{
		CRDDirectoryPaths: []string{filepath.Join("testdata", "boats")}, ErrorIfCRDPathMissing: true, WebhookInstallOptions: hooks(),
	})
	(&harbour{}).run(t, env)
	c, err := client.New(env.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, refused := range map[string]struct {
		boat *unstructured.Unstructured
		want string
	}{
		"by its schema":    {boat("none", map[string]any{"length": int64(0)}), "spec.length"},
		"by its rule":      {boat("none", map[string]any{"length": int64(9), "berth": int64(8)}), "a berth is at least as long as its boat"},
		"by the webhook":   {boat("titanic", map[string]any{"length": int64(269)}), "there is one already"},
		"without its spec": {boat("none", nil), "spec"},
	} {
		if err := c.Create(t.Context(), refused.boat); err == nil || !strings.Contains(err.Error(), refused.want) {
			t.Errorf("a boat that is refused %s: %v, want %q", name, err, refused.want)
		}
	}
	b := boat("sampan", map[string]any{"length": int64(4)})
	if err := c.Create(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	flag, _, _ := unstructured.NestedString(b.Object, "spec", "flag")
	oars, _, _ := unstructured.NestedInt64(b.Object, "spec", "oars")
	if flag != "white" || oars != 2 {
		t.Errorf("flag %q of the webhook and %d oars of the schema, want white and 2", flag, oars)
	}
	for generation := int64(1); generation <= 2; generation++ {
		eventually(t, fmt.Sprintf("the status is of generation %d", generation), func(ctx context.Context) error {
			if err := c.Get(ctx, client.ObjectKeyFromObject(b), b); err != nil {
				return err
			}
			if seen, _, _ := unstructured.NestedInt64(b.Object, "status", "observedGeneration"); seen != generation || b.GetGeneration() != generation {
				return fmt.Errorf("it is of %d, and the boat of %d", seen, b.GetGeneration())
			}
			return nil
		})
		if generation == 1 {
			if err := c.Patch(t.Context(), b.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"length":5}}`))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Delete(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the boat goes when its finalizer has been carried out", func(ctx context.Context) error {
		switch err := c.Get(ctx, client.ObjectKeyFromObject(b), b); {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return err
		}
		return errors.New("it is there")
	})
}
