package resource_test

import (
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/storage"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// TestResourcesAreFoundByTheirKindsInLowerCase: as by what clients make of discovery, and kube-apiserver too.
func TestResourcesAreFoundByTheirKindsInLowerCase(t *testing.T) {
	etcd := storage.NewMemory()
	cache := watchcache.New(watchcache.Config{Store: etcd, Root: resource.Root, Clock: clock.RealClock{}, Log: logr.Discard()})
	g := resource.NewRegistry(etcd, cache, clock.RealClock{})
	g.Add(resource.Define(resource.Definition[*corev1.ConfigMap]{
		Kind: corev1.SchemeGroupVersion.WithKind("ConfigMap"), Plural: "configmaps",
	}), applyconfigurations.NewTypeConverter(scheme.Scheme))
	for kind, want := range map[schema.GroupVersionKind]string{
		{Version: "v1", Kind: "ConfigMap"}:             "configmaps",
		{Version: "v1", Kind: "configmap"}:             "configmaps",
		{Version: "v1", Kind: "configMap"}:             "",
		{Version: "v1", Kind: "configmaps"}:            "",
		{Version: "v2", Kind: "configmap"}:             "",
		{Group: "g", Version: "v1", Kind: "configmap"}: "",
	} {
		r, namespaced, found := g.ResourceOf(kind)
		if r.Resource != want || found != (want != "") || namespaced != found {
			t.Errorf("%v: %v %v %v", kind, r, namespaced, found)
		}
	}
}
