package admissionregistration

import (
	"reflect"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/admission/expression"
	"github.com/sampan-project/sampan/pkg/apiserver/column"
)

const unset = "<unset>"

// policyColumns are those of both kinds of policies; first counts what a policy does.
func policyColumns(first metav1.TableColumnDefinition) []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		column.Name(),
		first,
		column.Text("ParamKind", "ParamKind specifies the kind of resources used to parameterize this policy"),
		column.Age(),
	}
}

func policyRow(meta *metav1.ObjectMeta, count int, k *admissionv1.ParamKind) []any {
	shown := unset
	if k != nil {
		shown = k.APIVersion + "/" + k.Kind
	}
	return []any{meta.Name, int64(count), shown, column.Since(meta.CreationTimestamp)}
}

// policySpec is what the specs of both kinds of policies say alike.
type policySpec struct {
	failurePolicy *admissionv1.FailurePolicyType
	paramKind     *admissionv1.ParamKind
	match         *admissionv1.MatchResources
	conditions    []admissionv1.MatchCondition
	variables     []admissionv1.Variable
}

// vars are what a policy's expressions may refer to.
func (s policySpec) vars() expression.Vars {
	return expression.Vars{Params: s.paramKind != nil, Authorizer: true}
}

// validate judges what both kinds of policies say alike, and gives the compiler, which knows the variables, of what
// they say else; nil where there is none, and what was found is all. A policy may name only the operations allowed, or
// any where that is nil.
func (s policySpec) validate(at *field.Path, old *policySpec, k known, allowed []admissionv1.OperationType) (*expression.Compiler, field.ErrorList) {
	faults := oneOfRequired(at.Child("failurePolicy"), s.failurePolicy, failurePolicies...)
	faults = append(faults, validateWhat(at, s.paramKind, s.match)...)
	if allowed != nil {
		faults = append(faults, validateOperations(at.Child("matchConstraints"), s.match, allowed)...)
	}
	if old == nil || !reflect.DeepEqual(s.paramKind, old.paramKind) || !reflect.DeepEqual(s.conditions, old.conditions) {
		faults = append(faults, validateConditions(at.Child("matchConditions"), s.conditions, s.paramKind != nil, k)...)
	}
	compiler, err := newCompiler(len(s.variables) > 0 || allowed != nil)
	if err != nil {
		return nil, append(faults, field.InternalError(at, err))
	}
	for i := range s.variables {
		faults = append(faults, validateVariable(at.Child("variables").Index(i), compiler, &s.variables[i], s.vars(), k)...)
	}
	return compiler, faults
}

// validateWhat judges what a policy concerns.
func validateWhat(at *field.Path, kind *admissionv1.ParamKind, match *admissionv1.MatchResources) field.ErrorList {
	var faults field.ErrorList
	if kind != nil {
		faults = append(faults, validateParamKind(at.Child("paramKind"), kind)...)
	}
	if match == nil {
		return append(faults, field.Required(at.Child("matchConstraints"), ""))
	}
	faults = append(faults, validateMatch(at.Child("matchConstraints"), match)...)
	if len(match.ResourceRules) == 0 {
		faults = append(faults, field.Required(at.Child("matchConstraints", "resourceRules"), ""))
	}
	return faults
}

// validateOperations refuses rules that name other operations than those allowed.
func validateOperations(at *field.Path, match *admissionv1.MatchResources, allowed []admissionv1.OperationType) field.ErrorList {
	if match == nil {
		return nil
	}
	var faults field.ErrorList
	for _, rule := range match.ResourceRules {
		for i := range rule.Operations {
			faults = append(faults, oneOf(at.Child("resourceRules", "operations"), &rule.Operations[i], allowed...)...)
		}
	}
	return faults
}
