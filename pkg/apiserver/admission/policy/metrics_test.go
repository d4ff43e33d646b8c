package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/admission/expression"
)

// TestWhatPoliciesSayIsCounted by what was done about it, and until the policy or its binding has gone.
func TestWhatPoliciesSayIsCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	metrics := NewMetrics(registry)
	e := &enforcement{v: &Validator{cfg: Config{Metrics: metrics}}}
	counted := func() (out []string) {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				var values []string
				for _, l := range m.GetLabel() { // in the order of their names
					values = append(values, l.GetValue())
				}
				if m.Counter != nil {
					out = append(out, fmt.Sprint(strings.Join(values, " "), ": ", m.Counter.GetValue()))
				} else if m.GetHistogram().GetSampleCount() == 0 {
					t.Errorf("%v are not timed", values)
				}
			}
		}
		return out
	}
	ignore := admissionv1.Ignore
	for _, c := range []struct {
		name, expression string
		failure          *admissionv1.FailurePolicyType
		actions          []admissionv1.ValidationAction
	}{
		{"holds", "true", nil, []admissionv1.ValidationAction{admissionv1.Deny}},
		{"refuses", "false", nil, []admissionv1.ValidationAction{admissionv1.Deny}},
		{"tells", "false", nil, []admissionv1.ValidationAction{admissionv1.Warn, admissionv1.Audit}},
		{"fails", "object.none == 1", nil, []admissionv1.ValidationAction{admissionv1.Deny}},
		{"passes", "nonsense", &ignore, []admissionv1.ValidationAction{admissionv1.Deny}},
	} {
		p := &admissionv1.ValidatingAdmissionPolicy{}
		p.Name, p.Spec.FailurePolicy = c.name, c.failure
		p.Spec.Validations = []admissionv1.Validation{{Expression: c.expression}}
		values := expression.Values{Object: map[string]any{}}
		e.evaluate(t.Context(), compileValidating(p), newBinding("b", c.name, nil, nil, c.actions), nil, values, values, map[string][]string{})
	}
	want := []string{
		"allow compile_error passes b: 1", "audit invalid_error tells b: 1", "deny invalid_error fails b: 1",
		"deny invalid_error refuses b: 1", "warn invalid_error tells b: 1",
	}
	if got := counted(); !slices.Equal(got, want) {
		t.Errorf("counted %q, want %q", got, want)
	}
	if e.first == nil || e.first.policy != "refuses" {
		t.Errorf("the write is refused for %+v", e.first)
	}
	metrics.forget(policyLabel, "tells")
	if got := counted(); len(got) != 3 {
		t.Errorf("counted without a policy: %q", got)
	}
	metrics.forget(bindingLabel, "b")
	if got := counted(); len(got) != 0 {
		t.Errorf("counted without a binding: %q", got)
	}
}
