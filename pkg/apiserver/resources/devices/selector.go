package devices

import (
	"fmt"
	"math"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/ext"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/version"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"
)

// deviceName is the one variable of selectors.
const deviceName = "device"

// deviceEnvironment is what a selector is compiled in.
type deviceEnvironment struct {
	env *cel.Env
	// device is the type of the variable, attribute that of all its attributes: any, of a known greatest size.
	device, attribute *apiservercel.DeclType
}

// selectors is large, and made when first needed.
var selectors = sync.OnceValues(newDeviceEnvironment)

func newDeviceEnvironment() (*deviceEnvironment, error) {
	attribute := bounded(apiservercel.AnyType, resourcev1.DeviceAttributeMaxValueLength)
	domain, id := bounded(apiservercel.StringType, resourcev1.DeviceMaxDomainLength), bounded(apiservercel.StringType, resourcev1.DeviceMaxIDLength)
	byDomain := func(t *apiservercel.DeclType) *apiservercel.DeclType {
		const most = resourcev1.ResourceSliceMaxAttributesAndCapacitiesPerDevice
		return apiservercel.NewMapType(domain, apiservercel.NewMapType(id, t, most), most)
	}
	fields := map[string]*apiservercel.DeclField{}
	for name, t := range map[string]*apiservercel.DeclType{
		"driver":                   bounded(apiservercel.StringType, resourcev1.DriverNameMaxLength),
		"attributes":               byDomain(attribute),
		"capacity":                 byDomain(apiservercel.QuantityDeclType),
		"allowMultipleAllocations": apiservercel.BoolType,
	} {
		fields[name] = apiservercel.NewDeclField(name, t, true, nil, nil)
	}
	device := apiservercel.NewObjectType("kubernetes.DRADevice", fields)
	set, err := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()).Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0),
		EnvOptions:        []cel.EnvOption{cel.Variable(deviceName, device.CelType()), ext.Bindings(ext.BindingsVersion(0))},
		DeclTypes:         []*apiservercel.DeclType{device},
	})
	if err != nil {
		return nil, fmt.Errorf("preparing an environment for selectors: %w", err)
	}
	env, err := set.Env(environment.NewExpressions)
	return &deviceEnvironment{env: env, device: device, attribute: attribute}, err
}

func bounded(t *apiservercel.DeclType, size int64) *apiservercel.DeclType {
	out := *t
	out.MaxElements = size
	return &out
}

// validateSelectors compiles the expressions that choose devices, unless they are stored and were sound then.
func validateSelectors(at *field.Path, list []resourcev1.DeviceSelector, stored bool) field.ErrorList {
	return eachOf(at, list, resourcev1.DeviceSelectorsMaxSize, func(at *field.Path, s resourcev1.DeviceSelector) field.ErrorList {
		switch {
		case s.CEL == nil:
			return field.ErrorList{field.Required(at.Child("cel"), "")}
		case stored:
			return nil
		}
		return validateExpression(at.Child("cel", "expression"), s.CEL.Expression)
	})
}

func validateExpression(at *field.Path, text string) field.ErrorList {
	if len(text) > resourcev1.CELSelectorExpressionMaxLength {
		return field.ErrorList{field.TooLong(at, "", resourcev1.CELSelectorExpressionMaxLength)}
	}
	e, err := selectors()
	if err != nil {
		return field.ErrorList{field.InternalError(at, err)}
	}
	ast, issues := e.env.Compile(text)
	if issues != nil {
		return field.ErrorList{field.Invalid(at, text, "compilation failed: "+issues.String())}
	}
	if t := ast.OutputType(); t != cel.BoolType && t != cel.AnyType {
		return field.ErrorList{field.Invalid(at, text, fmt.Sprintf("must evaluate to %v or the unknown type, not %v", cel.BoolType, t))}
	}
	cost, err := e.env.EstimateCost(ast, &library.CostEstimator{SizeEstimator: e})
	if err != nil {
		return field.ErrorList{field.InternalError(at, fmt.Errorf("cost estimation failed: %w", err))}
	}
	if cost.Max > resourcev1.CELSelectorExpressionMaxCost {
		return field.ErrorList{field.Forbidden(at, "too complex, exceeds cost limit")}
	}
	return nil
}

// EstimateSize tells the greatest size of what an expression reaches through its variable.
func (e *deviceEnvironment) EstimateSize(element checker.AstNode) *checker.SizeEstimate {
	path := element.Path()
	if len(path) == 0 || path[0] != deviceName {
		return nil
	}
	t := e.device
	for _, step := range path[1:] {
		if t = e.inside(t, step); t == nil {
			return nil
		}
	}
	size := uint64(math.MaxUint64)
	if t.MaxElements >= 0 {
		size = uint64(t.MaxElements)
	}
	return &checker.SizeEstimate{Min: 0, Max: size}
}

// inside is the type that one step leads to, nil where that is not known.
func (e *deviceEnvironment) inside(t *apiservercel.DeclType, step string) *apiservercel.DeclType {
	switch step {
	case "@items", "@values":
		return t.ElemType
	case "@keys":
		return t.KeyType
	}
	if f := t.Fields[step]; f != nil {
		return f.Type
	}
	if t.ElemType == e.attribute { // whatever the attribute's name is
		return e.attribute
	}
	return nil
}

// EstimateCallCost leaves the cost of functions to their libraries.
func (e *deviceEnvironment) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}
