package flowcontrol

import (
	"fmt"
	"strings"
	"testing"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/sampan-project/sampan/manifests/bootstrap"
)

func goodSchema() *flowSchema {
	return &flowSchema{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Spec: flowcontrolv1.FlowSchemaSpec{
		MatchingPrecedence:         2,
		PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: "l"},
		Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
			Subjects:         []flowcontrolv1.Subject{{Kind: "User", User: &flowcontrolv1.UserSubject{Name: "u"}}},
			NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{Verbs: []string{"get"}, NonResourceURLs: []string{"/a/*"}}},
		}},
	}}
}

func TestFlowSchemasAreJudged(t *testing.T) {
	rule := func(s *flowSchema) *flowcontrolv1.PolicyRulesWithSubjects { return &s.Spec.Rules[0] }
	resources := func(change func(*flowcontrolv1.ResourcePolicyRule)) func(*flowSchema) {
		return func(s *flowSchema) {
			r := flowcontrolv1.ResourcePolicyRule{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}, Namespaces: []string{"*"}}
			change(&r)
			rule(s).ResourceRules = append(rule(s).ResourceRules, r)
		}
	}
	for name, c := range map[string]struct {
		change func(*flowSchema)
		want   string
	}{
		"good":                   {func(*flowSchema) {}, ""},
		"precedence 0":           {func(s *flowSchema) { s.Spec.MatchingPrecedence = 0 }, "spec.matchingPrecedence: Invalid value: 0: must be a positive value"},
		"precedence 1":           {func(s *flowSchema) { s.Spec.MatchingPrecedence = 1 }, "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1"},
		"precedence 10000":       {func(s *flowSchema) { s.Spec.MatchingPrecedence = 10000 }, ""},
		"precedence 10001":       {func(s *flowSchema) { s.Spec.MatchingPrecedence = 10001 }, "spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000"},
		"no level":               {func(s *flowSchema) { s.Spec.PriorityLevelConfiguration.Name = "" }, "spec.priorityLevelConfiguration.name: Required value: must reference a priority level"},
		"no subjects":            {func(s *flowSchema) { rule(s).Subjects = nil }, "spec.rules[0].subjects: Required value: subjects must contain at least one value"},
		"no rules":               {func(s *flowSchema) { rule(s).NonResourceRules = nil }, "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty"},
		"another kind's subject": {func(s *flowSchema) { rule(s).Subjects[0].Group = &flowcontrolv1.GroupSubject{Name: "g"} }, "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'"},
		"an unknown kind":        {func(s *flowSchema) { rule(s).Subjects[0].Kind = "Robot" }, `spec.rules[0].subjects[0].kind: Unsupported value: "Robot": supported values: "Group", "ServiceAccount", "User"`},
		"an account without namespace": {func(s *flowSchema) {
			rule(s).Subjects[0] = flowcontrolv1.Subject{Kind: "ServiceAccount", ServiceAccount: &flowcontrolv1.ServiceAccountSubject{Name: "*"}}
		}, "spec.rules[0].subjects[0].serviceAccount.namespace: Required value: must specify namespace for service account"},
		"an unknown verb":    {func(s *flowSchema) { rule(s).NonResourceRules[0].Verbs = []string{"post"} }, `spec.rules[0].nonResourceRules[0].verbs: Unsupported value: ["post"]: supported values: "create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"`},
		"verbs beside *":     {func(s *flowSchema) { rule(s).NonResourceRules[0].Verbs = []string{"*", "get"} }, `spec.rules[0].nonResourceRules[0].verbs: Invalid value: ["*","get"]: if '*' is present, must not specify other verbs`},
		"a star in the path": {func(s *flowSchema) { rule(s).NonResourceRules[0].NonResourceURLs = []string{"/a*"} }, `spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "/a*": wildcard can only do suffix matching`},
		"no namespace":       {resources(func(r *flowcontrolv1.ResourcePolicyRule) { r.Namespaces = nil }), "spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace"},
		"cluster scope":      {resources(func(r *flowcontrolv1.ResourcePolicyRule) { r.Namespaces, r.ClusterScope = nil, true }), ""},
		"no group":           {resources(func(r *flowcontrolv1.ResourcePolicyRule) { r.APIGroups = nil }), "spec.rules[0].resourceRules[0].apiGroups: Required value: resource rules must supply at least one api group"},
	} {
		t.Run(name, func(t *testing.T) {
			s := goodSchema()
			c.change(s)
			check(t, fmt.Sprint(validateFlowSchema(s).ToAggregate()), c.want)
		})
	}
}

func check(t *testing.T, got, want string) {
	t.Helper()
	if want == "" {
		want = "<nil>"
	}
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestPriorityLevelsAreJudged(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*priorityLevel)
		want   string
	}{
		"good":             {func(*priorityLevel) {}, ""},
		"lends all":        {func(l *priorityLevel) { l.Spec.Limited.LendablePercent = new(int32(100)) }, ""},
		"lends more":       {func(l *priorityLevel) { l.Spec.Limited.LendablePercent = new(int32(101)) }, "spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive"},
		"a hand of all":    {func(l *priorityLevel) { *l.Spec.Limited.LimitResponse.Queuing = queuing(8, 8) }, ""},
		"a hand too large": {func(l *priorityLevel) { *l.Spec.Limited.LimitResponse.Queuing = queuing(8, 9) }, "spec.limited.limitResponse.queuing.handSize: Invalid value: 9: should not be greater than queues (8)"},
		"60 bits":          {func(l *priorityLevel) { *l.Spec.Limited.LimitResponse.Queuing = queuing(64, 10) }, ""},
		"66 bits":          {func(l *priorityLevel) { *l.Spec.Limited.LimitResponse.Queuing = queuing(64, 11) }, "spec.limited.limitResponse.queuing.handSize: Invalid value: 11: required entropy bits of deckSize 64 and handSize 11 should not be greater than 60"},
		"too many queues":  {func(l *priorityLevel) { *l.Spec.Limited.LimitResponse.Queuing = queuing(10_000_001, 1) }, "spec.limited.limitResponse.queuing.queues: Invalid value: 10000001: must not be greater than 10000000"},
		"exempt":           {func(l *priorityLevel) { l.Spec = flowcontrolv1.PriorityLevelConfigurationSpec{Type: "Exempt"} }, "spec.type: Invalid value: \"Exempt\": must be 'Exempt' if and only if `name` is 'exempt'"},
	} {
		t.Run(name, func(t *testing.T) {
			l := &priorityLevel{ObjectMeta: metav1.ObjectMeta{Name: "l"}, Spec: flowcontrolv1.PriorityLevelConfigurationSpec{
				Type: "Limited", Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
					LimitResponse: flowcontrolv1.LimitResponse{Type: "Queue", Queuing: &flowcontrolv1.QueuingConfiguration{}},
				},
			}}
			defaultLevel(l)
			c.change(l)
			check(t, fmt.Sprint(validateLevel(l).ToAggregate()), c.want)
		})
	}
}

func queuing(queues, hand int32) flowcontrolv1.QueuingConfiguration {
	return flowcontrolv1.QueuingConfiguration{Queues: queues, HandSize: hand, QueueLengthLimit: 1}
}

// TestFixedSpecsAreThoseOfBootstrap holds the specs that cannot be changed to those that a server makes.
func TestFixedSpecsAreThoseOfBootstrap(t *testing.T) {
	var schemas []flowSchema
	var levels []priorityLevel
	for file, into := range map[string]any{"flowschemas.yaml": &schemas, "prioritylevels.yaml": &levels} {
		data, err := bootstrap.Files.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(data, into); err != nil {
			t.Fatal(err)
		}
	}
	found := 0
	for i := range schemas {
		if fixed, is := fixedSchemas()[schemas[i].Name]; is {
			found++
			if !equality.Semantic.DeepEqual(fixed, schemas[i].Spec) {
				t.Errorf("the flow schema %s is made otherwise", schemas[i].Name)
			}
		}
	}
	for i := range levels {
		defaultLevel(&levels[i])
		if fixed, is := fixedLevels()[levels[i].Name]; is {
			found++
			if !equality.Semantic.DeepEqual(fixed, levels[i].Spec) {
				t.Errorf("the priority level %s is made otherwise", levels[i].Name)
			}
		}
	}
	if found != 4 {
		t.Errorf("%d fixed objects are made, not 4", found)
	}
	if got := fmt.Sprint(validateFlowSchema(&flowSchema{ObjectMeta: metav1.ObjectMeta{Name: "catch-all"}}).ToAggregate()); !strings.Contains(got, "spec of 'catch-all' must equal the fixed value") {
		t.Errorf("another catch-all is refused with %s", got)
	}
}
