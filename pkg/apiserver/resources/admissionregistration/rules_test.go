package admissionregistration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/admission/expression"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

func judged(t *testing.T, r *resource.Resource, obj, old resource.Object, want string) {
	t.Helper()
	r.Default(obj)
	if old != nil {
		r.Default(old)
	}
	got := ""
	if faults := r.Validate(context.Background(), obj, old); len(faults) > 0 {
		got = faults[0].Error()
	}
	if want == "" && got != "" || !strings.HasPrefix(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func goodHooks() *mutatingHooks {
	return &mutatingHooks{ObjectMeta: metav1.ObjectMeta{Name: "h"}, Webhooks: []admissionv1.MutatingWebhook{{
		Name: "a.example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: new(admissionv1.SideEffectClassNone),
		ClientConfig: admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: "n", Name: "s"}},
	}}}
}

func TestWebhooksAreJudged(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*admissionv1.MutatingWebhook)
		want   string
	}{
		"good":                 {func(*admissionv1.MutatingWebhook) {}, ""},
		"two segments":         {func(h *admissionv1.MutatingWebhook) { h.Name = "example.com" }, `webhooks[0].name: Invalid value: "example.com": should be a domain with at least three segments`},
		"30 seconds":           {func(h *admissionv1.MutatingWebhook) { h.TimeoutSeconds = new(int32(30)) }, ""},
		"31 seconds":           {func(h *admissionv1.MutatingWebhook) { h.TimeoutSeconds = new(int32(31)) }, "webhooks[0].timeoutSeconds: Invalid value: 31"},
		"no seconds":           {func(h *admissionv1.MutatingWebhook) { h.TimeoutSeconds = new(int32(0)) }, "webhooks[0].timeoutSeconds: Invalid value: 0"},
		"side effects":         {func(h *admissionv1.MutatingWebhook) { h.SideEffects = new(admissionv1.SideEffectClassSome) }, `webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"`},
		"an old version":       {func(h *admissionv1.MutatingWebhook) { h.AdmissionReviewVersions = []string{"v1alpha1"} }, `webhooks[0].admissionReviewVersions: Invalid value: ["v1alpha1"]: must include at least one of v1, v1beta1`},
		"both ways":            {func(h *admissionv1.MutatingWebhook) { h.ClientConfig.URL = new("https://h/x") }, "webhooks[0].clientConfig: Required value: exactly one of url or service is required"},
		"a service of no name": {func(h *admissionv1.MutatingWebhook) { h.ClientConfig.Service.Name = "" }, "webhooks[0].clientConfig.service.namespace: Required value"},
		"a path":               {func(h *admissionv1.MutatingWebhook) { h.ClientConfig.Service.Path = new("/a/b/") }, ""},
		"an empty segment":     {func(h *admissionv1.MutatingWebhook) { h.ClientConfig.Service.Path = new("/a//b") }, `webhooks[0].clientConfig.service.path: Invalid value: "/a//b": segment[1] may not be empty`},
		"a condition": {func(h *admissionv1.MutatingWebhook) {
			h.MatchConditions = []admissionv1.MatchCondition{{Name: "a", Expression: "authorizer.requestResource.check('get').allowed()"}}
		}, ""},
		"a condition with params": {func(h *admissionv1.MutatingWebhook) {
			h.MatchConditions = []admissionv1.MatchCondition{{Name: "a", Expression: "params.a"}}
		}, `webhooks[0].matchConditions[0].expression: Invalid value: "params.a": compilation failed: ERROR: <input>:1:1: undeclared reference to 'params'`},
		"65 conditions": {func(h *admissionv1.MutatingWebhook) {
			for i := range 65 {
				h.MatchConditions = append(h.MatchConditions, admissionv1.MatchCondition{Name: fmt.Sprint("c", i), Expression: "true"})
			}
		}, "webhooks[0].matchConditions: Too many: 65: must have at most 64 items"},
	} {
		t.Run(name, func(t *testing.T) {
			obj := goodHooks()
			c.change(&obj.Webhooks[0])
			judged(t, MutatingWebhookConfiguration(), obj, nil, c.want)
		})
	}
}

func TestUpdatesKeepWhatWasStoredBeforeItWasJudged(t *testing.T) {
	old, obj := goodHooks(), goodHooks()
	old.Webhooks[0].SideEffects = new(admissionv1.SideEffectClassSome)
	obj.Webhooks[0].SideEffects = new(admissionv1.SideEffectClassUnknown)
	judged(t, MutatingWebhookConfiguration(), obj, old, "")
	judged(t, MutatingWebhookConfiguration(), obj, goodHooks(), "webhooks[0].sideEffects: Unsupported value")
}

func TestResourcesOfRulesSayNothingTwice(t *testing.T) {
	for _, c := range []struct {
		resources []string
		want      string
	}{
		{[]string{"pods", "pods/status"}, ""},
		{[]string{"*", "*/scale"}, ""},
		{[]string{"pods/*", "pods/log"}, `rules.resources[1]: Invalid value: "pods/log": if 'pods/*' is present, must not specify pods/log`},
		{[]string{"*/log", "pods/log"}, `rules.resources[1]: Invalid value: "pods/log": if '*/log' is present, must not specify pods/log`},
		{[]string{"*", "pods"}, `rules.resources: Invalid value: ["*","pods"]: if '*' is present, must not specify other resources without subresources`},
	} {
		rule := admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{"*"},
			Rule: admissionv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: c.resources}}
		got := ""
		if faults := validateRule(field.NewPath("rules"), &rule); len(faults) > 0 {
			got = faults[0].Error()
		}
		if got != c.want {
			t.Errorf("%v: got %q, want %q", c.resources, got, c.want)
		}
	}
}

// TestOnlyWhatIsWrittenMayBeChanged: policies that change objects are for operations that have one.
func TestOnlyWhatIsWrittenMayBeChanged(t *testing.T) {
	match := func(op admissionv1.OperationType) *admissionv1.MatchResources {
		return &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{op}, Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}}}}}}
	}
	for op, want := range map[admissionv1.OperationType]string{
		"UPDATE": "[]",
		"DELETE": `[spec.M.resourceRules.operations: Unsupported value: "DELETE": supported values: "*", "CONNECT", "CREATE", "UPDATE"]`,
		"ODD": `[spec.M.resourceRules[0].operations[0]: Unsupported value: "ODD": supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"` +
			` spec.M.resourceRules.operations: Unsupported value: "ODD": supported values: "*", "CONNECT", "CREATE", "UPDATE"]`,
	} {
		binding := &mutatingBinding{ObjectMeta: metav1.ObjectMeta{Name: "b"}, Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: "p", MatchResources: match(op)}}
		policy := &mutatingPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: admissionv1.MutatingAdmissionPolicySpec{MatchConstraints: match(op), ReinvocationPolicy: "Never",
			Mutations: []admissionv1.Mutation{{PatchType: admissionv1.PatchTypeJSONPatch, JSONPatch: &admissionv1.JSONPatch{Expression: `[JSONPatch{op: "remove", path: "/a"}]`}}}}}
		for place, c := range map[string]struct {
			r   *resource.Resource
			obj resource.Object
		}{"matchResources": {MutatingAdmissionPolicyBinding(Rights{}), binding}, "matchConstraints": {MutatingAdmissionPolicy(Rights{}), policy}} {
			c.r.Default(c.obj)
			if got := fmt.Sprint(c.r.Validate(context.Background(), c.obj, nil)); got != strings.ReplaceAll(want, ".M.", "."+place+".") {
				t.Errorf("%s of %s: %s", op, place, got)
			}
		}
	}
}

// TestChangesMayReferToNoVariableThatIsMissing: there are variables, but none of that name.
func TestChangesMayReferToNoVariableThatIsMissing(t *testing.T) {
	policy := &mutatingPolicy{Spec: admissionv1.MutatingAdmissionPolicySpec{Mutations: []admissionv1.Mutation{
		{PatchType: admissionv1.PatchTypeJSONPatch, JSONPatch: &admissionv1.JSONPatch{Expression: "variables.u"}}}}}
	MutatingAdmissionPolicy(Rights{}).Default(policy)
	if got := fmt.Sprint(validateMutatingPolicy(policy, nil)); !strings.Contains(got, "undefined field 'u'") {
		t.Errorf("said: %s", got)
	}
}

// TestExpressionsOfChangesAreThere tells only that an expression is missing.
func TestExpressionsOfChangesAreThere(t *testing.T) {
	m := &admissionv1.Mutation{PatchType: admissionv1.PatchTypeJSONPatch, JSONPatch: &admissionv1.JSONPatch{}}
	compiler, err := newCompiler(true)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(validateMutation(field.NewPath("m"), compiler, m, expression.Vars{}, known{})); got != "[m.jsonPatch.expression: Required value]" {
		t.Errorf("said: %s", got)
	}
}

func TestPoliciesAreJudged(t *testing.T) {
	good := func() *validatingPolicy {
		return &validatingPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{"*"}, Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}}}}}},
			Validations: []admissionv1.Validation{{Expression: "object.spec.replicas < 3"}},
		}}
	}
	for name, c := range map[string]struct {
		change func(*validatingPolicy)
		want   string
	}{
		"good": {func(*validatingPolicy) {}, ""},
		"params without a kind": {func(p *validatingPolicy) { p.Spec.Validations[0].Expression = "params.x == 1" },
			`spec.validations[0].expression: Invalid value: "params.x == 1": compilation failed`},
		"params": {func(p *validatingPolicy) {
			p.Spec.ParamKind = &admissionv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"}
			p.Spec.Validations[0].Expression = "params.x == 1"
		}, ""},
		"an authorizer in a message": {func(p *validatingPolicy) {
			p.Spec.Validations[0].MessageExpression = "string(authorizer.path('/x').check('get').allowed())"
		}, "spec.validations[0].messageExpression: Invalid value"},
		"a variable": {func(p *validatingPolicy) {
			p.Spec.Variables = []admissionv1.Variable{{Name: "n", Expression: "object.spec.replicas"}, {Name: "m", Expression: "variables.n + 1"}}
			p.Spec.Validations[0].Expression = "variables.m < 3"
		}, ""},
		"a variable too early": {func(p *validatingPolicy) {
			p.Spec.Variables = []admissionv1.Variable{{Name: "m", Expression: "variables.n + 1"}, {Name: "n", Expression: "1"}}
		}, `spec.variables[0].expression: Invalid value: "variables.n + 1": compilation failed: ERROR: <input>:1:10: undefined field 'n'`},
		"a reserved name": {func(p *validatingPolicy) { p.Spec.Variables = []admissionv1.Variable{{Name: "loop", Expression: "1"}} },
			`spec.variables[0].name: Invalid value: "loop": must be a valid CEL identifier`},
		"21 annotations": {func(p *validatingPolicy) {
			for i := range 21 {
				p.Spec.AuditAnnotations = append(p.Spec.AuditAnnotations, admissionv1.AuditAnnotation{Key: fmt.Sprint("k", i), ValueExpression: "'x'"})
			}
		}, "spec.auditAnnotations: Invalid value"},
	} {
		t.Run(name, func(t *testing.T) {
			obj := good()
			c.change(obj)
			judged(t, ValidatingAdmissionPolicy(Rights{}), obj, nil, c.want)
		})
	}
}
