package policy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/expression"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/match"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

const (
	failureAnnotation = "validation.policy.admission.k8s.io/validation_failure"
	// maxNote bounds, in bytes, what a policy may have the audit log say.
	maxNote = 10 << 10
)

// denial is the first thing that was said against a write: the client hears it alone.
type denial struct {
	policy, binding, message string
	reason                   metav1.StatusReason
}

// Validate lets every policy that a write concerns judge it.
func (v *Validator) Validate(ctx context.Context, a *admission.Attributes) error {
	if match.OutsidePolicies(a) {
		return nil
	}
	policies, bindings, err := v.all(ctx, a)
	if err != nil || len(policies) == 0 || len(bindings) == 0 {
		return err
	}
	e := &enforcement{v: v, a: a, in: expression.NewInputs(a, v.cfg.Authorizer)}
	for _, p := range policies {
		if !slices.ContainsFunc(bindings, func(b *binding) bool { return b.policy == p.name }) {
			continue
		}
		if err := e.policy(ctx, p, bindings); err != nil {
			return err
		}
	}
	return e.refusal()
}

// enforcement is one write on its way through the policies.
type enforcement struct {
	v     *Validator
	a     *admission.Attributes
	in    *expression.Inputs
	first *denial
}

func (e *enforcement) deny(d denial) {
	if e.first == nil {
		e.first = &d
	}
}

// misconfigured denies where the policy does not pass over failures.
func (e *enforcement) misconfigured(p *validating, b *binding, err error) {
	switch {
	case p.ignore:
	case b == nil:
		e.deny(denial{policy: p.name, message: fmt.Sprintf("failed to configure policy: %v", err)})
	default:
		e.deny(denial{policy: p.name, binding: b.name, message: fmt.Sprintf("failed to configure binding: %v", err)})
	}
}

func (e *enforcement) policy(ctx context.Context, p *validating, bindings []*binding) error {
	target, err := p.match.Match(ctx, e.a, e.v.cfg.Namespaces)
	if err != nil {
		e.misconfigured(p, nil, err)
		return nil
	}
	if target == nil {
		return nil
	}
	if err := p.known(e.v.cfg.Kinds); err != nil {
		e.misconfigured(p, nil, err)
		return nil
	}
	notes := map[string][]string{}
	for _, b := range bindings {
		if b.policy != p.name {
			continue
		}
		if err := e.binding(ctx, p, b, *target, notes); err != nil {
			return err
		}
	}
	for key, values := range notes {
		request.Annotate(ctx, p.name+"/"+key, strings.Join(values, ", "))
	}
	return nil
}

func (e *enforcement) binding(ctx context.Context, p *validating, b *binding, t admission.Target, notes map[string][]string) error {
	inForce, err := b.match.Match(ctx, e.a, e.v.cfg.Namespaces)
	if err != nil {
		e.misconfigured(p, b, err)
		return nil
	}
	if inForce == nil {
		return nil
	}
	params, err := e.v.cfg.collect(ctx, p.rules, b, e.a.ReviewNamespace())
	if err != nil {
		e.misconfigured(p, b, err)
		return nil
	}
	if len(params) == 0 {
		return nil
	}
	values, conditions, err := e.v.cfg.values(ctx, e.a, e.in, t)
	if lost, is := err.(*apierrors.StatusError); is { // and not one that a conversion failed with
		return lost
	}
	if err != nil {
		e.misconfigured(p, b, fmt.Errorf("failed to convert object version: %w", err))
		return nil
	}
	for _, param := range params {
		e.evaluate(ctx, p, b, param, values, conditions, notes)
	}
	return nil
}

// values gives what a policy's expressions see, and what its match conditions do.
func (cfg *Config) values(ctx context.Context, a *admission.Attributes, in *expression.Inputs, t admission.Target) (values, conditions expression.Values, err error) {
	ns, err := cfg.namespaceOf(ctx, a)
	if err != nil {
		return values, conditions, err
	}
	if values, err = in.Values(t); err != nil {
		return values, conditions, err
	}
	if conditions, err = in.Values(admission.Target{Kind: t.Kind, Resource: a.Resource}); err != nil {
		return values, conditions, err
	}
	values.Namespace, err = expression.Namespace(ns)
	return values, conditions, err
}

func (e *enforcement) evaluate(ctx context.Context, p *validating, b *binding, param runtime.Object, values, conditions expression.Values, notes map[string][]string) {
	shown, err := expression.Param(param, p.paramKind())
	if err != nil {
		e.misconfigured(p, b, err)
		return
	}
	values.Params, conditions.Params = shown, shown
	against, said := p.judge(ctx, values, conditions)
	for _, d := range against {
		if d.passed {
			e.v.cfg.Metrics.checked(p, b, d.message, d.took, "allow")
			continue
		}
		e.act(ctx, p, b, d)
	}
	for _, n := range said {
		if n.err != nil {
			e.deny(denial{policy: p.name, binding: b.name, message: n.err.Error()})
			e.v.cfg.Metrics.checked(p, b, n.err.Error(), n.took, "deny")
			continue
		}
		value := n.value[:min(len(n.value), maxNote)]
		if !slices.Contains(notes[n.key], value) {
			notes[n.key] = append(notes[n.key], value)
		}
	}
}

// act does with a decision what the binding asks for.
func (e *enforcement) act(ctx context.Context, p *validating, b *binding, d decision) {
	for _, action := range b.actions {
		e.v.cfg.Metrics.checked(p, b, d.message, d.took, strings.ToLower(string(action)))
		switch action {
		case admissionv1.Deny:
			e.deny(denial{policy: p.name, binding: b.name, message: d.message, reason: d.reason})
		case admissionv1.Warn:
			request.Warn(ctx, fmt.Sprintf("Validation failed for ValidatingAdmissionPolicy '%s' with binding '%s': %s", p.name, b.name, d.message))
		case admissionv1.Audit:
			text, err := json.Marshal([]any{struct {
				Message           string                         `json:"message"`
				Policy            string                         `json:"policy"`
				Binding           string                         `json:"binding"`
				ExpressionIndex   int                            `json:"expressionIndex"`
				ValidationActions []admissionv1.ValidationAction `json:"validationActions"`
			}{d.message, b.policy, b.name, d.index, b.actions}})
			if err == nil {
				request.Annotate(ctx, failureAnnotation, string(text))
			}
		}
	}
}

// codes are the statuses of the reasons that a policy may give.
var codes = map[metav1.StatusReason]int32{
	metav1.StatusReasonForbidden: http.StatusForbidden, metav1.StatusReasonRequestEntityTooLarge: http.StatusRequestEntityTooLarge,
	metav1.StatusReasonInvalid: http.StatusUnprocessableEntity, metav1.StatusReasonUnauthorized: http.StatusUnauthorized,
}

// refusal words the denial, nil where there is none.
func (e *enforcement) refusal() error {
	d := e.first
	if d == nil {
		return nil
	}
	message := fmt.Sprintf("ValidatingAdmissionPolicy '%s' denied request: %s", d.policy, d.message)
	if d.binding != "" {
		message = fmt.Sprintf("ValidatingAdmissionPolicy '%s' with binding '%s' denied request: %s", d.policy, d.binding, d.message)
	}
	err := admission.Forbidden(e.a, errors.New(message))
	var status *apierrors.StatusError
	if !errors.As(err, &status) {
		return err
	}
	s := &status.ErrStatus
	s.Reason = cmp.Or(d.reason, metav1.StatusReasonInvalid)
	s.Code = http.StatusUnprocessableEntity
	if code, is := codes[s.Reason]; is {
		s.Code = code
	}
	s.Details.Causes = append(s.Details.Causes, metav1.StatusCause{Message: message})
	return status
}
