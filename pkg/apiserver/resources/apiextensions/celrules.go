package apiextensions

import (
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apicel "k8s.io/apiserver/pkg/cel"

	"github.com/sampan-project/sampan/pkg/apiserver/crdschema"
)

// compile judges the rules at one place of a schema.
func (w *walk) compile(s *apiextensions.JSONSchemaProps, p place) (faults field.ErrorList) {
	at := p.at.Child("x-kubernetes-validations")
	known, err := p.types.info()
	if err != nil {
		return field.ErrorList{field.InternalError(at, fmt.Errorf("internal error: failed to construct type information for x-kubernetes-validations rules: %w", err))}
	}
	compiled, err := cel.Compile(known.schema, known.declared, crdschema.CallCost, w.env, w.known)
	if err != nil {
		return field.ErrorList{field.InternalError(at, err)}
	}
	for i := range compiled {
		faults = append(faults, w.rule(s, &compiled[i], p, i, at.Index(i))...)
	}
	return faults
}

func (w *walk) rule(s *apiextensions.JSONSchemaProps, c *cel.CompilationResult, p place, i int, at *field.Path) (faults field.ErrorList) {
	rule := &s.XValidations[i]
	price := p.types.price(c)
	if !w.unpriced && price > crdschema.ForeseenRule {
		faults = append(faults, field.Forbidden(at.Child("rule"), tooDear("estimated rule cost", price, crdschema.ForeseenRule)))
	}
	w.total.add(at.Child("rule"), price)
	if c.Error != nil {
		if c.Error.Type == apicel.ErrorTypeRequired {
			faults = append(faults, field.Required(at.Child("rule"), c.Error.Detail))
		} else {
			faults = append(faults, field.Invalid(at.Child("rule"), *rule, c.Error.Detail))
		}
	}
	switch {
	case c.MessageExpressionError != nil:
		faults = append(faults, field.Invalid(at.Child("messageExpression"), *rule, c.MessageExpressionError.Detail))
	case c.MessageExpression != nil:
		if !w.unpriced && c.MessageExpressionMaxCost > crdschema.ForeseenRule {
			faults = append(faults, field.Forbidden(at.Child("messageExpression"),
				tooDear("estimated messageExpression cost", c.MessageExpressionMaxCost, crdschema.ForeseenRule)))
		}
		w.total.add(at.Child("messageExpression"), c.MessageExpressionMaxCost)
	}
	switch {
	case c.UsesOldSelf && p.uncorrelated != nil:
		faults = append(faults, field.Invalid(at.Child("rule"), rule.Rule,
			fmt.Sprintf("oldSelf cannot be used on the uncorrelatable portion of the schema within %v", p.uncorrelated)))
	case !c.UsesOldSelf && rule.OptionalOldSelf != nil:
		faults = append(faults, field.Invalid(at.Child("optionalOldSelf"), *rule.OptionalOldSelf, "may not be set if oldSelf is not used in rule"))
	}
	return faults
}
