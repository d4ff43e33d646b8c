// Package policy carries out the admission policies that users write: validating ones refuse, warn or note, mutating
// ones change. Policies are compiled when they are written; bindings say where they hold and with which
// parameters.
package policy

import (
	"context"
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/configured"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/expression"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/match"
	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// Kinds knows what is served.
type Kinds interface {
	// ResourceOf finds the resource of a kind, and whether it is in namespaces.
	ResourceOf(kind schema.GroupVersionKind) (r schema.GroupResource, namespaced, found bool)
	// In gives an object of a resource in the version of one of its kinds.
	In(kind schema.GroupVersionKind, o resource.Object) (runtime.Object, error)
	// TypesOf gives the schemas by which objects of a kind are merged, nil where there are none.
	TypesOf(kind schema.GroupVersionKind) managedfields.TypeConverter
}

// Config is what policies are carried out with.
type Config struct {
	Reader     resource.Reader
	Namespaces match.Namespaces
	Kinds      Kinds
	Authorizer authz.Authorizer
	Metrics    *Metrics // may be nil
}

// binding puts a policy into force, ready for use.
type binding struct {
	name, policy string
	match        *match.Resources
	ref          *admissionv1.ParamRef
	selector     labels.Selector
	selectorErr  error
	actions      []admissionv1.ValidationAction
}

func newBinding(name, policy string, m *admissionv1.MatchResources, ref *admissionv1.ParamRef, actions []admissionv1.ValidationAction) *binding {
	b := &binding{name: name, policy: policy, match: match.NewResources(m), ref: ref, actions: actions}
	if ref != nil && ref.Selector != nil {
		b.selector, b.selectorErr = metav1.LabelSelectorAsSelector(ref.Selector)
	}
	return b
}

// configuration is the policies of one kind and their bindings, as users write them.
type configuration[P any] struct {
	policies *configured.List[P]
	bindings *configured.List[*binding]
}

// follow keeps the policies of a kind ("mutating") and their bindings until ctx ends.
func follow[O, B resource.Object, P any](ctx context.Context, cfg Config, kind string, compile func(O) P, bind func(B) *binding) (c configuration[P], err error) {
	of := func(suffix string) schema.GroupResource {
		return schema.GroupResource{Group: admissionv1.GroupName, Resource: kind + "admissionpolic" + suffix}
	}
	if c.policies, err = configured.Follow(ctx, cfg.Reader, of("ies"), compile, func(name string) { cfg.Metrics.forget(policyLabel, name) }); err != nil {
		return c, err
	}
	c.bindings, err = configured.Follow(ctx, cfg.Reader, of("ybindings"), bind, func(name string) { cfg.Metrics.forget(bindingLabel, name) })
	return c, err
}

// all gives the policies and bindings as they are.
func (c *configuration[P]) all(ctx context.Context, a *admission.Attributes) ([]P, []*binding, error) {
	p, err := c.policies.All(ctx)
	if err == nil {
		var b []*binding
		if b, err = c.bindings.All(ctx); err == nil {
			return p, b, nil
		}
	}
	return nil, nil, admission.Forbidden(a, errors.New("not yet ready to handle request"))
}

// rules is what both kinds of policies have.
type rules struct {
	name       string
	match      *match.Resources
	params     *admissionv1.ParamKind
	conditions *expression.Conditions
	compiler   *expression.Compiler
	ignore     bool  // failures
	err        error // what kept it from being compiled
}

func newRules(name string, m *admissionv1.MatchResources, params *admissionv1.ParamKind, failure *admissionv1.FailurePolicyType,
	variables []admissionv1.Variable, conditions []admissionv1.MatchCondition) *rules {
	r := &rules{name: name, match: match.NewResources(m), params: params, ignore: failure != nil && *failure == admissionv1.Ignore}
	if len(variables) == 0 {
		r.compiler = expression.NewCompiler()
	} else if r.compiler, r.err = expression.NewComposed(); r.err != nil {
		return r
	}
	for _, v := range variables {
		r.compiler.Variable(v.Name, v.Expression, r.vars(), expression.Stored)
	}
	var texts []string
	for _, c := range conditions {
		texts = append(texts, c.Expression)
	}
	r.conditions = r.compiler.Conditions(texts, r.vars())
	return r
}

// vars are what the policy's expressions may use.
func (r *rules) vars() expression.Vars {
	return expression.Vars{Params: r.params != nil, Authorizer: true}
}

// paramKind is the kind of parameters, empty for none.
func (r *rules) paramKind() schema.GroupVersionKind {
	if r.params == nil {
		return schema.GroupVersionKind{}
	}
	return schema.FromAPIVersionAndKind(r.params.APIVersion, r.params.Kind)
}

// known says what is wrong with the kind of parameters.
func (r *rules) known(k Kinds) error {
	kind := r.paramKind()
	if kind.Empty() {
		return nil
	}
	if _, _, found := k.ResourceOf(kind); !found {
		return fmt.Errorf("failed to find resource referenced by paramKind: '%v'", kind)
	}
	return nil
}

// collect finds the parameters with which a policy is evaluated. One nil stands for none.
func (cfg *Config) collect(ctx context.Context, r *rules, b *binding, namespace string) ([]runtime.Object, error) {
	if r.params == nil || b.ref == nil {
		return []runtime.Object{nil}, nil
	}
	res, namespaced, found := cfg.Kinds.ResourceOf(r.paramKind())
	switch {
	case !found:
		return nil, fmt.Errorf("paramKind kind `%v` not known", r.params.String())
	case !namespaced && b.ref.Namespace != "":
		return nil, errors.New("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
	case !namespaced:
		namespace = ""
	case b.ref.Namespace != "":
		namespace = b.ref.Namespace
	case namespace == "":
		return nil, errors.New("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
	}
	read, err := cfg.read(ctx, res, b, namespace)
	if err != nil {
		return nil, err
	}
	out := make([]runtime.Object, len(read))
	for i, o := range read {
		if out[i], err = cfg.Kinds.In(r.paramKind(), o); err != nil {
			return nil, err
		}
	}
	if a := b.ref.ParameterNotFoundAction; len(out) == 0 && a != nil && *a == admissionv1.DenyAction {
		return nil, errors.New("no params found for policy binding with `Deny` parameterNotFoundAction")
	}
	return out, nil
}

func (cfg *Config) read(ctx context.Context, r schema.GroupResource, b *binding, namespace string) ([]resource.Object, error) {
	switch {
	case b.ref.Name != "" && b.ref.Selector != nil:
		return nil, errors.New("paramRef.name and paramRef.selector are mutually exclusive")
	case b.ref.Name != "":
		o, err := cfg.Reader.Get(ctx, r, namespace, b.ref.Name)
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return []resource.Object{o}, err
	case b.ref.Selector == nil:
		return nil, errors.New("one of name or selector must be provided")
	case b.selectorErr != nil:
		return nil, b.selectorErr
	}
	all, err := cfg.Reader.List(ctx, r, namespace)
	if err != nil {
		return nil, err
	}
	var out []resource.Object
	for _, o := range all {
		if b.selector.Matches(labels.Set(o.GetLabels())) {
			out = append(out, o)
		}
	}
	return out, nil
}

// namespaceOf reads the namespace that the write is in, nil for none: a namespace is in none.
func (cfg *Config) namespaceOf(ctx context.Context, a *admission.Attributes) (*corev1.Namespace, error) {
	if a.Namespace == "" || a.Kind == corev1.SchemeGroupVersion.WithKind("Namespace") {
		return nil, nil
	}
	ns, err := cfg.Namespaces(ctx, a.Namespace)
	if err != nil {
		var status *apierrors.StatusError
		if errors.As(err, &status) {
			return nil, status
		}
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, a.Namespace)
	}
	return ns, nil
}
