// Package webhook asks the admission webhooks that users configure: mutating ones one after another, validating
// ones all at once.
package webhook

import (
	"context"
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/expression"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/match"
	"github.com/sampan-project/sampan/pkg/apiserver/webhookclient"
)

// hook is one webhook of a configuration, ready to be asked.
type hook struct {
	configuration, name, key string
	rules                    []admissionv1.RuleWithOperations
	equivalent               bool // writes in other versions of the rules' resources count
	selectors                *match.Selectors
	conditions               *expression.Conditions
	ignore                   bool // failures to reach it
	again                    bool // it is asked again when others have changed the object
	sideEffects              *admissionv1.SideEffectClass
	timeout                  time.Duration // 0: the request's own
	versions                 []string
	client                   func() (*webhookclient.Client, error)
}

// prepare readies the webhooks of a configuration.
func (d *Dispatcher) prepare(configuration string, hooks []admissionv1.ValidatingWebhook, again func(i int) bool) []*hook {
	out := make([]*hook, 0, len(hooks))
	for i := range hooks {
		h := &hooks[i]
		var conditions []string
		for _, c := range h.MatchConditions {
			conditions = append(conditions, c.Expression)
		}
		made := &hook{
			configuration: configuration, name: h.Name, key: fmt.Sprintf("%s/%s/%d", configuration, h.Name, i), rules: h.Rules,
			equivalent: h.MatchPolicy != nil && *h.MatchPolicy == admissionv1.Equivalent,
			selectors:  match.NewSelectors(h.NamespaceSelector, h.ObjectSelector),
			ignore:     h.FailurePolicy != nil && *h.FailurePolicy == admissionv1.Ignore,
			again:      again(i), sideEffects: h.SideEffects, versions: h.AdmissionReviewVersions,
			client: d.clients.For(h.Name, &h.ClientConfig),
		}
		if len(conditions) > 0 {
			made.conditions = expression.NewCompiler().Conditions(conditions, expression.Vars{Authorizer: true})
		}
		if h.TimeoutSeconds != nil {
			made.timeout = time.Duration(*h.TimeoutSeconds) * time.Second
		}
		out = append(out, made)
	}
	return out
}

// concerns finds what a webhook takes the write for, nil where it is not to be asked.
func (d *Dispatcher) concerns(ctx context.Context, h *hook, a *admission.Attributes, in *expression.Inputs) (*admission.Target, error) {
	inNamespace, nsErr := h.selectors.InNamespace(ctx, a, d.namespaces)
	if !inNamespace && nsErr == nil {
		return nil, nil
	}
	selected, objErr := h.selectors.Object(a)
	if !selected && objErr == nil {
		return nil, nil
	}
	target := match.Rules(h.rules, h.equivalent, a)
	switch {
	case target == nil:
		return nil, nil
	case nsErr != nil:
		return nil, nsErr
	case objErr != nil:
		return nil, objErr
	case h.conditions == nil:
		return target, nil
	}
	values, err := in.Values(admission.Target{Kind: target.Kind, Resource: a.Resource})
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	holds, err := h.conditions.Hold(ctx, values)
	if err != nil && !h.ignore {
		return nil, apierrors.NewForbidden(a.GroupResource(), a.Name, err)
	}
	if err != nil || !holds {
		return nil, nil
	}
	return target, nil
}
