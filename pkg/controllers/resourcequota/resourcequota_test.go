package resourcequota

import (
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/controllertest"
	"github.com/sampan-project/sampan/pkg/quota"
)

func amounts(pairs ...string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return list
}

func limiting(hard corev1.ResourceList, scopes ...corev1.ResourceQuotaScope) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "q", ResourceVersion: "1"},
		Spec:       corev1.ResourceQuotaSpec{Hard: hard, Scopes: scopes},
	}
}

func pod(name string, cpu string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Requests: amounts("cpu", cpu)}}}},
	}
}

func configMap(name string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
	}
}

// world is a namespace with a quota, objects, and config maps of which only metadata is known.
func world(t *testing.T, objects []runtime.Object, body func(w *controllertest.World, meta *metadatafake.FakeMetadataClient), configMaps ...runtime.Object) {
	t.Helper()
	prepared(t, func(*fake.Clientset) {}, objects, body, configMaps...)
}

// prepared is a world whose client is made ready before the controller runs.
func prepared(t *testing.T, prepare func(*fake.Clientset), objects []runtime.Object, body func(w *controllertest.World, meta *metadatafake.FakeMetadataClient), configMaps ...runtime.Object) {
	t.Helper()
	var meta *metadatafake.FakeMetadataClient
	controllertest.Run(t, objects, func(env *controller.Env) (controller.Runner, error) {
		scheme := metadatafake.NewTestScheme()
		if err := metav1.AddMetaToScheme(scheme); err != nil {
			t.Fatal(err)
		}
		meta = metadatafake.NewSimpleMetadataClient(scheme, configMaps...)
		env.Metadata = meta
		verbs := metav1.Verbs{"create", "delete", "list", "watch"}
		env.Client.(*fake.Clientset).Resources = []*metav1.APIResourceList{{
			GroupVersion: "v1", APIResources: []metav1.APIResource{{Name: "configmaps", Namespaced: true, Kind: "ConfigMap", Verbs: verbs}},
		}}
		prepare(env.Client.(*fake.Clientset))
		return New(env, 2, 5*time.Minute)
	}, func(w *controllertest.World) { body(w, meta) })
}

func expect(w *controllertest.World, want corev1.ResourceList) {
	w.T.Helper()
	q, err := w.Client.CoreV1().ResourceQuotas("shop").Get(w.Ctx, "q", metav1.GetOptions{})
	if err != nil {
		w.T.Fatal(err)
	}
	if !quota.Equal(q.Status.Used, want) {
		w.T.Errorf("used: %s, want %s", quota.Show(q.Status.Used), quota.Show(want))
	}
	if !quota.Equal(q.Status.Hard, q.Spec.Hard) {
		w.T.Errorf("hard: %s, want %s", quota.Show(q.Status.Hard), quota.Show(q.Spec.Hard))
	}
}

func TestCountsWhatIsThere(t *testing.T) {
	ended := pod("c", "4")
	ended.Status.Phase = corev1.PodSucceeded
	elsewhere := pod("d", "8")
	elsewhere.Namespace = "other"
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "s"}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{}}}}
	hard := amounts("pods", "9", "count/pods", "9", "requests.cpu", "9", "services.nodeports", "9", "configmaps", "9", "count/nothing.example.com", "1")
	world(t, []runtime.Object{limiting(hard), pod("a", "1"), pod("b", "2"), ended, elsewhere, service}, func(w *controllertest.World, _ *metadatafake.FakeMetadataClient) {
		w.Settle()
		expect(w, amounts("pods", "2", "count/pods", "3", "requests.cpu", "3", "services.nodeports", "1", "configmaps", "2"))
	}, configMap("x"), configMap("y"))
}

func TestScopesPickWhatIsCounted(t *testing.T) {
	bestEffort := pod("b", "0")
	bestEffort.Spec.Containers[0].Resources = corev1.ResourceRequirements{}
	world(t, []runtime.Object{limiting(amounts("pods", "9"), corev1.ResourceQuotaScopeBestEffort), pod("a", "1"), bestEffort}, func(w *controllertest.World, _ *metadatafake.FakeMetadataClient) {
		expect(w, amounts("pods", "1"))
	})
}

func TestWhatGoesIsGivenBack(t *testing.T) {
	world(t, []runtime.Object{limiting(amounts("pods", "9", "requests.cpu", "9")), pod("a", "1"), pod("b", "2")}, func(w *controllertest.World, _ *metadatafake.FakeMetadataClient) {
		w.Settle()
		if err := w.Client.CoreV1().Pods("shop").Delete(w.Ctx, "a", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.Settle()
		expect(w, amounts("pods", "1", "requests.cpu", "2"))
		ended := pod("b", "2")
		ended.Status.Phase = corev1.PodFailed
		if _, err := w.Client.CoreV1().Pods("shop").UpdateStatus(w.Ctx, ended, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.Settle()
		expect(w, amounts("pods", "0", "requests.cpu", "0"))
	})
}

func TestCountedObjectsThatGoAreGivenBack(t *testing.T) {
	world(t, []runtime.Object{limiting(amounts("count/configmaps", "9"))}, func(w *controllertest.World, meta *metadatafake.FakeMetadataClient) {
		w.Settle()
		expect(w, amounts("count/configmaps", "2"))
		if err := meta.Resource(corev1.SchemeGroupVersion.WithResource("configmaps")).Namespace("shop").Delete(w.Ctx, "x", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.Pass(3 * time.Second)
		expect(w, amounts("count/configmaps", "1"))
	}, configMap("x"), configMap("y"))
}

// TestAChargeIsNotTakenBackAtOnce: admission charges before the object is stored; a count made between the two
// would give the remainder to another.
func TestAChargeIsNotTakenBackAtOnce(t *testing.T) {
	world(t, []runtime.Object{limiting(amounts("pods", "9")), pod("a", "1")}, func(w *controllertest.World, _ *metadatafake.FakeMetadataClient) {
		w.Pass(3 * time.Second)
		q, err := w.Client.CoreV1().ResourceQuotas("shop").Get(w.Ctx, "q", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		q.Status.Used = amounts("pods", "2")
		if _, err := w.Client.CoreV1().ResourceQuotas("shop").UpdateStatus(w.Ctx, q, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.Pass(time.Millisecond) // a write from before it would be refused by its version, which the fake does not look at
		if err := w.Client.CoreV1().Pods("shop").Delete(w.Ctx, "a", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.Pass(calm / 2)
		expect(w, amounts("pods", "2"))
		w.Pass(calm)
		expect(w, amounts("pods", "0"))
	})
}

func TestANewLimitIsTakenOver(t *testing.T) {
	world(t, []runtime.Object{limiting(amounts("pods", "9")), pod("a", "1")}, func(w *controllertest.World, _ *metadatafake.FakeMetadataClient) {
		q, err := w.Client.CoreV1().ResourceQuotas("shop").Get(w.Ctx, "q", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		q.Spec.Hard = amounts("requests.cpu", "3")
		if _, err := w.Client.CoreV1().ResourceQuotas("shop").Update(w.Ctx, q, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.Settle()
		expect(w, amounts("requests.cpu", "1"))
	})
}

func TestAChargeForAWriteThatFailedIsTakenBack(t *testing.T) {
	world(t, []runtime.Object{limiting(amounts("pods", "9")), pod("a", "1")}, func(w *controllertest.World, _ *metadatafake.FakeMetadataClient) {
		w.Settle()
		q, err := w.Client.CoreV1().ResourceQuotas("shop").Get(w.Ctx, "q", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		q.Status.Used = amounts("pods", "5")
		if _, err := w.Client.CoreV1().ResourceQuotas("shop").UpdateStatus(w.Ctx, q, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.Pass(recount + time.Second)
		expect(w, amounts("pods", "1"))
	})
}

// TestAResourceThatComesLaterIsCounted: a quota may name custom resources before they are defined.
func TestAResourceThatComesLaterIsCounted(t *testing.T) {
	var defined atomic.Bool
	define := func(client *fake.Clientset) {
		client.PrependReactor("get", "resource", func(clienttesting.Action) (bool, runtime.Object, error) {
			if defined.CompareAndSwap(true, false) {
				client.Resources = append(client.Resources, &metav1.APIResourceList{GroupVersion: "example.com/v1", APIResources: []metav1.APIResource{
					{Name: "widgets", Namespaced: true, Kind: "Widget", Verbs: metav1.Verbs{"list", "watch"}},
				}})
			}
			return false, nil, nil
		})
	}
	prepared(t, define, []runtime.Object{limiting(amounts("pods", "9", "count/widgets.example.com", "2")), pod("a", "1")}, func(w *controllertest.World, meta *metadatafake.FakeMetadataClient) {
		expect(w, amounts("pods", "1"))
		defined.Store(true)
		w.Pass(2*rediscover + time.Second)
		expect(w, amounts("pods", "1", "count/widgets.example.com", "1"))
	}, &metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{APIVersion: "example.com/v1", Kind: "Widget"}, ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "w"},
	})
}
