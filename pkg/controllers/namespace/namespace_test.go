package namespace

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/controllertest"
)

func content(version, kind, name string, finalizers ...string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: version, Kind: kind},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Finalizers: finalizers},
	}
}

// world is a namespace that is on its way out, and its content. prepare is called before the controller runs.
func world(t *testing.T, prepare func(meta *metadatafake.FakeMetadataClient), body func(w *controllertest.World, meta *metadatafake.FakeMetadataClient), objects ...runtime.Object) {
	t.Helper()
	var meta *metadatafake.FakeMetadataClient
	deleted := metav1.NewTime(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
	ns := &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", DeletionTimestamp: &deleted, ResourceVersion: "1"},
		Spec:       corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}},
		Status:     corev1.NamespaceStatus{Phase: corev1.NamespaceTerminating},
	}
	controllertest.Run(t, []runtime.Object{ns}, func(env *controller.Env) (controller.Runner, error) {
		scheme := metadatafake.NewTestScheme()
		if err := metav1.AddMetaToScheme(scheme); err != nil {
			t.Fatal(err)
		}
		meta = metadatafake.NewSimpleMetadataClient(scheme, objects...)
		env.Metadata = meta
		prepare(meta)
		verbs := metav1.Verbs{"create", "delete", "deletecollection", "list", "watch"}
		env.Client.(*fake.Clientset).Resources = []*metav1.APIResourceList{
			{GroupVersion: "v1", APIResources: []metav1.APIResource{
				{Name: "configmaps", Namespaced: true, Kind: "ConfigMap", Verbs: verbs}, {Name: "pods", Namespaced: true, Kind: "Pod", Verbs: verbs},
			}},
			{GroupVersion: "networking.k8s.io/v1", APIResources: []metav1.APIResource{{Name: "networkpolicies", Namespaced: true, Kind: "NetworkPolicy", Verbs: verbs}}},
		}
		return New(env, 1)
	}, func(w *controllertest.World) { body(w, meta) })
}

// left are the names of what a resource still has.
func left(w *controllertest.World, meta *metadatafake.FakeMetadataClient, r schema.GroupVersionResource) []string {
	w.T.Helper()
	list, err := meta.Resource(r).Namespace("shop").List(w.Ctx, metav1.ListOptions{})
	if err != nil {
		w.T.Fatal(err)
	}
	var names []string
	for _, o := range list.Items {
		names = append(names, o.Name)
	}
	return names
}

var (
	podsGVR     = corev1.SchemeGroupVersion.WithResource("pods")
	policiesGVR = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"}
)

// CVE-2024-7598: as long as a pod runs, the policies that bound it stand.
func TestNetworkPoliciesOutlivePods(t *testing.T) {
	var asked []string
	slowly := func(meta *metadatafake.FakeMetadataClient) {
		meta.PrependReactor("delete-collection", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
			asked = append(asked, a.GetResource().Resource)
			return true, nil, nil // the pod takes its time
		})
	}
	world(t, slowly, func(w *controllertest.World, meta *metadatafake.FakeMetadataClient) {
		w.Pass(30 * time.Second)
		if p := left(w, meta, policiesGVR); !slices.Equal(p, []string{"deny"}) {
			t.Errorf("policies beside a running pod: %v", p)
		}
		ns, err := w.Client.CoreV1().Namespaces().Get(w.Ctx, "shop", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := condition(ns, corev1.NamespaceContentRemaining); got != "True SomeResourcesRemain Some resources are remaining: pods. has 1 resource instances" {
			t.Error(got)
		}
		if got := condition(ns, corev1.NamespaceFinalizersRemaining); got != "True SomeFinalizersRemain Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances" {
			t.Error(got)
		}
		if slices.Contains(asked, "networkpolicies") || !slices.Contains(asked, "pods") {
			t.Errorf("deleted beside a running pod: %v", asked)
		}
		if err := meta.Resource(podsGVR).Namespace("shop").Delete(w.Ctx, "p", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.Pass(30 * time.Second)
		if !slices.Contains(asked, "networkpolicies") {
			t.Errorf("deleted when the pod was gone: %v", asked)
		}
	}, content("v1", "Pod", "p", "example.com/hold"), content("networking.k8s.io/v1", "NetworkPolicy", "deny"))
}

func condition(ns *corev1.Namespace, kind corev1.NamespaceConditionType) string {
	for _, c := range ns.Status.Conditions {
		if c.Type == kind {
			return strings.Join([]string{string(c.Status), c.Reason, c.Message}, " ")
		}
	}
	return "none"
}

func TestConditionsTellWhatIsInTheWay(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	status := &corev1.NamespaceStatus{}
	if !conditions(status, nil, nil, remains{}, now) {
		t.Error("the first look changed nothing")
	}
	for _, c := range status.Conditions {
		if c.Status != corev1.ConditionFalse {
			t.Errorf("%s of an empty namespace: %s", c.Type, c.Status)
		}
	}
	if conditions(status, nil, nil, remains{}, now.Add(time.Hour)) {
		t.Error("the same again is a change")
	}
	found := remains{
		failures:  []error{apierrors.NewInternalError(errors.New("b")), errors.New("a")},
		left:      map[schema.GroupResource]int{{Resource: "pods"}: 2, {Group: "apps", Resource: "deployments"}: 1},
		finalizer: map[string]int{"y": 1, "x": 2},
	}
	silent := &discovery.ErrGroupDiscoveryFailed{Groups: map[schema.GroupVersion]error{{Group: "g", Version: "v1"}: errors.New("no answer")}}
	if !conditions(status, silent, errors.New("odd"), found, now.Add(time.Minute)) {
		t.Error("new trouble is no change")
	}
	ns := &corev1.Namespace{Status: *status}
	for kind, want := range map[corev1.NamespaceConditionType]string{
		corev1.NamespaceDeletionDiscoveryFailure: "True DiscoveryFailed Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: g/v1: no answer",
		corev1.NamespaceDeletionGVParsingFailure: "True GroupVersionParsingFailed odd",
		corev1.NamespaceDeletionContentFailure:   "True ContentDeletionFailed Failed to delete all resource types, 2 remaining: Internal error occurred: b, a",
		corev1.NamespaceContentRemaining:         "True SomeResourcesRemain Some resources are remaining: deployments.apps has 1 resource instances, pods. has 2 resource instances",
		corev1.NamespaceFinalizersRemaining:      "True SomeFinalizersRemain Some content in the namespace has finalizers remaining: x in 2 resource instances, y in 1 resource instances",
	} {
		if got := condition(ns, kind); got != want {
			t.Errorf("%s:\n got %s\nwant %s", kind, got, want)
		}
	}
	for _, c := range status.Conditions {
		if !c.LastTransitionTime.Time.Equal(now.Add(time.Minute)) {
			t.Errorf("%s turned at %s", c.Type, c.LastTransitionTime)
		}
	}
}
