package apiserver

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// config is what client-go needs to speak to the server in a content type.
func (s *server) config(contentType string) *rest.Config {
	c := &rest.Config{Host: s.url, BearerToken: adminToken, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
	c.ContentType = contentType
	return c
}

// TestClientGoSpeaksEveryEncoding does with client-go what programs do, in each of its encodings.
func TestClientGoSpeaksEveryEncoding(t *testing.T) {
	s := start(t, t.TempDir())
	for name, contentType := range map[string]string{"json": "application/json", "protobuf": "application/vnd.kubernetes.protobuf"} {
		t.Run(name, func(t *testing.T) {
			client, err := kubernetes.NewForConfig(s.config(contentType))
			if err != nil {
				t.Fatal(err)
			}
			writes(t, client.CoreV1().ConfigMaps("kube-public"), name)
		})
	}
}

type configMapClient interface {
	Create(context.Context, *corev1.ConfigMap, metav1.CreateOptions) (*corev1.ConfigMap, error)
	Update(context.Context, *corev1.ConfigMap, metav1.UpdateOptions) (*corev1.ConfigMap, error)
	Patch(context.Context, string, types.PatchType, []byte, metav1.PatchOptions, ...string) (*corev1.ConfigMap, error)
	Apply(context.Context, *applycorev1.ConfigMapApplyConfiguration, metav1.ApplyOptions) (*corev1.ConfigMap, error)
	Delete(context.Context, string, metav1.DeleteOptions) error
	DeleteCollection(context.Context, metav1.DeleteOptions, metav1.ListOptions) error
	Get(context.Context, string, metav1.GetOptions) (*corev1.ConfigMap, error)
	List(context.Context, metav1.ListOptions) (*corev1.ConfigMapList, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}

func writes(t *testing.T, maps configMapClient, label string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	mine := metav1.ListOptions{LabelSelector: "of=" + label}
	w, err := maps.Watch(ctx, mine)
	must("watching", err)
	defer w.Stop()
	made, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "c-", Labels: map[string]string{"of": label}}}, metav1.CreateOptions{})
	must("creating", err)
	made.Data = map[string]string{"a": "1"}
	changed, err := maps.Update(ctx, made, metav1.UpdateOptions{})
	must("updating", err)
	if _, err := maps.Update(ctx, made, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("updating from an old version: %v", err)
	}
	_, err = maps.Patch(ctx, made.Name, types.StrategicMergePatchType, []byte(`{"data":{"b":"2"}}`), metav1.PatchOptions{})
	must("patching", err)
	_, err = maps.Apply(ctx, applycorev1.ConfigMap(made.Name, changed.Namespace).WithData(map[string]string{"c": "3"}), metav1.ApplyOptions{FieldManager: "tester"})
	must("applying", err)
	got, err := maps.Get(ctx, made.Name, metav1.GetOptions{})
	must("getting", err)
	if len(got.Data) != 3 {
		t.Errorf("the data is %v", got.Data)
	}
	wrong := types.UID("another")
	if err := maps.Delete(ctx, made.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &wrong}}); !apierrors.IsConflict(err) {
		t.Errorf("deleting another object of the name: %v", err)
	}
	must("deleting as a try", maps.Delete(ctx, made.Name, metav1.DeleteOptions{DryRun: []string{"All"}}))
	must("deleting a collection", maps.DeleteCollection(ctx, metav1.DeleteOptions{}, mine))
	list, err := maps.List(ctx, mine)
	must("listing", err)
	if len(list.Items) != 0 || list.ResourceVersion == "" {
		t.Errorf("left: %v", list)
	}
	for _, want := range []watch.EventType{watch.Added, watch.Modified, watch.Modified, watch.Modified, watch.Deleted} {
		select {
		case e := <-w.ResultChan():
			if m, is := e.Object.(*corev1.ConfigMap); e.Type != want || !is || m.Name != made.Name {
				t.Fatalf("event %v, want %v", e, want)
			}
		case <-ctx.Done():
			t.Fatalf("no event, want %v", want)
		}
	}
}

// TestInformersSync starts those of whole objects and of metadata, which begin with a watch that ends its first
// state with a bookmark: without it they would never be in step.
func TestInformersSync(t *testing.T) {
	s := start(t, t.TempDir())
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for _, contentType := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
		cfg := s.config(contentType)
		client, err := kubernetes.NewForConfig(cfg)
		if err != nil {
			t.Fatal(err)
		}
		whole := informers.NewSharedInformerFactory(client, 0)
		roles := whole.Rbac().V1().ClusterRoles().Informer()
		pods := whole.Core().V1().Pods().Informer() // of which there is none
		partial, err := metadata.NewForConfig(cfg)
		if err != nil {
			t.Fatal(err)
		}
		meta := metadatainformer.NewSharedInformerFactory(partial, 0)
		namespaces := meta.ForResource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).Informer()
		whole.Start(ctx.Done())
		meta.Start(ctx.Done())
		if !cache.WaitForCacheSync(ctx.Done(), roles.HasSynced, pods.HasSynced, namespaces.HasSynced) {
			t.Fatalf("the informers in %s did not come in step", contentType)
		}
		if len(roles.GetStore().List()) < 50 || len(namespaces.GetStore().List()) < 4 || len(pods.GetStore().List()) != 0 {
			t.Errorf("in %s they know %d roles, %d namespaces and %d pods", contentType, len(roles.GetStore().List()), len(namespaces.GetStore().List()), len(pods.GetStore().List()))
		}
	}
}
