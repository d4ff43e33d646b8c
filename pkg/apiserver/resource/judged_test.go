package resource_test

import (
	"context"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/storage"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// TestASpecIsJudgedOnce writes an object in several ways and looks whether its kind is told that the spec needs no
// judgement.
func TestASpecIsJudgedOnce(t *testing.T) {
	told, kept := false, false
	r := resource.Define(resource.Definition[*corev1.Node]{
		Kind: corev1.SchemeGroupVersion.WithKind("Node"), Plural: "nodes", Prefix: "nodes", ClusterScoped: true, Shares: true,
		New: func() *corev1.Node { return &corev1.Node{} }, NewList: func() runtime.Object { return &corev1.NodeList{} },
		Spec: func(n *corev1.Node) any { return &n.Spec },
		Validate: func(ctx context.Context, _, _ *corev1.Node) field.ErrorList {
			told = resource.SpecIsJudged(ctx)
			return nil
		},
		Subresources: []resource.Subresource[*corev1.Node]{resource.Status(corev1.SchemeGroupVersion.WithKind("Node"), resource.UpdatePart[*corev1.Node]{
			Prepare: func(_ context.Context, n, old *corev1.Node) {
				if kept {
					n.Spec = old.Spec
				}
			},
		})},
	})
	etcd := storage.NewMemory()
	cache := watchcache.New(watchcache.Config{Store: etcd, Root: resource.Root, Clock: clock.RealClock{}, Log: logr.Discard()})
	done := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	go func() { defer close(done); _ = cache.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	<-cache.Synced()
	g := resource.NewRegistry(etcd, cache, clock.RealClock{})
	s := g.Add(r, applyconfigurations.NewTypeConverter(scheme.Scheme))
	nodes := corev1.Resource("nodes")
	await := func(revision string) {
		t.Helper()
		for {
			_, w, err := s.Cached.WatchFromNow(watchcache.Selection{})
			if err != nil {
				t.Fatal(err)
			}
			o, err := g.Get(ctx, nodes, "", "n")
			if err == nil && o.GetResourceVersion() == revision {
				w.Close()
				return
			}
			if _, err := w.Next(ctx, nil); err != nil {
				t.Fatal(err)
			}
			w.Close()
		}
	}
	o, err := g.Create(ctx, nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name, subresource string
		kept              bool
		change            func(n *corev1.Node)
		want              bool
	}{
		{"metadata after the creation", "", false, func(n *corev1.Node) { n.Labels = map[string]string{"a": "1"} }, true},
		{"another spec", "", false, func(n *corev1.Node) { n.Spec.Unschedulable = true }, false},
		{"metadata after another spec", "", false, func(n *corev1.Node) { n.Labels = map[string]string{"a": "2"} }, false},
		{"metadata after it was judged whole", "", false, func(n *corev1.Node) { n.Labels = map[string]string{"a": "3"} }, true},
		{"the status, which keeps the spec", "status", true, func(n *corev1.Node) { n.Status.Phase = corev1.NodeRunning }, true},
		{"metadata after the status", "", false, func(n *corev1.Node) { n.Labels = map[string]string{"a": "4"} }, true},
		{"the spec by way of the status, which is not judged", "status", false, func(n *corev1.Node) { n.Spec.Unschedulable = false }, true},
		{"metadata after that", "", false, func(n *corev1.Node) { n.Labels = map[string]string{"a": "5"} }, false},
	} {
		await(o.GetResourceVersion())
		kept = step.kept
		o, err = g.Update(ctx, nodes, step.subresource, "", "n", func(o resource.Object) error {
			step.change(o.(*corev1.Node))
			return nil
		})
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if told != step.want {
			t.Errorf("%s: told that the spec is judged: %t", step.name, told)
		}
	}
	await(o.GetResourceVersion())
	e, _ := s.Cached.Get(resource.Root + "nodes/n")
	if _, err := etcd.Update(ctx, e.Key(), e.Value(), e.Revision(), 0); err != nil {
		t.Fatal(err)
	}
	live, err := g.GetLive(ctx, nodes, "", "n")
	if err != nil {
		t.Fatal(err)
	}
	await(live.GetResourceVersion())
	if _, err = g.Update(ctx, nodes, "", "", "n", func(o resource.Object) error { o.SetLabels(nil); return nil }); err != nil || told {
		t.Errorf("what another server wrote is taken for judged here: %v", err)
	}
}

// TestGenerationsCountWhatSpecsSay writes a quantity anew in other words, which says nothing new, and then another one.
func TestGenerationsCountWhatSpecsSay(t *testing.T) {
	r := resource.Define(resource.Definition[*corev1.ResourceQuota]{
		Kind: corev1.SchemeGroupVersion.WithKind("ResourceQuota"), Plural: "resourcequotas", Prefix: "resourcequotas",
		New: func() *corev1.ResourceQuota { return &corev1.ResourceQuota{} }, NewList: func() runtime.Object { return &corev1.ResourceQuotaList{} },
		Spec: func(q *corev1.ResourceQuota) any { return &q.Spec },
	})
	etcd := storage.NewMemory()
	cache := watchcache.New(watchcache.Config{Store: etcd, Root: resource.Root, Clock: clock.RealClock{}, Log: logr.Discard()})
	g := resource.NewRegistry(etcd, cache, clock.RealClock{})
	g.Add(r, applyconfigurations.NewTypeConverter(scheme.Scheme))
	quotas, revision := corev1.Resource("resourcequotas"), ""
	for _, step := range []struct {
		cpu        string
		generation int64
		written    bool
	}{{"1500m", 1, true}, {"1.5", 1, false}, {"1501m", 2, true}} {
		hard := corev1.ResourceList{"cpu": quantity.MustParse(step.cpu)}
		var o resource.Object
		var err error
		if revision == "" {
			o, err = g.Create(t.Context(), quotas, &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "q"}, Spec: corev1.ResourceQuotaSpec{Hard: hard}})
		} else {
			o, err = g.Update(t.Context(), quotas, "", "n", "q", func(o resource.Object) error {
				o.(*corev1.ResourceQuota).Spec.Hard = hard
				return nil
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		if o.GetGeneration() != step.generation || (o.GetResourceVersion() != revision) != step.written {
			t.Errorf("%s: generation %d, version %s after %s", step.cpu, o.GetGeneration(), o.GetResourceVersion(), revision)
		}
		revision = o.GetResourceVersion()
	}
}
