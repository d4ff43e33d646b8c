package expression

import (
	"context"
	"fmt"
	"math"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/lazy"
)

// Budgets, in units of CEL's cost: of a policy's expressions for one binding, of match conditions.
const (
	Budget           = 10_000_000
	ConditionsBudget = 2_500_000
)

// Values are what an expression sees. Each is nil where there is none.
type Values struct {
	Object, OldObject, Params, Request, Namespace any
	Authorizer, ResourceAuthorizer                ref.Val
}

// Evaluation runs the expressions of one compiler on one set of values, within one budget. Variables are evaluated
// when first used, once.
type Evaluation struct {
	Left   int64 // of the budget
	ctx    context.Context
	values Values
	// variables are lazily evaluated; cost is what that has cost since it was last counted.
	variables ref.Val
	cost      int64
}

var _ interpreter.Activation = (*Evaluation)(nil)

// Evaluate begins.
func (c *Compiler) Evaluate(ctx context.Context, v Values, budget int64) *Evaluation {
	e := &Evaluation{Left: budget, ctx: ctx, values: v}
	if c.mapType == nil {
		return e
	}
	m := lazy.NewMapValue(c.mapType)
	for _, v := range c.variables {
		m.Append(v.name, func(*lazy.MapValue) ref.Val { return e.variable(v) })
	}
	e.variables = m
	return e
}

// ResolveName implements interpreter.Activation.
func (e *Evaluation) ResolveName(name string) (any, bool) {
	switch name {
	case objectName:
		return e.values.Object, true
	case oldObjectName:
		return e.values.OldObject, true
	case paramsName:
		return e.values.Params, true
	case requestName:
		return e.values.Request, true
	case namespaceName:
		return e.values.Namespace, true
	case authorizerName:
		return e.values.Authorizer, e.values.Authorizer != nil
	case resourceAuthName:
		return e.values.ResourceAuthorizer, e.values.ResourceAuthorizer != nil
	case variablesName:
		return e.variables, true
	}
	return nil, false
}

// Parent implements interpreter.Activation.
func (*Evaluation) Parent() interpreter.Activation { return nil }

func (e *Evaluation) variable(v variable) ref.Val {
	if v.program.Err != nil {
		return types.NewErr("composited variable %q fails to compile: %v", v.name, v.program.Err)
	}
	out, details, err := v.program.program.ContextEval(e.ctx, e)
	if details == nil {
		return types.NewErr("unable to get evaluation details of variable %q", v.name)
	}
	cost := details.ActualCost()
	if cost == nil {
		return types.NewErr("unable to calculate cost of variable %q", v.name)
	}
	e.cost += int64(min(*cost, math.MaxInt64))
	if err != nil {
		return types.NewErr("composited variable %q fails to evaluate: %v", v.name, err)
	}
	return out
}

// Run evaluates a program. err is what went wrong with it alone; over says that no further one can be evaluated.
func (e *Evaluation) Run(p *Program) (out ref.Val, err, over error) {
	if p.Err != nil {
		return nil, &Error{Type: apiservercel.ErrorTypeInvalid, Detail: fmt.Sprintf("compilation error: %v", p.Err), Cause: p.Err}, nil
	}
	out, details, err := p.program.ContextEval(e.ctx, e)
	spent := e.cost
	e.cost = 0
	if details == nil {
		return nil, nil, &Error{Type: apiservercel.ErrorTypeInternal,
			Detail: fmt.Sprintf("runtime cost could not be calculated for expression: %v, no further expression will be run", p.Text)}
	}
	cost := details.ActualCost()
	if cost == nil {
		return nil, nil, &Error{Type: apiservercel.ErrorTypeInvalid, Cause: apiservercel.ErrOutOfBudget,
			Detail: fmt.Sprintf("runtime cost could not be calculated for expression: %v, no further expression will be run", p.Text)}
	}
	if spent > e.Left || *cost > math.MaxInt64 || int64(*cost) > e.Left-spent {
		e.Left = -1
		return nil, nil, &Error{Type: apiservercel.ErrorTypeInvalid, Cause: apiservercel.ErrOutOfBudget,
			Detail: "validation failed due to running out of cost budget, no further validation rules will be run"}
	}
	e.Left -= spent + int64(*cost)
	if err != nil {
		return nil, &Error{Type: apiservercel.ErrorTypeInvalid, Detail: fmt.Sprintf("expression '%v' resulted in error: %v", p.Text, err)}, nil
	}
	return out, nil, nil
}
