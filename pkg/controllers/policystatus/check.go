package policystatus

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/version"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"
	"k8s.io/apiserver/pkg/cel/openapi"
	"k8s.io/apiserver/pkg/cel/openapi/resolver"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/sampan-project/sampan/pkg/celtypes"
)

// maxKinds bounds the kinds that one policy is checked for.
const maxKinds = 10

// Checker finds where expressions do not fit types. That never changes what a policy does.
type Checker struct {
	// Schema gives the schema of a kind, resolver.ErrSchemaNotFound where there is none.
	Schema func(schema.GroupVersionKind) (*spec.Schema, error)
	// Kinds gives the kind of a resource, the zero kind where it is not served.
	Kinds func(schema.GroupVersionResource) (schema.GroupVersionKind, error)
}

// Check gives what is to be said of each expression, nothing for those that fit.
func (c *Checker) Check(p *admissionv1.ValidatingAdmissionPolicy) ([]admissionv1.ExpressionWarning, error) {
	about, err := c.about(p)
	if err != nil {
		return nil, err
	}
	var params *apiservercel.DeclType
	if k := p.Spec.ParamKind; k != nil {
		if params, err = c.typeOf(schema.FromAPIVersionAndKind(k.APIVersion, k.Kind), "Params"); err != nil {
			return nil, err
		}
	}
	envs, err := c.environments(about, params, p)
	if err != nil {
		return nil, err
	}
	var out []admissionv1.ExpressionWarning
	at := field.NewPath("spec", "validations")
	for i, v := range p.Spec.Validations {
		for _, e := range []struct{ name, text string }{{"expression", v.Expression}, {"messageExpression", v.MessageExpression}} {
			if e.text == "" {
				continue
			}
			if text := wrong(e.text, envs); text != "" {
				out = append(out, admissionv1.ExpressionWarning{FieldRef: at.Index(i).Child(e.name).String(), Warning: text})
			}
		}
	}
	return out, nil
}

// about lists the kinds that a policy is for, as far as it names them.
func (c *Checker) about(p *admissionv1.ValidatingAdmissionPolicy) ([]schema.GroupVersionKind, error) {
	var out []schema.GroupVersionKind
	if p.Spec.MatchConstraints == nil {
		return nil, nil
	}
	for _, r := range p.Spec.MatchConstraints.ResourceRules {
		if slices.ContainsFunc(slices.Concat(r.APIGroups, r.APIVersions), func(s string) bool { return strings.Contains(s, "*") }) {
			continue
		}
		for _, group := range r.APIGroups {
			for _, v := range r.APIVersions {
				for _, resource := range r.Resources {
					if strings.ContainsAny(resource, "*/") {
						continue
					}
					kind, err := c.Kinds(schema.GroupVersionResource{Group: group, Version: v, Resource: resource})
					if err != nil {
						return nil, err
					}
					if !kind.Empty() && !slices.Contains(out, kind) {
						out = append(out, kind)
					}
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b schema.GroupVersionKind) int {
		return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.Version, b.Version), strings.Compare(a.Kind, b.Kind))
	})
	return out[:min(len(out), maxKinds)], nil
}

// typeOf gives the type of a kind, nil where it has no schema.
func (c *Checker) typeOf(kind schema.GroupVersionKind, as string) (*apiservercel.DeclType, error) {
	s, err := c.Schema(kind)
	if errors.Is(err, resolver.ErrSchemaNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t := common.SchemaDeclType(&openapi.Schema{Schema: s}, true)
	if t == nil {
		return nil, nil
	}
	return t.MaybeAssignTypeName(kind.Kind + as), nil
}

// types are what a policy's expressions see where it is about one kind.
type types struct {
	kind schema.GroupVersionKind
	env  *cel.Env
}

// environments prepares the types of each kind that has a schema.
func (c *Checker) environments(about []schema.GroupVersionKind, params *apiservercel.DeclType, p *admissionv1.ValidatingAdmissionPolicy) ([]types, error) {
	var out []types
	for _, kind := range about {
		object, err := c.typeOf(kind, "Object")
		if err != nil {
			return nil, err
		}
		if object == nil {
			continue
		}
		env, err := environmentOf(object, params, p)
		if err != nil {
			return nil, fmt.Errorf("preparing the types of %v: %w", kind, err)
		}
		out = append(out, types{kind, env})
	}
	return out, nil
}

// wrong says for each kind what is wrong with an expression about it.
func wrong(text string, about []types) string {
	var out []string
	for _, t := range about {
		if _, issues := t.env.Compile(text); issues != nil {
			out = append(out, fmt.Sprintf("%v: %s\n", t.kind, issues))
		}
	}
	return strings.Join(out, "\n")
}

// environmentOf knows the types of the object, of the parameters, and of the policy's variables.
func environmentOf(object, params *apiservercel.DeclType, p *admissionv1.ValidatingAdmissionPolicy) (*cel.Env, error) {
	variables := apiservercel.NewObjectType("kubernetes.variables", map[string]*apiservercel.DeclField{})
	request, namespace := celtypes.Request(), celtypes.Namespace()
	all := []*apiservercel.DeclType{object, variables, request, namespace}
	options := []cel.EnvOption{
		cel.Variable("object", object.CelType()), cel.Variable("oldObject", object.CelType()), cel.Variable("variables", variables.CelType()),
		cel.Variable("request", request.CelType()), cel.Variable("namespaceObject", namespace.CelType()),
		cel.Variable("authorizer", library.AuthorizerType), cel.Variable("authorizer.requestResource", library.ResourceCheckType),
	}
	switch {
	case p.Spec.ParamKind != nil && params != nil:
		all, options = append(all, params), append(options, cel.Variable("params", params.CelType()))
	case p.Spec.ParamKind != nil:
		options = append(options, cel.Variable("params", cel.DynType))
	}
	set, err := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()).Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0), EnvOptions: options, DeclTypes: all,
	})
	if err != nil {
		return nil, err
	}
	env, err := set.Env(environment.StoredExpressions)
	if err != nil {
		return nil, err
	}
	for _, v := range p.Spec.Variables { // each may use those before it
		t := apiservercel.DynType
		if ast, issues := env.Compile(v.Expression); issues == nil {
			t = celtypes.Of(ast.OutputType())
		}
		variables.Fields[v.Name] = apiservercel.NewDeclField(v.Name, t, true, nil, nil)
	}
	return env, nil
}
