package admissionregistration

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apiservercel "k8s.io/apiserver/pkg/cel"

	"github.com/sampan-project/sampan/pkg/apiserver/admission/expression"
)

// maxConditions bounds the match conditions of one configuration.
const maxConditions = 64

// known are the expressions that an old object held: they may use all that this version knows.
type known map[string]bool

func (k known) mode(text string) expression.Mode {
	if k[text] {
		return expression.Stored
	}
	return expression.New
}

// celFault turns what is wrong with a compiled expression into a fault.
func celFault(at *field.Path, p *expression.Program) field.ErrorList {
	if p.Err == nil {
		return nil
	}
	switch p.Err.Type {
	case apiservercel.ErrorTypeRequired:
		return field.ErrorList{field.Required(at, p.Err.Detail)}
	case apiservercel.ErrorTypeInvalid:
		return field.ErrorList{field.Invalid(at, p.Text, p.Err.Detail)}
	}
	return field.ErrorList{field.InternalError(at, p.Err)}
}

func validateConditions(at *field.Path, conditions []admissionv1.MatchCondition, params bool, k known) field.ErrorList {
	var faults field.ErrorList
	if len(conditions) > maxConditions {
		faults = append(faults, field.TooMany(at, len(conditions), maxConditions))
	}
	seen := map[string]bool{}
	for i := range conditions {
		c, at := &conditions[i], at.Index(i)
		text := strings.TrimSpace(c.Expression)
		if text == "" {
			faults = append(faults, field.Required(at.Child("expression"), ""))
		} else {
			p := expression.NewCompiler().Compile(text, expression.Vars{Params: params, Authorizer: true}, k.mode(c.Expression), cel.BoolType)
			faults = append(faults, celFault(at.Child("expression"), p)...)
		}
		switch {
		case c.Name == "":
			faults = append(faults, field.Required(at.Child("name"), ""))
		default:
			faults = append(faults, qualified(at.Child("name"), c.Name)...)
			if seen[c.Name] {
				faults = append(faults, field.Duplicate(at.Child("name"), c.Name))
			}
		}
		seen[c.Name] = true
	}
	return faults
}

func qualified(at *field.Path, name string) field.ErrorList {
	var faults field.ErrorList
	for _, text := range utilvalidation.IsQualifiedName(name) {
		faults = append(faults, field.Invalid(at, name, text))
	}
	return faults
}

var identifier = regexp.MustCompile(`^[_a-zA-Z][_a-zA-Z0-9]*$`)

// reserved are the words of CEL that name nothing.
var reserved = strings.Fields("true false null in as break const continue else for function if import let loop package namespace return var void while")

// validateVariable judges a variable and makes it known to the compiler.
func validateVariable(at *field.Path, c *expression.Compiler, v *admissionv1.Variable, vars expression.Vars, k known) field.ErrorList {
	var faults field.ErrorList
	switch {
	case strings.TrimSpace(v.Name) == "":
		faults = append(faults, field.Required(at.Child("name"), "name is not specified"))
	case !identifier.MatchString(v.Name) || slices.Contains(reserved, v.Name):
		faults = append(faults, field.Invalid(at.Child("name"), v.Name, "must be a valid CEL identifier"))
	}
	if strings.TrimSpace(v.Expression) == "" {
		return append(faults, field.Required(at.Child("expression"), "expression is not specified"))
	}
	return append(faults, celFault(at.Child("expression"), c.Variable(v.Name, v.Expression, vars, k.mode(v.Expression)))...)
}

// newCompiler makes variables available to a validating policy that has some, and to any mutating one.
func newCompiler(composed bool) (*expression.Compiler, error) {
	if composed {
		return expression.NewComposed()
	}
	return expression.NewCompiler(), nil
}

func validateParamKind(at *field.Path, kind *admissionv1.ParamKind) field.ErrorList {
	faults := validateParamVersion(at.Child("apiVersion"), kind.APIVersion)
	if kind.Kind == "" {
		return append(faults, field.Required(at.Child("kind"), ""))
	}
	if texts := utilvalidation.IsDNS1035Label(strings.ToLower(kind.Kind)); len(texts) > 0 {
		faults = append(faults, field.Invalid(at.Child("kind"), kind.Kind, "may have mixed case, but should otherwise match: "+strings.Join(texts, ",")))
	}
	return faults
}

func validateParamVersion(at *field.Path, text string) field.ErrorList {
	if text == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	group, version, err := splitVersion(text)
	if err != nil {
		return field.ErrorList{field.Invalid(at, text, err.Error())}
	}
	var faults field.ErrorList
	if group != "" {
		if texts := utilvalidation.IsDNS1123Subdomain(group); len(texts) > 0 {
			faults = append(faults, field.Invalid(at, group, strings.Join(texts, ",")))
		}
	}
	if version == "" {
		return append(faults, field.Invalid(at, text, "version must be specified"))
	}
	if texts := utilvalidation.IsDNS1035Label(version); len(texts) > 0 {
		faults = append(faults, field.Invalid(at, version, strings.Join(texts, ",")))
	}
	return faults
}

func splitVersion(text string) (group, version string, err error) {
	switch strings.Count(text, "/") {
	case 0:
		return "", text, nil
	case 1:
		group, version, _ = strings.Cut(text, "/")
		return group, version, nil
	}
	return "", "", fmt.Errorf("unexpected GroupVersion string: %v", text)
}
