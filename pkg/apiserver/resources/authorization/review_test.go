package authorization

import (
	"context"
	"errors"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// recorder has no opinion, and keeps what it was asked.
type recorder struct {
	asked *request.Info
	err   error
}

func (r *recorder) Authorize(_ context.Context, _ *request.User, info *request.Info) (authz.Decision, string, error) {
	r.asked = info
	return authz.NoOpinion, "", r.err
}

func labelled(operators ...metav1.LabelSelectorOperator) *authorizationv1.ResourceAttributes {
	s := &authorizationv1.LabelSelectorAttributes{}
	for _, o := range operators {
		s.Requirements = append(s.Requirements, metav1.LabelSelectorRequirement{Key: "k", Operator: o, Values: []string{"v"}})
	}
	return &authorizationv1.ResourceAttributes{Verb: "list", Resource: "pods", LabelSelector: s}
}

func TestAQuestionIsAskedWithoutWhatIsNotUnderstood(t *testing.T) {
	fields := func(values ...string) *authorizationv1.ResourceAttributes {
		return &authorizationv1.ResourceAttributes{FieldSelector: &authorizationv1.FieldSelectorAttributes{Requirements: []metav1.FieldSelectorRequirement{
			{Key: "f", Operator: metav1.FieldSelectorOpIn, Values: values}}}}
	}
	raw := &authorizationv1.ResourceAttributes{
		FieldSelector: &authorizationv1.FieldSelectorAttributes{RawSelector: "a"},
		LabelSelector: &authorizationv1.LabelSelectorAttributes{RawSelector: "a b"},
	}
	const label, field = "spec.resourceAttributes.labelSelector ", "spec.resourceAttributes.fieldSelector "
	for name, c := range map[string]struct {
		about               *authorizationv1.ResourceAttributes
		err                 error
		labels, fields, say string
	}{
		"all of it":          {labelled(metav1.LabelSelectorOpIn), nil, "k in (v)", "", ""},
		"an unknown word":    {labelled("Near"), nil, "", "", label + "ignored due to parse error"},
		"one of two":         {labelled("Near", metav1.LabelSelectorOpNotIn), nil, "k notin (v)", "", label + "partially ignored due to parse error"},
		"a field":            {fields("v"), nil, "", "f=v", ""},
		"a field's values":   {fields("v", "w"), nil, "", "", field + "ignored due to parse error"},
		"two and an outcome": {raw, errors.New("no"), "", "", "no; " + field + "ignored due to parse error; " + label + "ignored due to parse error"},
	} {
		a := &recorder{err: c.err}
		status := ask(t.Context(), a, &request.User{}, c.about, nil)
		if status.EvaluationError != c.say || a.asked.LabelSelector != c.labels || a.asked.FieldSelector != c.fields {
			t.Errorf("%s: said %q, asked for labels %q and fields %q", name, status.EvaluationError, a.asked.LabelSelector, a.asked.FieldSelector)
		}
	}
}

func TestReviewsAreJudgedInOrder(t *testing.T) {
	const (
		who     = `spec.user: Invalid value: "": at least one of user or group must be specified`
		missing = `spec.resourceAttributes.labelSelector.requirements: Required value: when spec.resourceAttributes.labelSelector is specified, requirements or rawSelector is required`
	)
	for name, c := range map[string]struct {
		about *authorizationv1.ResourceAttributes
		want  []string
	}{
		"an operator of a newer client":     {labelled("Near"), []string{who}},
		"nobody, before a selector is read": {labelled(), []string{who, missing}},
	} {
		faults := validateAttributes(c.about, nil, validateSubject("", nil))
		if len(faults) != len(c.want) {
			t.Errorf("%s: %v", name, faults)
			continue
		}
		for i, f := range faults {
			if f.Error() != c.want[i] {
				t.Errorf("%s: %q, want %q", name, f, c.want[i])
			}
		}
	}
}
