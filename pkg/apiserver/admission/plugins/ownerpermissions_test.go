package plugins

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/policy"
	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// rights are all that is allowed: "verb group/version/resource/subresource namespace name". Of what is not, an error is told.
type rights []string

func (r rights) Authorize(_ context.Context, _ *request.User, i *request.Info) (authz.Decision, string, error) {
	asked := fmt.Sprintf("%s %s/%s/%s/%s %s %s", i.Verb, i.Group, i.Version, i.Resource, i.Subresource, i.Namespace, i.Name)
	if slices.Contains(r, asked) {
		return authz.Allow, "", nil
	}
	if i.Resource == "*" {
		return authz.NoOpinion, "", nil
	}
	return authz.NoOpinion, asked, errors.New("no right")
}

// servedKinds are ReplicaSets of apps/v1, in namespaces, and Nodes of v1.
type servedKinds struct{ policy.Kinds }

func (servedKinds) ResourceOf(kind schema.GroupVersionKind) (r schema.GroupResource, namespaced, found bool) {
	switch kind {
	case appsv1.SchemeGroupVersion.WithKind("ReplicaSet"):
		return schema.GroupResource{Group: "apps", Resource: "replicasets"}, true, true
	case corev1.SchemeGroupVersion.WithKind("Node"):
		return nodes, false, true
	}
	return schema.GroupResource{}, false, false
}

func TestOwnersAreSetByWhoMayDeleteAndFinalize(t *testing.T) {
	ref := func(version, kind, name string, block *bool) metav1.OwnerReference {
		return metav1.OwnerReference{APIVersion: version, Kind: kind, Name: name, UID: types.UID("uid-" + name), BlockOwnerDeletion: block}
	}
	set := func(name string, block *bool) metav1.OwnerReference { return ref("apps/v1", "ReplicaSet", name, block) }
	pod := func(refs ...metav1.OwnerReference) runtime.Object {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p", OwnerReferences: refs}}
	}
	custom := func(refs ...metav1.OwnerReference) runtime.Object {
		u := &unstructured.Unstructured{Object: map[string]any{}}
		u.SetName("p")
		u.SetOwnerReferences(refs)
		return u
	}
	yes, no := new(true), new(false)
	const forbidden = `pods "p" is forbidden: cannot set `
	const undeletable = forbidden + `an ownerRef on a resource you can't delete: delete /v1/pods/ n p, no right`
	const unfinalizable = forbidden + `blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: update `
	const remove, finalizeA, anything = "delete /v1/pods/ n p", "update apps/v1/replicasets/finalizers n a", "update */*/*/finalizers  *"
	for name, c := range map[string]struct {
		subresource string
		old, obj    runtime.Object // old nil: it is made
		rights      rights
		want        string
	}{
		"made without owners":               {"", nil, pod(), nil, ""},
		"made with one that need not wait":  {"", nil, pod(set("a", nil), set("b", no)), nil, ""},
		"made with one that has to":         {"", nil, pod(set("a", yes)), nil, unfinalizable + "apps/v1/replicasets/finalizers n a, no right"},
		"made with two, one finalized":      {"", nil, pod(set("a", yes), set("b", yes)), rights{finalizeA}, unfinalizable + "apps/v1/replicasets/finalizers n b, no right"},
		"made with one that is finalized":   {"", nil, pod(set("a", yes)), rights{finalizeA}, ""},
		"made with a node":                  {"", nil, pod(ref("v1", "Node", "a", yes)), nil, unfinalizable + "/v1/nodes/finalizers  a, no right"},
		"made with an owner of no kind":     {"", nil, pod(ref("b.c/v1", "X", "a", yes)), nil, forbidden + `blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion b.c/v1 Kind X: no matches for kind "X" in version "b.c/v1"`},
		"of no kind, finalizing anything":   {"", nil, pod(ref("b.c/v1", "X", "a", yes)), rights{anything}, ""},
		"a custom object":                   {"", nil, custom(set("a", yes)), nil, unfinalizable + "apps/v1/replicasets/finalizers n a, no right"},
		"left as they were":                 {"", pod(set("a", yes)), pod(set("a", yes)), nil, ""},
		"an owner more":                     {"", pod(), pod(set("a", no)), nil, undeletable},
		"an owner more, deletable":          {"", pod(), pod(set("a", no)), rights{remove}, ""},
		"an owner less":                     {"", pod(set("a", yes)), pod(), nil, undeletable},
		"in another order":                  {"", pod(set("a", no), set("b", no)), pod(set("b", no), set("a", no)), nil, undeletable},
		"now waiting":                       {"", pod(set("a", no)), pod(set("a", yes)), rights{remove}, unfinalizable + "apps/v1/replicasets/finalizers n a, no right"},
		"now waiting, finalized":            {"", pod(set("a", nil)), pod(set("a", yes)), rights{remove, finalizeA}, ""},
		"now waiting, finalized, not ours":  {"", pod(set("a", nil)), pod(set("a", yes)), rights{anything}, undeletable},
		"waiting no more":                   {"", pod(set("a", yes)), pod(set("a", no)), rights{remove}, ""},
		"waiting as before, another beside": {"", pod(set("a", yes)), pod(set("a", yes), set("b", no)), rights{remove}, ""},
		"by the status":                     {"status", pod(), pod(set("a", yes)), nil, ""},
		"by a resize":                       {"resize", pod(), pod(set("a", no)), rights{remove}, forbidden + `an ownerRef on a resource you can't delete: delete /v1/pods/resize n p, no right`},
		"a scale":                           {"", &autoscalingv1.Scale{}, &autoscalingv1.Scale{}, nil, ""},
		"what has no metadata":              {"", nil, &corev1.PodLogOptions{}, nil, ""},
	} {
		a := &admission.Attributes{
			Operation: admission.Create, Resource: corev1.SchemeGroupVersion.WithResource("pods"), Subresource: c.subresource,
			Namespace: "n", Name: "p", Object: c.obj, OldObject: c.old, User: &request.User{Name: "jane"},
		}
		if c.old != nil {
			a.Operation = admission.Update
		}
		err := ownerPermissions(&Config{Authorizer: c.rights, Kinds: servedKinds{}}).Validate(t.Context(), a)
		if got := errText(err); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
