package expression

import (
	"fmt"
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"

	"github.com/sampan-project/sampan/pkg/celtypes"
)

// Mode says which version's functions there are.
type Mode = environment.Type

// New lets an expression use only what the version before knew, so that a server can be rolled back; Stored lets
// it use all.
const (
	New    = environment.NewExpressions
	Stored = environment.StoredExpressions
)

// checkEvery is how many steps of a loop pass between looks at whether the request has ended.
const checkEvery = 100

// Error says what is wrong with an expression.
type Error = apiservercel.Error

// Compiler compiles the expressions of one configuration.
type Compiler struct {
	envs      *environments
	fields    map[string]*apiservercel.DeclField // of the variable that holds the others; nil: there is none
	mapType   *apiservercel.DeclType
	variables []variable
}

type variable struct {
	name    string
	program *Program
}

// NewCompiler is for expressions that know no variables of their own.
func NewCompiler() *Compiler { return &Compiler{envs: stateless()} }

// NewComposed is for expressions that may use variables, which Variable adds.
func NewComposed() (*Compiler, error) {
	set, t, err := withVariables(base())
	if err != nil {
		return nil, fmt.Errorf("preparing variables: %w", err)
	}
	return &Compiler{envs: &environments{base: set, made: map[Vars]*environment.EnvSet{}}, fields: t.Fields, mapType: t}, nil
}

// Program is a compiled expression, or what is wrong with it.
type Program struct {
	Text   string
	Err    *Error
	Result *cel.Type

	program cel.Program
}

// Variable compiles an expression that later ones may use by its name.
func (c *Compiler) Variable(name, text string, v Vars, mode Mode) *Program {
	p := c.Compile(text, v, mode, cel.AnyType, cel.DynType)
	c.fields[name] = apiservercel.NewDeclField(name, celtypes.Of(p.Result), true, nil, nil)
	c.variables = slices.DeleteFunc(c.variables, func(have variable) bool { return have.name == name })
	c.variables = append(c.variables, variable{name, p})
	return p
}

// Compile compiles an expression whose result has one of the types.
func (c *Compiler) Compile(text string, v Vars, mode Mode, results ...*cel.Type) *Program {
	p := &Program{Text: text}
	fail := func(kind apiservercel.ErrorType, cause error, format string, args ...any) *Program {
		p.Err = &Error{Type: kind, Detail: fmt.Sprintf(format, args...), Cause: cause}
		return p
	}
	env, err := c.envs.get(v, mode)
	if err != nil {
		return fail(apiservercel.ErrorTypeInternal, nil, "unexpected error loading CEL environment: %v", err)
	}
	ast, issues := env.Compile(text)
	if issues != nil {
		return fail(apiservercel.ErrorTypeInvalid, apiservercel.NewCompilationError(issues), "compilation failed: %s", issues)
	}
	if !slices.ContainsFunc(results, func(t *cel.Type) bool { return cel.AnyType.IsExactType(t) || ast.OutputType().IsExactType(t) }) {
		if len(results) == 1 {
			return fail(apiservercel.ErrorTypeInvalid, nil, "must evaluate to %v but got %v", results[0], ast.OutputType())
		}
		return fail(apiservercel.ErrorTypeInvalid, nil, "must evaluate to one of %v but got %v", results, ast.OutputType())
	}
	if p.program, err = env.Program(ast, cel.InterruptCheckFrequency(checkEvery)); err != nil {
		return fail(apiservercel.ErrorTypeInternal, nil, "program instantiation failed: %v", err)
	}
	p.Result = ast.OutputType()
	return p
}

// The results of expressions that mutate: a part of an object that is merged into it, and a list of steps.
var (
	ObjectPatch = types.NewObjectType("Object")
	JSONPatch   = cel.ListType(types.NewObjectType("JSONPatch"))
)
