package clusterrole

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controller/controllertest"
)

// The rules are applied, so that they are the controller's: who applies such a role with rules of his own is told so.
func TestRulesAreAppliedAsTheControllersOwn(t *testing.T) {
	part := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "part", Labels: map[string]string{"into": "whole"}},
		Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}, ResourceNames: []string{"p"}}}}
	whole := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "whole"}, AggregationRule: &rbacv1.AggregationRule{
		ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: part.Labels}}}}
	var applied []clienttesting.PatchActionImpl
	controllertest.Run(t, []runtime.Object{part, whole}, func(env *controller.Env) (controller.Runner, error) {
		env.Client.(*fake.Clientset).PrependReactor("patch", "clusterroles", func(a clienttesting.Action) (bool, runtime.Object, error) {
			applied = append(applied, a.(clienttesting.PatchActionImpl))
			return true, whole, nil
		})
		return New(env)
	}, func(w *controllertest.World) {
		w.Settle()
		if len(applied) == 0 {
			t.Fatal("nothing was applied")
		}
		const want = `{"kind":"ClusterRole","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{"name":"whole"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"],"resourceNames":["p"]}]}`
		a := applied[0]
		if a.Name != "whole" || a.PatchType != types.ApplyPatchType || string(a.Patch) != want || a.PatchOptions.FieldManager != manager {
			t.Errorf("applied: %s %s %s %+v", a.Name, a.PatchType, a.Patch, a.PatchOptions)
		}
	})
}
