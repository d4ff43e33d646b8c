package policy

import (
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/admission/expression"
)

// The messages of all validations share what the validations leave of the budget, those too that nobody needs.
func TestMessagesThatCostTooMuchRefuse(t *testing.T) {
	const costly = "object.long.contains(object.short) ? 'found' : 'not found'" // nine tenths of a million, by its length
	values := expression.Values{Object: map[string]any{"long": strings.Repeat("a", 90_000), "short": strings.Repeat("a", 1000)}}
	for _, c := range []struct {
		validations, against int
		last, message        string
	}{
		{11, 0, "true", ""},
		{11, 1, "false", "found"},
		{12, 12, "true", "failed messageExpression: validation failed due to running out of cost budget, no further validation rules will be run"},
	} {
		p := &admissionv1.ValidatingAdmissionPolicy{}
		for range c.validations {
			p.Spec.Validations = append(p.Spec.Validations, admissionv1.Validation{Expression: "true", MessageExpression: costly})
		}
		p.Spec.Validations[c.validations-1].Expression = c.last
		against, _ := compileValidating(p).judge(t.Context(), values, values)
		if len(against) != c.against || len(against) > 0 && against[0].message != c.message {
			t.Errorf("%d messages, the last for %s: %+v, want %d times %q", c.validations, c.last, against, c.against, c.message)
		}
	}
}
