package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/expression"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/match"
	"github.com/sampan-project/sampan/pkg/apiserver/kinds"
)

// mutating is a compiled policy.
type mutating struct {
	*rules
	mutations []change
	again     bool // it is carried out again when others have changed the object
}

type change struct {
	program *expression.Program
	json    bool // a JSON patch, else a part to merge
}

func compileMutating(p *admissionv1.MutatingAdmissionPolicy) *mutating {
	s := &p.Spec
	m := &mutating{
		rules: newRules(p.Name, s.MatchConstraints, s.ParamKind, s.FailurePolicy, s.Variables, s.MatchConditions),
		again: s.ReinvocationPolicy == admissionv1.IfNeededReinvocationPolicy,
	}
	if m.err != nil {
		return m
	}
	vars := m.vars()
	vars.Patches = true
	for _, one := range s.Mutations {
		switch {
		case one.PatchType == admissionv1.PatchTypeJSONPatch && one.JSONPatch != nil:
			m.mutations = append(m.mutations, change{m.compiler.Compile(one.JSONPatch.Expression, vars, expression.Stored, expression.JSONPatch), true})
		case one.PatchType == admissionv1.PatchTypeApplyConfiguration && one.ApplyConfiguration != nil:
			m.mutations = append(m.mutations, change{m.compiler.Compile(one.ApplyConfiguration.Expression, vars, expression.Stored, expression.ObjectPatch), false})
		}
	}
	return m
}

// Mutator carries out mutating policies.
type Mutator struct {
	cfg Config
	configuration[*mutating]
}

// NewMutator follows the policies and their bindings until ctx ends.
func NewMutator(ctx context.Context, cfg Config) (*Mutator, error) {
	c, err := follow(ctx, cfg, "mutating", compileMutating, func(b *admissionv1.MutatingAdmissionPolicyBinding) *binding {
		return newBinding(b.Name, b.Spec.PolicyName, b.Spec.MatchResources, b.Spec.ParamRef, nil)
	})
	return &Mutator{cfg, c}, err
}

// stateName is where the passes over one object keep what happened.
const stateName = "MutatingAdmissionPolicy"

// rounds is what the first pass tells the second, by policy, binding and parameter.
type rounds struct {
	done, again map[key]bool
	left        runtime.Object
}

type key struct{ policy, binding, namespace, name string }

func (r *rounds) changed() {
	for k := range r.done {
		r.again[k] = true
	}
	r.done = map[key]bool{}
}

// pass is one pass of one write through the policies.
type pass struct {
	m      *Mutator
	a      *admission.Attributes
	in     *expression.Inputs
	r      *rounds
	done   bool // a mutation was carried out, though it may have changed nothing
	denied []*denied
}

// denied is a policy that could not be carried out and does not pass that over.
type denied struct {
	policy, binding string
	err             error
	reason          metav1.StatusReason
}

func (d *denied) text() string {
	if d.binding != "" {
		return fmt.Sprintf("policy '%s' with binding '%s' denied request: %s", d.policy, d.binding, d.err)
	}
	return fmt.Sprintf("policy %q denied request: %s", d.policy, d.err)
}

func (p *pass) failed(policy *mutating, binding string, err error, reason metav1.StatusReason) {
	if !policy.ignore {
		p.denied = append(p.denied, &denied{policy.name, binding, err, reason})
	}
}

// step is a policy that concerns the write, with one binding and one parameter.
type step struct {
	policy  *mutating
	binding *binding
	param   runtime.Object
	target  admission.Target
}

// Admit lets every policy that a write concerns change its object, in the order of their names.
func (m *Mutator) Admit(ctx context.Context, a *admission.Attributes) error {
	if match.OutsidePolicies(a) || a.Operation == admission.Delete { // which has nothing that could be changed
		return nil
	}
	policies, bindings, err := m.all(ctx, a)
	if err != nil || len(policies) == 0 || len(bindings) == 0 {
		return err
	}
	p := &pass{m: m, a: a, in: expression.NewInputs(a, m.cfg.Authorizer), r: roundsOf(a)}
	var steps []step
	for _, policy := range policies {
		if slices.ContainsFunc(bindings, func(b *binding) bool { return b.policy == policy.name }) {
			steps = append(steps, p.steps(ctx, policy, bindings)...)
		}
	}
	if len(steps) > 0 {
		if err := p.run(ctx, steps); err != nil {
			return err
		}
	}
	return p.refusal()
}

func roundsOf(a *admission.Attributes) *rounds {
	if r, is := a.Passes.State[stateName].(*rounds); is {
		return r
	}
	r := &rounds{done: map[key]bool{}, again: map[key]bool{}}
	a.Passes.State[stateName] = r
	return r
}

// steps finds with which bindings and parameters a policy is to be carried out.
func (p *pass) steps(ctx context.Context, policy *mutating, bindings []*binding) []step {
	target, err := policy.match.Match(ctx, p.a, p.m.cfg.Namespaces)
	if err == nil && target != nil {
		err = policy.known(p.m.cfg.Kinds)
	}
	if err != nil {
		p.failed(policy, "", fmt.Errorf("failed to configure policy: %w", err), "")
		return nil
	}
	if target == nil {
		return nil
	}
	var steps []step
	for _, b := range bindings {
		if b.policy != policy.name {
			continue
		}
		inForce, err := b.match.Match(ctx, p.a, p.m.cfg.Namespaces)
		var params []runtime.Object
		if err == nil && inForce != nil {
			params, err = p.m.cfg.collect(ctx, policy.rules, b, p.a.ReviewNamespace())
		}
		if err != nil {
			p.failed(policy, b.name, fmt.Errorf("failed to configure binding: %w", err), "")
			continue
		}
		for _, param := range params {
			steps = append(steps, step{policy, b, param, *target})
		}
	}
	return steps
}

func (p *pass) run(ctx context.Context, steps []step) error {
	if p.a.Passes.Second && !equality.Semantic.DeepEqual(p.r.left, p.a.Object) {
		p.r.changed() // other rules have changed what the policies left
	}
	for _, s := range steps {
		if err := p.step(ctx, s); err != nil {
			return err
		}
	}
	if p.done { // all policies that want it have another turn, those too that were the last to change something
		p.r.changed()
		p.a.Passes.Again = true
	}
	if p.a.Object != nil {
		p.r.left = p.a.Object.DeepCopyObject()
	}
	return nil
}

func (p *pass) step(ctx context.Context, s step) error {
	values, conditions, err := p.m.cfg.values(ctx, p.a, p.in, s.target)
	if lost, is := err.(*apierrors.StatusError); is { // and not one that a conversion failed with
		return lost
	}
	if err != nil {
		p.failed(s.policy, "", fmt.Errorf("failed to configure policy: %w", err), "")
		return nil
	}
	shown, err := expression.Param(s.param, s.policy.paramKind())
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	conditions.Params = shown
	holds, err := s.policy.conditions.Hold(ctx, conditions)
	switch {
	case s.policy.err != nil:
		p.failed(s.policy, s.binding.name, s.policy.err, metav1.StatusReasonInvalid)
		return nil
	case err != nil:
		p.failed(s.policy, s.binding.name, err, metav1.StatusReasonInvalid)
		return nil
	case !holds:
		return nil
	}
	k := keyOf(s)
	if p.a.Passes.Second && !p.r.again[k] || p.a.Object == nil {
		return nil
	}
	before := p.a.Object.DeepCopyObject()
	for _, m := range s.policy.mutations {
		if values, _, err = p.m.cfg.values(ctx, p.a, p.in, s.target); err != nil {
			return apierrors.NewInternalError(err)
		}
		values.Params = shown
		if err := p.mutate(ctx, s, m, values); err != nil {
			var status *apierrors.StatusError
			if errors.As(err, &status) {
				return status
			}
			p.failed(s.policy, s.binding.name, err, metav1.StatusReasonInvalid)
		}
	}
	if !equality.Semantic.DeepEqual(before, p.a.Object) {
		p.r.changed()
		p.a.Passes.Again = true
	}
	if s.policy.again {
		p.r.done[k] = true
	}
	return nil
}

func keyOf(s step) key {
	k := key{policy: s.policy.name, binding: s.binding.name}
	if s.param == nil {
		return k
	}
	if m, err := meta.Accessor(s.param); err == nil {
		k.namespace, k.name = m.GetNamespace(), m.GetName()
	}
	return k
}

// mutate evaluates one mutation and brings what it gives into the object.
func (p *pass) mutate(ctx context.Context, s step, m change, values expression.Values) error {
	types := p.m.cfg.Kinds.TypesOf(s.target.Kind)
	if types == nil && !kinds.Scheme().Recognizes(s.target.Kind) { // bodies of subresources have no schemas, but can be patched
		return apierrors.NewServiceUnavailable(fmt.Sprintf("Resource kind %s not found. There can be a delay between when CustomResourceDefinitions are created and when they are available.", s.target.Kind))
	}
	if m.program.Err != nil {
		return m.program.Err
	}
	out, err, over := s.policy.compiler.Evaluate(ctx, values, expression.Budget).Run(m.program)
	if over != nil {
		return over
	}
	if err != nil {
		return err
	}
	before, err := p.a.In(s.target.Kind, p.a.Object)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	before = admission.Kinded(before, s.target.Kind)
	var after runtime.Object
	if m.json {
		after, err = jsonPatched(before, out)
	} else {
		after, err = merged(types, s.target.Kind, before, out)
	}
	if err != nil {
		return err
	}
	stored, err := p.a.From(after)
	if err != nil {
		return err
	}
	if p.a.Default != nil {
		p.a.Default(stored)
	}
	p.a.Object, p.done = stored, true
	p.in.Changed()
	return nil
}

// refusal tells of every policy that was not carried out, the first one loudest.
func (p *pass) refusal() error {
	if len(p.denied) == 0 {
		return nil
	}
	err := admission.Forbidden(p.a, errors.New("admission request denied by policy"))
	var status *apierrors.StatusError
	if !errors.As(err, &status) {
		return apierrors.NewInternalError(errors.New("failed to create status error"))
	}
	s := &status.ErrStatus
	s.Message = p.denied[0].text()
	if r := p.denied[0].reason; r != "" {
		s.Reason = r
	}
	for _, d := range p.denied {
		s.Details.Causes = append(s.Details.Causes, metav1.StatusCause{Message: d.text()})
	}
	return status
}
