package node

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

func kubelet(node string) *request.User {
	return &request.User{Name: "system:node:" + node, Groups: []string{Group}}
}

func start(t *testing.T) (*resourcetest.Access, *Authorizer) {
	a := resourcetest.New()
	g, synced, err := NewGraph(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	<-synced
	return a, New(g, nil)
}

func may(t *testing.T, a *Authorizer, node, verb string, r schema.GroupResource, namespace, name string) bool {
	t.Helper()
	d, reason, err := a.Authorize(context.Background(), kubelet(node),
		&request.Info{IsResource: true, Verb: verb, Group: r.Group, Resource: r.Resource, Namespace: namespace, Name: name})
	if err != nil {
		t.Fatal(err)
	}
	if d == authz.Allow && reason != "" || d != authz.Allow && reason == "" {
		t.Errorf("%v with reason %q", d, reason)
	}
	return d == authz.Allow
}

func create(t *testing.T, a *resourcetest.Access, r schema.GroupResource, o resource.Object) {
	t.Helper()
	if _, err := a.Create(context.Background(), r, o); err != nil {
		t.Fatal(err)
	}
}

func pod(name, node string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name}, Spec: corev1.PodSpec{
		NodeName: node, ServiceAccountName: "sa",
		InitContainers: []corev1.Container{{EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}}}}},
		Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}},
			{Name: "m", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "m"}}}}}}}
}

func TestPodOpensWhatItNamesToItsNodeUntilItIsGone(t *testing.T) {
	a, z := start(t)
	create(t, a, pods, pod("p", "here"))
	create(t, a, pods, pod("q", "here"))
	create(t, a, volumes, &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv"}, Spec: corev1.PersistentVolumeSpec{
		ClaimRef: &corev1.ObjectReference{Namespace: "n", Name: "c"},
		PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
			NodeStageSecretRef: &corev1.SecretReference{Namespace: "n", Name: "stage"}}}}})
	type thing struct {
		verb string
		r    schema.GroupResource
		ns   string
		name string
	}
	things := []thing{{"get", secrets, "n", "s"}, {"watch", configMaps, "n", "m"}, {"get", claims, "n", "c"},
		{"get", volumes, "", "pv"}, {"get", secrets, "n", "stage"}, {"get", serviceAccount, "n", "sa"}}
	check := func(when string, want bool) {
		t.Helper()
		for _, x := range things {
			if got := may(t, z, "here", x.verb, x.r, x.ns, x.name); got != want {
				t.Errorf("%s: %+v: %v", when, x, got)
			}
			if may(t, z, "elsewhere", x.verb, x.r, x.ns, x.name) {
				t.Errorf("%s: another node may %+v", when, x)
			}
			if may(t, z, "here", x.verb, x.r, "other", x.name) && x.r != volumes {
				t.Errorf("%s: in another namespace: %+v", when, x)
			}
		}
	}
	check("two pods", true)
	if may(t, z, "here", "delete", secrets, "n", "s") || may(t, z, "here", "list", secrets, "n", "") {
		t.Error("more than reading one object")
	}
	if err := a.Delete(context.Background(), pods, "n", "p", nil); err != nil {
		t.Fatal(err)
	}
	check("one of two pods gone", true)
	if err := a.Delete(context.Background(), pods, "n", "q", nil); err != nil {
		t.Fatal(err)
	}
	check("both pods gone", false)
	if p := z.graph.pods; len(p.pods) != 0 || len(p.nodes) != 0 || len(p.known) != 0 {
		t.Errorf("left behind: %+v", p)
	}
}

func TestPodThatChangesOpensWhatItNamesNow(t *testing.T) {
	g := newGraph()
	for range 2 {
		g.see(pod("p", "here"), nil)
	}
	g.see(pod("q", "here"), nil)
	other := pod("p", "here")
	other.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "late"}}}}}}}
	g.see(other, nil)
	if !g.Related("here", secrets, "n", "late") || !g.Related("here", secrets, "n", "s") {
		t.Error("what an ephemeral container needs, or what was needed before, is not related")
	}
	g.see(nil, pod("q", ""))
	g.see(pod("p", "there"), nil)
	if g.Related("here", secrets, "n", "s") || g.Related("here", secrets, "n", "late") || g.Related("here", pods, "n", "p") {
		t.Error("the node still needs what no pod of it names")
	}
	if !g.Related("there", secrets, "n", "s") || g.Related("there", secrets, "n", "late") || !g.Related("there", pods, "n", "p") {
		t.Error("the pod is not related to the node that it moved to")
	}
	g.see(pod("p", ""), nil)
	if p := g.pods; len(p.pods) != 0 || len(p.nodes) != 0 || len(p.known) != 0 {
		t.Errorf("left behind: %+v", p)
	}
}

func TestMirrorPodOpensNothing(t *testing.T) {
	a, z := start(t)
	p := pod("p", "here")
	p.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	create(t, a, pods, p)
	if may(t, z, "here", "get", secrets, "n", "s") {
		t.Error("a mirror pod opened a secret")
	}
	if !may(t, z, "here", "get", pods, "n", "p") {
		t.Error("the node cannot read its mirror pod")
	}
}

func TestNodeListsOnlyItsOwnPodsAndItself(t *testing.T) {
	_, z := start(t)
	ask := func(info request.Info) (authz.Decision, string) {
		info.IsResource = true
		d, reason, err := z.Authorize(context.Background(), kubelet("here"), &info)
		if err != nil {
			t.Fatal(err)
		}
		return d, reason
	}
	if d, _ := ask(request.Info{Verb: "watch", Resource: "pods", FieldSelector: "spec.nodeName=here"}); d != authz.Allow {
		t.Error("its own pods refused")
	}
	for _, selector := range []string{"", "spec.nodeName=other", "spec.nodeName!=here", "status.phase=Running"} {
		if d, reason := ask(request.Info{Verb: "list", Resource: "pods", FieldSelector: selector}); d == authz.Allow || reason == "" {
			t.Errorf("pods by %q: %v %q", selector, d, reason)
		}
	}
	slices := request.Info{Verb: "list", Group: "resource.k8s.io", Resource: "resourceslices"}
	for selector, want := range map[string]authz.Decision{"spec.nodeName=here": authz.Allow, "spec.nodeName=other": authz.NoOpinion, "nodeName=here": authz.NoOpinion} {
		slices.FieldSelector = selector
		if d, _ := ask(slices); d != want {
			t.Errorf("slices by %q: %v", selector, d)
		}
	}
	if d, _ := ask(request.Info{Verb: "list", Resource: "nodes", Name: "here"}); d != authz.Allow {
		t.Error("its own node refused")
	}
	if d, reason := ask(request.Info{Verb: "list", Resource: "nodes"}); d == authz.Allow || reason != "node 'here' cannot read all nodes, only its own Node object" {
		t.Errorf("all nodes: %v %q", d, reason)
	}
}

func TestOnlyMembersOfTheGroupAreNodes(t *testing.T) {
	_, z := start(t)
	d, _, _ := z.Authorize(context.Background(), &request.User{Name: "system:node:here"}, &request.Info{IsResource: true, Verb: "get", Resource: "nodes", Name: "here"})
	if d != authz.NoOpinion {
		t.Errorf("without the group: %v", d)
	}
}
