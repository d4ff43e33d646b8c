package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiservercel "k8s.io/apiserver/pkg/cel"

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
}

// note is what a policy has the audit log say.
type note struct {
	key, value string
	err        error
}

// judge evaluates the policy for one parameter. Of failures it says nothing where they are to be passed over.
func (v *validating) judge(ctx context.Context, values expression.Values, conditions expression.Values) (against []decision, notes []note) {
	failure := func(i int, text string) {
		if !v.ignore {
			against = append(against, decision{index: i, message: text})
		}
	}
	if v.err != nil {
		failure(0, v.err.Error())
		return against, nil
	}
	holds, err := v.conditions.Hold(ctx, conditions)
	if err != nil {
		failure(0, err.Error())
		return against, nil
	}
	if !holds {
		return nil, nil
	}
	e := v.compiler.Evaluate(ctx, values, expression.Budget)
	failedAt := map[int]bool{}
	for i, one := range v.validations {
		out, err, over := e.Run(one.program)
		switch {
		case over != nil:
			against = nil
			failure(0, over.Error())
			return against, nil
		case err != nil:
			failure(i, err.Error())
		case out != types.True:
			failedAt[i] = true
			against = append(against, decision{index: i, reason: metav1.StatusReasonInvalid})
		}
	}
	values.Authorizer, values.ResourceAuthorizer = nil, nil // messages and notes do not ask who may what
	against = v.word(ctx, against, failedAt, values, e.Left)
	notes, over := v.notes(ctx, values)
	if over != nil {
		against = nil
		failure(0, over.Error())
	}
	return against, notes
}

// word gives refusals their messages and reasons.
func (v *validating) word(ctx context.Context, against []decision, failedAt map[int]bool, values expression.Values, left int64) []decision {
	if len(failedAt) == 0 {
		return against
	}
	e := v.compiler.Evaluate(ctx, values, left)
	out := make([]decision, 0, len(against))
	for _, d := range against {
		if !failedAt[d.index] {
			out = append(out, d)
			continue
		}
		one := v.validations[d.index]
		message, over := message(e, one)
		if over != nil {
			if !v.ignore {
				out = append(out, decision{index: d.index, message: fmt.Sprintf("failed messageExpression: %s", over)})
			}
			continue
		}
		d.message = message
		if one.Reason != nil {
			d.reason = *one.Reason
		}
		out = append(out, d)
	}
	return out
}

// message is what the expression for it gives, else the fixed one, else the rule itself.
func message(e *expression.Evaluation, one validation) (string, error) {
	if one.message != nil {
		out, err, over := e.Run(one.message)
		if over != nil && (errors.Is(over, apiservercel.ErrInternal) || errors.Is(over, apiservercel.ErrOutOfBudget)) {
			return "", over
		}
		if err == nil && out != nil {
			text, is := out.Value().(string)
			text = strings.TrimSpace(text)
			if is && text != "" && len(text) <= maxMessage && !strings.Contains(text, "\n") {
				return text, nil
			}
		}
	}
	if one.Message != "" {
		return strings.TrimSpace(one.Message), nil
	}
	return fmt.Sprintf("failed expression: %v", strings.TrimSpace(one.Expression)), nil
}

func (v *validating) notes(ctx context.Context, values expression.Values) (notes []note, over error) {
	if len(v.audit) == 0 {
		return nil, nil
	}
	e := v.compiler.Evaluate(ctx, values, expression.Budget)
	for _, a := range v.audit {
		out, err, over := e.Run(a.program)
		switch {
		case over != nil:
			return nil, over
		case err != nil:
			if !v.ignore {
				notes = append(notes, note{key: a.key, err: err})
			}
		case out.Type() == types.StringType:
			if text := strings.TrimSpace(out.Value().(string)); text != "" {
				notes = append(notes, note{key: a.key, value: text})
			}
		case out.Type() != types.NullType:
			notes = append(notes, note{key: a.key, err: fmt.Errorf("valueExpression '%v' resulted in unsupported return type: %v. "+
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
