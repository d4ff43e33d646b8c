// Package expression compiles and evaluates the CEL expressions of admission: those of webhooks' match
// conditions and of policies. It knows no configuration, only texts and the values that they see.
package expression

import (
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"
	"k8s.io/apimachinery/pkg/util/version"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"
	"k8s.io/apiserver/pkg/cel/mutation"

	"github.com/sampan-project/sampan/pkg/celtypes"
)

// The names of variables.
const (
	objectName       = "object"
	oldObjectName    = "oldObject"
	paramsName       = "params"
	requestName      = "request"
	namespaceName    = "namespaceObject"
	authorizerName   = "authorizer"
	resourceAuthName = "authorizer.requestResource"
	variablesName    = "variables"
	variablesType    = "kubernetes.variables"
)

// Vars says which variables an expression may use beside those that all have.
type Vars struct {
	Params     bool
	Authorizer bool
	Patches    bool // the types Object and JSONPatch, for what mutates
}

// always is the version since which everything here is there.
var always = version.MajorMinor(1, 0)

// base is what every expression of the API may use. It is large, and made when first needed.
var base = sync.OnceValue(func() *environment.EnvSet {
	return environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
})

// stateless are the environments of expressions without variables of their own.
var stateless = sync.OnceValue(func() *environments { return &environments{base: base(), made: map[Vars]*environment.EnvSet{}} })

// environments makes one environment for each choice of variables.
type environments struct {
	base *environment.EnvSet
	mu   sync.Mutex
	made map[Vars]*environment.EnvSet
}

func (e *environments) get(v Vars, mode Mode) (*cel.Env, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	set := e.made[v]
	if set == nil {
		var err error
		if set, err = extend(e.base, v); err != nil {
			return nil, err
		}
		e.made[v] = set
	}
	return set.Env(mode)
}

func extend(base *environment.EnvSet, v Vars) (*environment.EnvSet, error) {
	request, namespace := celtypes.Request(), celtypes.Namespace()
	options := []cel.EnvOption{
		cel.Variable(objectName, cel.DynType), cel.Variable(oldObjectName, cel.DynType),
		cel.Variable(namespaceName, namespace.CelType()), cel.Variable(requestName, request.CelType()),
	}
	if v.Params {
		options = append(options, cel.Variable(paramsName, cel.DynType))
	}
	if v.Authorizer {
		options = append(options, cel.Variable(authorizerName, library.AuthorizerType), cel.Variable(resourceAuthName, library.ResourceCheckType))
	}
	set, err := base.Extend(environment.VersionedOptions{
		IntroducedVersion: always, EnvOptions: options, DeclTypes: []*apiservercel.DeclType{namespace, request},
	}, environment.StrictCostOpt)
	if err == nil && v.Patches {
		set, err = set.Extend(environment.VersionedOptions{IntroducedVersion: always, EnvOptions: []cel.EnvOption{
			common.ResolverEnvOption(&mutation.DynamicTypeResolver{}), environment.UnversionedLib(library.JSONPatch),
		}})
	}
	if err != nil {
		return nil, fmt.Errorf("preparing an environment for expressions: %w", err)
	}
	return set, nil
}

// withVariables adds the variable that holds a policy's own. Its fields are added as they are compiled.
func withVariables(base *environment.EnvSet) (*environment.EnvSet, *apiservercel.DeclType, error) {
	t := apiservercel.NewObjectType(variablesType, map[string]*apiservercel.DeclField{})
	set, err := base.Extend(environment.VersionedOptions{
		IntroducedVersion: always, EnvOptions: []cel.EnvOption{cel.Variable(variablesName, t.CelType())}, DeclTypes: []*apiservercel.DeclType{t},
	})
	return set, t, err
}
