package expression

import (
	"context"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
)

// Conditions are expressions that all have to hold for a configuration to concern a write.
type Conditions struct {
	compiler *Compiler
	programs []*Program
}

// Conditions compiles conditions; nil for none.
func (c *Compiler) Conditions(texts []string, v Vars) *Conditions {
	if len(texts) == 0 {
		return nil
	}
	out := &Conditions{compiler: c}
	for _, t := range texts {
		out.programs = append(out.programs, c.Compile(t, v, Stored, cel.BoolType))
	}
	return out
}

// Hold says whether all conditions hold. One that does not hold decides, whatever is wrong with the others.
func (c *Conditions) Hold(ctx context.Context, v Values) (bool, error) {
	if c == nil {
		return true, nil
	}
	e := c.compiler.Evaluate(ctx, v, ConditionsBudget)
	var errs []error
	holds := true
	for _, p := range c.programs {
		out, err, over := e.Run(p)
		if over != nil {
			return false, over
		}
		if err != nil {
			errs = append(errs, err)
		}
		holds = holds && out != types.False
	}
	if !holds {
		return false, nil
	}
	if len(errs) > 0 {
		return false, utilerrors.NewAggregate(errs)
	}
	return true, nil
}
