package admissionregistration

import (
	"context"
	"reflect"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

// only allows one thing.
type only request.Info

func (o only) Authorize(_ context.Context, _ *request.User, i *request.Info) (authz.Decision, string, error) {
	if reflect.DeepEqual(request.Info(o), *i) {
		return authz.Allow, "", nil
	}
	return authz.NoOpinion, "", nil
}

func TestWritersOfPoliciesMayReadTheirParameters(t *testing.T) {
	access := resourcetest.New()
	policy := &validatingPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p"}}
	policy.Spec.ParamKind = &admissionv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"}
	if _, err := access.Create(context.Background(), schema.GroupResource{Group: admissionv1.GroupName, Resource: "validatingadmissionpolicies"}, policy); err != nil {
		t.Fatal(err)
	}
	rights := func(may request.Info) Rights {
		may.IsResource = true
		return Rights{Authorizer: only(may), Reader: access, ResourceOf: func(k schema.GroupVersionKind) (schema.GroupResource, bool, bool) {
			return schema.GroupResource{Resource: "configmaps"}, true, k.Kind == "ConfigMap"
		}}
	}
	alice := request.WithUser(context.Background(), &request.User{Name: "alice", Groups: []string{"g"}})
	all := request.Info{Version: "v1", Resource: "configmaps", Verb: "get", Name: "*", Namespace: "*"}
	one := request.Info{Version: "v1", Resource: "configmaps", Verb: "get", Name: "c", Namespace: "n"}
	spec, ref := validatingSpec(policy), &admissionv1.ParamRef{Name: "c", Namespace: "n"}
	for name, c := range map[string]struct {
		got  func() []string
		want string
	}{
		"may read all": {func() []string { return texts(rights(all).paramKind(alice, spec, nil)) }, ""},
		"may read one": {func() []string { return texts(rights(one).paramKind(alice, spec, nil)) },
			`spec.paramKind: Forbidden: user &{alice  [g] map[]} must have "get" permission on all objects of the referenced paramKind (kind=ConfigMap, apiVersion=v1)`},
		"the kind stays": {func() []string { return texts(rights(one).paramKind(alice, spec, spec)) }, ""},
		"the server":     {func() []string { return texts(rights(one).paramKind(context.Background(), spec, nil)) }, ""},
		"a binding's param": {func() []string {
			r := rights(one)
			return texts(r.paramRef(alice, "p", ref, "", nil, r.validatingKind))
		}, ""},
		"an unknown policy": {func() []string {
			r := rights(one)
			return texts(r.paramRef(alice, "q", ref, "", nil, r.validatingKind))
		}, `spec.paramRef: Forbidden: user &{alice  [g] map[]} does not have "get" permission on the object referenced by paramRef`},
		"the binding stays": {func() []string {
			r := rights(all)
			return texts(r.paramRef(alice, "p", ref, "p", ref, r.validatingKind))
		}, ""},
		"another param": {func() []string {
			r := rights(one)
			return texts(r.paramRef(alice, "p", &admissionv1.ParamRef{Name: "d", Namespace: "n"}, "p", ref, r.validatingKind))
		}, `spec.paramRef: Forbidden: user &{alice  [g] map[]} does not have "get" permission on the object referenced by paramRef`},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if all := c.got(); len(all) > 0 {
				got = all[0]
			}
			if got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func texts(faults field.ErrorList) []string {
	var out []string
	for _, f := range faults {
		out = append(out, f.Error())
	}
	return out
}
