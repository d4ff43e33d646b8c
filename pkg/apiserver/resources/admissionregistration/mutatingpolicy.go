package admissionregistration

import (
	"context"
	"strings"

	"github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/admission/expression"
	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

type mutatingPolicy = admissionv1.MutatingAdmissionPolicy

// mutable are the operations in which there is an object to change.
var mutable = []admissionv1.OperationType{admissionv1.OperationAll, admissionv1.Connect, admissionv1.Create, admissionv1.Update}

// MutatingAdmissionPolicy declares mutatingadmissionpolicies.
func MutatingAdmissionPolicy(rights Rights) *resource.Resource {
	return resource.Define(resource.Definition[*mutatingPolicy]{
		Kind:           admissionv1.SchemeGroupVersion.WithKind("MutatingAdmissionPolicy"),
		Plural:         "mutatingadmissionpolicies",
		Categories:     []string{"api-extensions"},
		ClusterScoped:  true,
		StrictUpdate:   true,
		FreeFinalizers: true,
		Warn:           warnReserved[*mutatingPolicy],
		StoredVersion:  "v1beta1",
		Default: func(obj *mutatingPolicy) {
			orElse(&obj.Spec.FailurePolicy, admissionv1.Fail)
			defaultMatch(obj.Spec.MatchConstraints)
		},
		Spec: func(obj *mutatingPolicy) any { return &obj.Spec },
		Validate: func(ctx context.Context, obj, old *mutatingPolicy) field.ErrorList {
			if faults := validateMutatingPolicy(obj, old); len(faults) > 0 {
				return faults
			}
			return rights.paramKind(ctx, mutatingSpec(obj), mutatingSpec(old))
		},
		Columns: policyColumns(column.Integer("Mutations", "Mutation indicates the number of mutations rules defined in this configuration")),
		Row: func(obj *mutatingPolicy) []any {
			return policyRow(&obj.ObjectMeta, len(obj.Spec.Mutations), obj.Spec.ParamKind)
		},
	})
}

func mutatingSpec(obj *mutatingPolicy) *policySpec {
	if obj == nil {
		return nil
	}
	s := &obj.Spec
	return &policySpec{s.FailurePolicy, s.ParamKind, s.MatchConstraints, s.MatchConditions, s.Variables}
}

func validateMutatingPolicy(obj, old *mutatingPolicy) field.ErrorList {
	spec, at, k := &obj.Spec, field.NewPath("spec"), known{}
	if old != nil {
		for _, c := range old.Spec.MatchConditions {
			k[c.Expression] = true
		}
		for _, m := range old.Spec.Mutations {
			k[mutationText(&m)] = true
		}
	}
	alike := mutatingSpec(obj)
	compiler, faults := alike.validate(at, mutatingSpec(old), k, mutable)
	if compiler == nil {
		return faults
	}
	if len(spec.Mutations) == 0 {
		faults = append(faults, field.Required(at.Child("mutations"), "mutations must contain at least one item"))
	}
	for i := range spec.Mutations {
		faults = append(faults, validateMutation(at.Child("mutations").Index(i), compiler, &spec.Mutations[i], alike.vars(), k)...)
	}
	if spec.ReinvocationPolicy == "" {
		return append(faults, field.Required(at.Child("reinvocationPolicy"), ""))
	}
	return append(faults, oneOf(at.Child("reinvocationPolicy"), &spec.ReinvocationPolicy, reinvocations...)...)
}

func mutationText(m *admissionv1.Mutation) string {
	switch {
	case m.JSONPatch != nil:
		return m.JSONPatch.Expression
	case m.ApplyConfiguration != nil:
		return m.ApplyConfiguration.Expression
	}
	return ""
}

func validateMutation(at *field.Path, c *expression.Compiler, m *admissionv1.Mutation, vars expression.Vars, k known) field.ErrorList {
	vars.Patches = true
	apply, patch := at.Child("applyConfiguration"), at.Child("jsonPatch")
	var faults field.ErrorList
	compile := func(at *field.Path, text string, result *cel.Type) {
		if strings.TrimSpace(text) == "" {
			faults = append(faults, field.Required(at.Child("expression"), ""))
			return
		}
		faults = append(faults, celFault(at.Child("expression"), c.Compile(text, vars, k.mode(text), result))...)
	}
	switch m.PatchType {
	case "":
		return field.ErrorList{field.Required(at.Child("patchType"), "")}
	case admissionv1.PatchTypeApplyConfiguration:
		if m.ApplyConfiguration == nil {
			faults = append(faults, field.Required(apply, "must be specified when patchType is ApplyConfiguration"))
		} else {
			compile(apply, m.ApplyConfiguration.Expression, expression.ObjectPatch)
		}
		if m.JSONPatch != nil {
			faults = append(faults, field.Invalid(patch, "{jsonPatch}", "must not be specified when patchType is ApplyConfiguration"))
		}
	case admissionv1.PatchTypeJSONPatch:
		if m.JSONPatch == nil {
			faults = append(faults, field.Required(patch, "must be specified when patchType is JSONPatch"))
		} else {
			compile(patch, m.JSONPatch.Expression, expression.JSONPatch)
		}
		if m.ApplyConfiguration != nil {
			faults = append(faults, field.Invalid(apply, "{applyConfiguration}", "must not be specified when patchType is JSONPatch"))
		}
	default:
		faults = append(faults, oneOf(at.Child("patchType"), &m.PatchType, admissionv1.PatchTypeApplyConfiguration, admissionv1.PatchTypeJSONPatch)...)
	}
	return faults
}
