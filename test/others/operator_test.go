package others

import (
	"context"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	siteLabel = "sampan.test/site"
	finalizer = "sampan.test/external"
	pages     = "sampan.test/pages"
)

// sites is a small operator in the usual manner: each ConfigMap with a label is a site, for which it keeps a
// Deployment that the ConfigMap owns, a Secret that it owns not and that a finalizer removes, and an event.
type sites struct {
	client.Client
	events events.EventRecorder
}

func (s *sites) Reconcile(ctx context.Context, r ctrl.Request) (ctrl.Result, error) {
	site := &corev1.ConfigMap{}
	if err := s.Get(ctx, r.NamespacedName, site); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	outside := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "outside-" + site.Name}}
	if !site.DeletionTimestamp.IsZero() {
		if err := s.Delete(ctx, outside); client.IgnoreNotFound(err) != nil {
			return ctrl.Result{}, err
		}
		before := site.DeepCopy()
		controllerutil.RemoveFinalizer(site, finalizer)
		return ctrl.Result{}, client.IgnoreNotFound(s.Patch(ctx, site, client.MergeFrom(before)))
	}
	if controllerutil.AddFinalizer(site, finalizer) {
		return ctrl.Result{}, s.Update(ctx, site)
	}
	secret := applycorev1.Secret(outside.Name, outside.Namespace).WithStringData(map[string]string{"page": site.Data["page"]})
	if err := s.Apply(ctx, secret, client.FieldOwner("sites"), client.ForceOwnership); err != nil {
		return ctrl.Result{}, err
	}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: site.Namespace, Name: site.Name}}
	result, err := controllerutil.CreateOrUpdate(ctx, s.Client, d, func() error {
		of := map[string]string{siteLabel: site.Name}
		d.Spec.Selector = &metav1.LabelSelector{MatchLabels: of}
		d.Spec.Template.Labels = of
		d.Spec.Template.Annotations = map[string]string{pages: site.Data["page"]}
		if len(d.Spec.Template.Spec.Containers) == 0 {
			d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "web", Image: "registry.example/web:1"}}
		}
		return controllerutil.SetControllerReference(site, d, s.Scheme())
	})
	if err == nil && result == controllerutil.OperationResultCreated {
		s.events.Eventf(site, d, corev1.EventTypeNormal, "Created", "Create", "Made the deployment %s", d.Name)
	}
	return ctrl.Result{}, err
}

// run starts the operator with a leader election, a cache that holds sites alone, and a watch of the metadata
// of Deployments.
func (s *sites) run(t *testing.T, env *envtest.Environment) {
	only, err := labels.Parse(siteLabel)
	if err != nil {
		t.Fatal(err)
	}
	manager, err := ctrl.NewManager(env.Config, ctrl.Options{
		Metrics:        metricsserver.Options{BindAddress: "0"},
		LeaderElection: true, LeaderElectionID: "sites", LeaderElectionNamespace: "default", LeaderElectionReleaseOnCancel: true,
		Cache: cache.Options{ByObject: map[client.Object]cache.ByObject{&corev1.ConfigMap{}: {Label: only}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Client, s.events = manager.GetClient(), manager.GetEventRecorder("sites")
	byPage := func(o client.Object) []string { return []string{o.(*corev1.ConfigMap).Data["page"]} }
	if err := manager.GetFieldIndexer().IndexField(t.Context(), &corev1.ConfigMap{}, "page", byPage); err != nil {
		t.Fatal(err)
	}
	if err := ctrl.NewControllerManagedBy(manager).For(&corev1.ConfigMap{}).Owns(&appsv1.Deployment{}).Complete(s); err != nil {
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
}

func TestOperatorWithFinalizers(t *testing.T) {
	env := start(t, &envtest.Environment{})
	s := &sites{}
	s.run(t, env)
	c, err := client.New(env.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const count = 20
	for i := range count {
		site := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("site-%d", i), Labels: map[string]string{siteLabel: ""}},
			Data:       map[string]string{"page": "first"},
		}
		if err := c.Create(t.Context(), site); err != nil {
			t.Fatal(err)
		}
	}
	show := func(page string) func(context.Context) error {
		return func(ctx context.Context) error {
			var found appsv1.DeploymentList
			if err := c.List(ctx, &found, client.InNamespace("default")); err != nil {
				return err
			}
			shown := 0
			for _, d := range found.Items {
				if d.Spec.Template.Annotations[pages] == page && metav1.GetControllerOf(&d) != nil {
					shown++
				}
			}
			if shown != count {
				return fmt.Errorf("%d of %d deployments show the page %q", shown, count, page)
			}
			return nil
		}
	}
	eventually(t, "each site gets a deployment", show("first"))
	for i := range count {
		site := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("site-%d", i)}}
		if err := c.Patch(t.Context(), site, client.RawPatch("application/merge-patch+json", []byte(`{"data":{"page":"second"}}`))); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "each deployment follows its site", show("second"))
	eventually(t, "the operator's cache is indexed", func(ctx context.Context) error {
		var list corev1.ConfigMapList
		if err := s.List(ctx, &list, client.MatchingFields{"page": "second"}); err != nil || len(list.Items) != count {
			return fmt.Errorf("it finds %d of %d sites, %w", len(list.Items), count, err)
		}
		return nil
	})
	eventually(t, "there is an event for each site", func(ctx context.Context) error {
		var list corev1.EventList
		err := c.List(ctx, &list, client.MatchingFields{"reason": "Created", "involvedObject.kind": "ConfigMap"})
		if err == nil && len(list.Items) != count {
			err = fmt.Errorf("there are %d", len(list.Items))
		}
		return err
	})
	removed(t, c, count)
}

// removed deletes all sites at once: their finalizers must have been carried out before they go.
func removed(t *testing.T, c client.Client, count int) {
	t.Helper()
	var secrets corev1.SecretList
	if err := c.List(t.Context(), &secrets); err != nil || len(secrets.Items) != count {
		t.Fatalf("there are %d of %d secrets, %v", len(secrets.Items), count, err)
	}
	if err := c.DeleteAllOf(t.Context(), &corev1.ConfigMap{}, client.InNamespace("default"), client.HasLabels{siteLabel}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "each site goes when its finalizer has been carried out", func(ctx context.Context) error {
		meta := &metav1.PartialObjectMetadataList{}
		meta.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMapList"))
		if err := c.List(ctx, meta, client.HasLabels{siteLabel}); err != nil || len(meta.Items) > 0 {
			return fmt.Errorf("%d are left, %w", len(meta.Items), err)
		}
		return nil
	})
	if err := c.List(t.Context(), &secrets); err != nil || len(secrets.Items) != 0 {
		t.Errorf("%d secrets are left, %v", len(secrets.Items), err)
	}
	err := c.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "site-0"}, &corev1.ConfigMap{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("a site that is gone: %v", err)
	}
}
