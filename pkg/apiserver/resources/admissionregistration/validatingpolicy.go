package admissionregistration

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/util/jsonpath"

	"github.com/sampan-project/sampan/pkg/apiserver/admission/expression"
	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// Bounds of audit annotations: their number, and the bytes of each expression.
const (
	maxAuditAnnotations = 20
	maxAuditExpression  = 5 << 10
)

type validatingPolicy = admissionv1.ValidatingAdmissionPolicy

var reasons = []metav1.StatusReason{metav1.StatusReasonForbidden, metav1.StatusReasonInvalid, metav1.StatusReasonRequestEntityTooLarge}

func everything() *metav1.LabelSelector { return &metav1.LabelSelector{} }

// ValidatingAdmissionPolicy declares validatingadmissionpolicies.
func ValidatingAdmissionPolicy(rights Rights) *resource.Resource {
	kind := admissionv1.SchemeGroupVersion.WithKind("ValidatingAdmissionPolicy")
	return resource.Define(resource.Definition[*validatingPolicy]{
		Kind:           kind,
		Plural:         "validatingadmissionpolicies",
		Singular:       "validatingadmissionpolicy",
		Categories:     []string{"api-extensions"},
		ClusterScoped:  true,
		StrictUpdate:   true,
		FreeFinalizers: true,
		Warn:           warnReserved[*validatingPolicy],
		Default: func(obj *validatingPolicy) {
			orElse(&obj.Spec.FailurePolicy, admissionv1.Fail)
			defaultMatch(obj.Spec.MatchConstraints)
		},
		Prepare: resource.KeepStatus(func(obj *validatingPolicy) *admissionv1.ValidatingAdmissionPolicyStatus { return &obj.Status }),
		Spec:    func(obj *validatingPolicy) any { return &obj.Spec },
		Reset:   []string{"status"},
		Validate: func(ctx context.Context, obj, old *validatingPolicy) field.ErrorList {
			if faults := validateValidatingPolicy(obj, old); len(faults) > 0 {
				return faults
			}
			return rights.paramKind(ctx, validatingSpec(obj), validatingSpec(old))
		},
		Columns: policyColumns(column.Integer("Validations", "Validations indicates the number of validation rules defined in this configuration")),
		Row: func(obj *validatingPolicy) []any {
			return policyRow(&obj.ObjectMeta, len(obj.Spec.Validations), obj.Spec.ParamKind)
		},
		Subresources: []resource.Subresource[*validatingPolicy]{resource.Status(kind, resource.UpdatePart[*validatingPolicy]{
			Prepare: func(_ context.Context, obj, old *validatingPolicy) {
				obj.Spec = *old.Spec.DeepCopy()
				metav1.ResetObjectMetaForStatus(&obj.ObjectMeta, &old.ObjectMeta)
			},
			Validate: func(_ context.Context, obj, _ *validatingPolicy) field.ErrorList {
				return validatePolicyStatus(&obj.Status)
			},
			Warn:  warnReserved[*validatingPolicy],
			Reset: []string{"spec", "metadata"},
		})},
	})
}

func knownOf(old *validatingPolicy) known {
	k := known{}
	if old == nil {
		return k
	}
	for _, c := range old.Spec.MatchConditions {
		k[c.Expression] = true
	}
	for _, v := range old.Spec.Validations {
		k[v.Expression], k[v.MessageExpression] = true, true
	}
	for _, a := range old.Spec.AuditAnnotations {
		k[a.ValueExpression] = true
	}
	return k
}

func validatingSpec(obj *validatingPolicy) *policySpec {
	if obj == nil {
		return nil
	}
	s := &obj.Spec
	return &policySpec{s.FailurePolicy, s.ParamKind, s.MatchConstraints, s.MatchConditions, s.Variables}
}

func validateValidatingPolicy(obj, old *validatingPolicy) field.ErrorList {
	spec, at, k := &obj.Spec, field.NewPath("spec"), knownOf(old)
	alike := validatingSpec(obj)
	compiler, faults := alike.validate(at, validatingSpec(old), k, nil)
	if compiler == nil {
		return faults
	}
	vars := alike.vars()
	if len(spec.Validations) == 0 && len(spec.AuditAnnotations) == 0 {
		const text = "validations or auditAnnotations must contain at least one item"
		return append(faults, field.Required(at.Child("validations"), text), field.Required(at.Child("auditAnnotations"), text))
	}
	for i := range spec.Validations {
		faults = append(faults, validateValidation(at.Child("validations").Index(i), compiler, &spec.Validations[i], vars, k)...)
	}
	return append(faults, validateAudit(at.Child("auditAnnotations"), compiler, obj, vars, k)...)
}

func validateValidation(at *field.Path, c *expression.Compiler, v *admissionv1.Validation, vars expression.Vars, k known) field.ErrorList {
	var faults field.ErrorList
	if strings.TrimSpace(v.Expression) == "" {
		faults = append(faults, field.Required(at.Child("expression"), "expression is not specified"))
	} else {
		faults = append(faults, celFault(at.Child("expression"), c.Compile(v.Expression, vars, k.mode(v.Expression), cel.BoolType))...)
	}
	if v.MessageExpression != "" {
		if strings.TrimSpace(v.MessageExpression) == "" {
			faults = append(faults, field.Invalid(at.Child("messageExpression"), v.MessageExpression, "must be non-empty if specified"))
		} else {
			p := c.Compile(v.MessageExpression, expression.Vars{Params: vars.Params}, k.mode(v.MessageExpression), cel.StringType)
			faults = append(faults, celFault(at.Child("messageExpression"), p)...)
		}
	}
	switch message := strings.TrimSpace(v.Message); {
	case v.Message != "" && message == "":
		faults = append(faults, field.Invalid(at.Child("message"), v.Message, "must be non-empty if specified"))
	case strings.ContainsAny(message, "\n\r"):
		faults = append(faults, field.Invalid(at.Child("message"), v.Message, "must not contain line breaks"))
	}
	return append(faults, oneOf(at.Child("reason"), v.Reason, reasons...)...)
}

func validateAudit(at *field.Path, c *expression.Compiler, obj *validatingPolicy, vars expression.Vars, k known) field.ErrorList {
	var faults field.ErrorList
	list := obj.Spec.AuditAnnotations
	if len(list) > maxAuditAnnotations {
		faults = append(faults, field.Invalid(at, list, fmt.Sprintf("must not have more than %d auditAnnotations", maxAuditAnnotations)))
	}
	seen := map[string]bool{}
	for i := range list {
		a, at := &list[i], at.Index(i)
		if obj.Name == "" {
			faults = append(faults, field.Invalid(at.Child("key"), a.Key, "requires metadata.name be non-empty"))
		} else {
			faults = append(faults, qualified(at.Child("key"), obj.Name+"/"+a.Key)...)
		}
		switch text := strings.TrimSpace(a.ValueExpression); {
		case text == "":
			faults = append(faults, field.Required(at.Child("valueExpression"), "valueExpression is not specified"))
		case len(text) > maxAuditExpression:
			faults = append(faults, field.Required(at.Child("valueExpression"), fmt.Sprintf("must not exceed %d bytes in length", maxAuditExpression)))
		default:
			p := c.Compile(text, vars, k.mode(a.ValueExpression), cel.StringType, cel.NullType)
			p.Text = a.ValueExpression
			faults = append(faults, celFault(at.Child("valueExpression"), p)...)
		}
		if seen[a.Key] {
			faults = append(faults, field.Duplicate(at.Child("key"), a.Key))
		}
		seen[a.Key] = true
	}
	return faults
}

func validatePolicyStatus(status *admissionv1.ValidatingAdmissionPolicyStatus) field.ErrorList {
	at := field.NewPath("status")
	var faults field.ErrorList
	if status.TypeChecking != nil {
		for i, w := range status.TypeChecking.ExpressionWarnings {
			at := at.Child("typeChecking", "expressionWarnings").Index(i)
			if w.Warning == "" {
				faults = append(faults, field.Required(at.Child("warning"), ""))
			}
			ref := strings.TrimSpace(w.FieldRef)
			if ref == "" {
				faults = append(faults, field.Required(at.Child("fieldRef"), ""))
			} else if err := jsonpath.New("spec").Parse(fmt.Sprintf("{%s}", ref)); err != nil {
				faults = append(faults, field.Invalid(at.Child("fieldRef"), ref, fmt.Sprintf("invalid JSONPath: %v", err)))
			}
		}
	}
	return append(faults, metav1validation.ValidateConditions(status.Conditions, at.Child("conditions"))...)
}
