package admissionregistration

import (
	"context"
	"slices"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

type (
	validatingBinding = admissionv1.ValidatingAdmissionPolicyBinding
	mutatingBinding   = admissionv1.MutatingAdmissionPolicyBinding
)

func bindingColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		column.Name(),
		column.Text("PolicyName", "PolicyName indicates the policy definition which the policy binding binded to"),
		column.Text("ParamRef", "ParamRef indicates the param resource which sets the configuration param"),
		column.Age(),
	}
}

func bindingRow(meta *metav1.ObjectMeta, policy string, ref *admissionv1.ParamRef) []any {
	return []any{meta.Name, policy, paramRefCell(ref), column.Since(meta.CreationTimestamp)}
}

// paramRefCell shows a param; which namespace it is in the reference alone may not tell.
func paramRefCell(ref *admissionv1.ParamRef) string {
	switch {
	case ref == nil:
		return unset
	case ref.Name != "" && ref.Namespace != "":
		return ref.Namespace + "/" + ref.Name
	case ref.Name != "":
		return "*/" + ref.Name
	case ref.Selector != nil:
		return ref.Selector.String()
	}
	return unset
}

// ValidatingAdmissionPolicyBinding declares validatingadmissionpolicybindings.
func ValidatingAdmissionPolicyBinding(rights Rights) *resource.Resource {
	return resource.Define(resource.Definition[*validatingBinding]{
		Kind:           admissionv1.SchemeGroupVersion.WithKind("ValidatingAdmissionPolicyBinding"),
		Plural:         "validatingadmissionpolicybindings",
		Categories:     []string{"api-extensions"},
		ClusterScoped:  true,
		StrictUpdate:   true,
		FreeFinalizers: true,
		Warn:           warnReserved[*validatingBinding],
		Default:        func(obj *validatingBinding) { defaultMatch(obj.Spec.MatchResources) },
		Spec:           func(obj *validatingBinding) any { return &obj.Spec },
		Validate: func(ctx context.Context, obj, old *validatingBinding) field.ErrorList {
			at := field.NewPath("spec")
			faults := validateBinding(at, obj.Spec.PolicyName, obj.Spec.ParamRef, obj.Spec.MatchResources)
			faults = append(faults, validateActions(at.Child("validationActions"), obj.Spec.ValidationActions)...)
			if len(faults) > 0 {
				return faults
			}
			if old == nil {
				old = &validatingBinding{}
			}
			return rights.paramRef(ctx, obj.Spec.PolicyName, obj.Spec.ParamRef, old.Spec.PolicyName, old.Spec.ParamRef, rights.validatingKind)
		},
		Columns: bindingColumns(),
		Row: func(obj *validatingBinding) []any {
			return bindingRow(&obj.ObjectMeta, obj.Spec.PolicyName, obj.Spec.ParamRef)
		},
	})
}

// MutatingAdmissionPolicyBinding declares mutatingadmissionpolicybindings.
func MutatingAdmissionPolicyBinding(rights Rights) *resource.Resource {
	return resource.Define(resource.Definition[*mutatingBinding]{
		Kind:           admissionv1.SchemeGroupVersion.WithKind("MutatingAdmissionPolicyBinding"),
		Plural:         "mutatingadmissionpolicybindings",
		Categories:     []string{"api-extensions"},
		ClusterScoped:  true,
		StrictUpdate:   true,
		FreeFinalizers: true,
		Warn:           warnReserved[*mutatingBinding],
		StoredVersion:  "v1beta1",
		Default:        func(obj *mutatingBinding) { defaultMatch(obj.Spec.MatchResources) },
		Spec:           func(obj *mutatingBinding) any { return &obj.Spec },
		Validate: func(ctx context.Context, obj, old *mutatingBinding) field.ErrorList {
			at := field.NewPath("spec")
			faults := validateBinding(at, obj.Spec.PolicyName, obj.Spec.ParamRef, obj.Spec.MatchResources)
			faults = append(faults, validateOperations(at.Child("matchResources"), obj.Spec.MatchResources, mutable)...)
			if len(faults) > 0 {
				return faults
			}
			if old == nil {
				old = &mutatingBinding{}
			}
			return rights.paramRef(ctx, obj.Spec.PolicyName, obj.Spec.ParamRef, old.Spec.PolicyName, old.Spec.ParamRef, rights.mutatingKind)
		},
		Columns: bindingColumns(),
		Row: func(obj *mutatingBinding) []any {
			return bindingRow(&obj.ObjectMeta, obj.Spec.PolicyName, obj.Spec.ParamRef)
		},
	})
}

func validateBinding(at *field.Path, policy string, ref *admissionv1.ParamRef, match *admissionv1.MatchResources) field.ErrorList {
	var faults field.ErrorList
	faults = append(faults, validation.FilledWith(at.Child("policyName"), policy, validation.DNSSubdomain)...)
	faults = append(faults, validateParamRef(at.Child("paramRef"), ref)...)
	return append(faults, validateMatch(at.Child("matchResources"), match)...)
}

func validateParamRef(at *field.Path, ref *admissionv1.ParamRef) field.ErrorList {
	if ref == nil {
		return nil
	}
	const exclusive = "name and selector are mutually exclusive"
	var faults field.ErrorList
	if ref.Name != "" {
		faults = append(faults, validation.Invalid(at.Child("name"), ref.Name, path.ValidatePathSegmentName(ref.Name, false))...)
		if ref.Selector != nil {
			faults = append(faults, field.Forbidden(at.Child("name"), exclusive))
		}
	}
	if ref.Selector != nil {
		faults = append(faults, validation.LabelSelector(at.Child("selector"), ref.Selector, false)...)
		if ref.Name != "" {
			faults = append(faults, field.Forbidden(at.Child("selector"), exclusive))
		}
	}
	if ref.Name == "" && ref.Selector == nil {
		faults = append(faults, field.Required(at, "one of name or selector must be specified"))
	}
	if a := ref.ParameterNotFoundAction; a == nil || *a == "" {
		return append(faults, field.Required(at.Child("parameterNotFoundAction"), ""))
	}
	return append(faults, oneOf(at.Child("parameterNotFoundAction"), ref.ParameterNotFoundAction, admissionv1.DenyAction, admissionv1.AllowAction)...)
}

func validateActions(at *field.Path, actions []admissionv1.ValidationAction) field.ErrorList {
	var faults field.ErrorList
	for i := range actions {
		faults = append(faults, oneOf(at.Index(i), &actions[i], admissionv1.Audit, admissionv1.Deny, admissionv1.Warn)...)
		if slices.Contains(actions[:i], actions[i]) {
			faults = append(faults, field.Duplicate(at.Index(i), actions[i]))
		}
	}
	if slices.Contains(actions, admissionv1.Deny) && slices.Contains(actions, admissionv1.Warn) {
		faults = append(faults, field.Invalid(at, actions, "must not contain both Deny and Warn "+
			"(repeating the same validation failure information in the API response and headers serves no purpose)"))
	}
	if len(actions) == 0 {
		faults = append(faults, field.Required(at, "at least one validation action is required"))
	}
	return faults
}
