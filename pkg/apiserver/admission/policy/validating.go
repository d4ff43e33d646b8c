package policy

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/admission/expression"
)

// maxMessage bounds, in bytes, what an expression may give as the message of a refusal.
const maxMessage = 5 << 10

// validating is a compiled policy.
type validating struct {
	*rules
	validations []validation
	audit       []auditAnnotation
}

type validation struct {
	*admissionv1.Validation
	program *expression.Program
	message *expression.Program // nil: the text is fixed
}

type auditAnnotation struct {
	key     string
	program *expression.Program
}

func compileValidating(p *admissionv1.ValidatingAdmissionPolicy) *validating {
	s := &p.Spec
	v := &validating{rules: newRules(p.Name, s.MatchConstraints, s.ParamKind, s.FailurePolicy, s.Variables, s.MatchConditions)}
	if v.err != nil {
		return v
	}
	for i := range s.Validations {
		one := validation{Validation: &s.Validations[i], program: v.compiler.Compile(s.Validations[i].Expression, v.vars(), expression.Stored, cel.BoolType)}
		if text := s.Validations[i].MessageExpression; text != "" {
			one.message = v.compiler.Compile(text, expression.Vars{Params: s.ParamKind != nil}, expression.Stored, cel.StringType)
		}
		v.validations = append(v.validations, one)
	}
	for _, a := range s.AuditAnnotations {
		program := v.compiler.Compile(a.ValueExpression, v.vars(), expression.Stored, cel.StringType, cel.NullType)
		v.audit = append(v.audit, auditAnnotation{a.Key, program})
	}
	return v
}

// decision is what a policy says against a write: by one validation (index), or by a failure.
type decision struct {
	index   int
	message string
	reason  metav1.StatusReason
	took    time.Duration // 0 where no expression was evaluated
	passed  bool          // it is a failure, which is passed over
}

// note is what a policy has the audit log say.
type note struct {
	key, value string
	err        error
	took       time.Duration
}

// judge evaluates the policy for one parameter.
func (v *validating) judge(ctx context.Context, values expression.Values, conditions expression.Values) (against []decision, notes []note) {
	failure := func(i int, text string, took time.Duration) {
		against = append(against, decision{index: i, message: text, took: took, passed: v.ignore})
	}
	if v.err != nil {
		failure(0, v.err.Error(), 0)
		return against, nil
	}
	holds, err := v.conditions.Hold(ctx, conditions)
	if err != nil {
		failure(0, err.Error(), 0)
		return against, nil
	}
	if !holds {
		return nil, nil
	}
	e := v.compiler.Evaluate(ctx, values, expression.Budget)
	results, faults, took := make([]ref.Val, len(v.validations)), make([]error, len(v.validations)), make([]time.Duration, len(v.validations))
	for i, one := range v.validations {
		begun := time.Now()
		var over error
		if results[i], faults[i], over = e.Run(one.program); over != nil {
			failure(0, over.Error(), 0)
			return against, nil
		}
		took[i] = time.Since(begun)
	}
	values.Authorizer, values.ResourceAuthorizer = nil, nil // messages and notes do not ask who may what
	messages, unsaid := v.messages(ctx, values, e.Left)
	for i, one := range v.validations {
		switch {
		case faults[i] != nil:
			failure(i, faults[i].Error(), took[i])
		case unsaid != nil: // even what holds is refused then
			failure(i, fmt.Sprintf("failed messageExpression: %s", unsaid), took[i])
		case results[i] != types.True:
			d := decision{index: i, message: one.text(messages[i]), reason: metav1.StatusReasonInvalid, took: took[i]}
			if one.Reason != nil {
				d.reason = *one.Reason
			}
			against = append(against, d)
		}
	}
	notes, over := v.notes(ctx, values)
	if over != nil {
		against = nil
		failure(0, over.Error(), 0)
	}
	return against, notes
}

// messages evaluates what says a refusal's message, of validations too that hold: the budget is one for all. A message
// that cannot be used is empty.
func (v *validating) messages(ctx context.Context, values expression.Values, left int64) ([]string, error) {
	out := make([]string, len(v.validations))
	var e *expression.Evaluation
	for i, one := range v.validations {
		if one.message == nil {
			continue
		}
		if e == nil {
			e = v.compiler.Evaluate(ctx, values, left)
		}
		result, err, over := e.Run(one.message)
		if over != nil {
			return nil, over
		}
		if err != nil || result == nil {
			continue
		}
		text, _ := result.Value().(string)
		if text = strings.TrimSpace(text); len(text) <= maxMessage && !strings.Contains(text, "\n") {
			out[i] = text
		}
	}
	return out, nil
}

// text is what the expression for it gave, else the fixed message, else the rule itself.
func (v validation) text(said string) string {
	if said = cmp.Or(said, strings.TrimSpace(v.Message)); said != "" {
		return said
	}
	return fmt.Sprintf("failed expression: %v", strings.TrimSpace(v.Expression))
}

func (v *validating) notes(ctx context.Context, values expression.Values) (notes []note, over error) {
	if len(v.audit) == 0 {
		return nil, nil
	}
	e := v.compiler.Evaluate(ctx, values, expression.Budget)
	for _, a := range v.audit {
		begun := time.Now()
		out, err, over := e.Run(a.program)
		took := time.Since(begun)
		switch {
		case over != nil:
			return nil, over
		case err != nil:
			if !v.ignore {
				notes = append(notes, note{key: a.key, err: err, took: took})
			}
		case out.Type() == types.StringType:
			if text := strings.TrimSpace(out.Value().(string)); text != "" {
				notes = append(notes, note{key: a.key, value: text})
			}
		case out.Type() != types.NullType:
			notes = append(notes, note{key: a.key, took: took, err: fmt.Errorf("valueExpression '%v' resulted in unsupported return type: %v. "+
				"Return type must be either string or null.", a.program.Text, out.Type())}) //nolint:staticcheck // clients know these words
		}
	}
	return notes, nil
}

// Validator carries out validating policies.
type Validator struct {
	cfg Config
	configuration[*validating]
}

// NewValidator follows the policies and their bindings until ctx ends.
func NewValidator(ctx context.Context, cfg Config) (*Validator, error) {
	c, err := follow(ctx, cfg, "validating", compileValidating, func(b *admissionv1.ValidatingAdmissionPolicyBinding) *binding {
		return newBinding(b.Name, b.Spec.PolicyName, b.Spec.MatchResources, b.Spec.ParamRef, b.Spec.ValidationActions)
	})
	return &Validator{cfg, c}, err
}
