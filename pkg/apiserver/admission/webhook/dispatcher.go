package webhook

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	reviewv1 "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/configured"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/expression"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/match"
	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/webhookclient"
)

// Keys of audit annotations.
const (
	failedOpenMutating   = "failed-open.mutation.webhook.admission.k8s.io/"
	failedOpenValidating = "failed-open.validating.webhook.admission.k8s.io/"
	patchAnnotation      = "patch.webhook.admission.k8s.io/"
	mutationAnnotation   = "mutation.webhook.admission.k8s.io/"
)

// Config is what webhooks are asked with.
type Config struct {
	Reader     resource.Reader
	Namespaces match.Namespaces
	Authorizer authz.Authorizer
	KubeConfig string   // file with the credentials that webhooks are called with; may be empty
	Metrics    *Metrics // may be nil
	Log        logr.Logger
}

// Dispatcher asks the webhooks of one kind of configuration.
type Dispatcher struct {
	namespaces match.Namespaces
	authorizer authz.Authorizer
	clients    *webhookclient.Clients
	metrics    *Metrics
	log        logr.Logger
	hooks      *configured.List[[]*hook]
}

func newDispatcher(cfg Config) (*Dispatcher, error) {
	clients, err := webhookclient.New(cfg.Reader)
	if err != nil {
		return nil, err
	}
	if err := clients.Authenticate(cfg.KubeConfig); err != nil {
		return nil, err
	}
	return &Dispatcher{metrics: cfg.Metrics, namespaces: cfg.Namespaces, authorizer: cfg.Authorizer, clients: clients, log: cfg.Log}, nil
}

// NewValidating follows the configurations of validating webhooks until ctx ends.
func NewValidating(ctx context.Context, cfg Config) (*Dispatcher, error) {
	d, err := newDispatcher(cfg)
	if err != nil {
		return nil, err
	}
	r := schema.GroupResource{Group: admissionv1.GroupName, Resource: "validatingwebhookconfigurations"}
	d.hooks, err = configured.Follow(ctx, cfg.Reader, r, func(c *admissionv1.ValidatingWebhookConfiguration) []*hook {
		return d.prepare(c.Name, c.Webhooks, func(int) bool { return false })
	}, func(string) {})
	return d, err
}

// NewMutating follows the configurations of mutating webhooks until ctx ends.
func NewMutating(ctx context.Context, cfg Config) (*Dispatcher, error) {
	d, err := newDispatcher(cfg)
	if err != nil {
		return nil, err
	}
	r := schema.GroupResource{Group: admissionv1.GroupName, Resource: "mutatingwebhookconfigurations"}
	d.hooks, err = configured.Follow(ctx, cfg.Reader, r, func(c *admissionv1.MutatingWebhookConfiguration) []*hook {
		hooks := make([]admissionv1.ValidatingWebhook, 0, len(c.Webhooks))
		for i := range c.Webhooks {
			h := &c.Webhooks[i]
			hooks = append(hooks, admissionv1.ValidatingWebhook{
				Name: h.Name, ClientConfig: h.ClientConfig, Rules: h.Rules, FailurePolicy: h.FailurePolicy, MatchPolicy: h.MatchPolicy,
				NamespaceSelector: h.NamespaceSelector, ObjectSelector: h.ObjectSelector, SideEffects: h.SideEffects,
				TimeoutSeconds: h.TimeoutSeconds, AdmissionReviewVersions: h.AdmissionReviewVersions, MatchConditions: h.MatchConditions,
			})
		}
		return d.prepare(c.Name, hooks, func(i int) bool {
			p := c.Webhooks[i].ReinvocationPolicy
			return p != nil && *p == admissionv1.IfNeededReinvocationPolicy
		})
	}, func(string) {})
	return d, err
}

// all gives the webhooks of all configurations, in the order in which they are asked.
func (d *Dispatcher) all(ctx context.Context, a *admission.Attributes) ([]*hook, error) {
	if match.OutsideWebhooks(a) {
		return nil, nil
	}
	lists, err := d.hooks.All(ctx)
	if err != nil {
		return nil, admission.Forbidden(a, errors.New("not yet ready to handle request"))
	}
	var out []*hook
	for _, l := range lists {
		out = append(out, l...)
	}
	return out, nil
}

// ask asks one webhook; it refuses where that does.
func (d *Dispatcher) ask(ctx context.Context, h *hook, a *admission.Attributes, t admission.Target, mutating bool) (*reviewv1.AdmissionResponse, error) {
	begin := time.Now()
	result, err := d.question(ctx, h, a, t, mutating)
	d.metrics.asked(h, a, mutating, time.Since(begin), err)
	return result, err
}

// question sends one question and reads the answer.
func (d *Dispatcher) question(ctx context.Context, h *hook, a *admission.Attributes, t admission.Target, mutating bool) (*reviewv1.AdmissionResponse, error) {
	if a.DryRun {
		if h.sideEffects == nil {
			return nil, callError(h.name, errors.New("Webhook SideEffects is nil")) //nolint:staticcheck // clients know these words
		}
		if *h.sideEffects != admissionv1.SideEffectClassNone && *h.sideEffects != admissionv1.SideEffectClassNoneOnDryRun {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("admission webhook %q does not support dry run", h.name))
		}
	}
	req, err := describe(a, t)
	if err != nil {
		return nil, callError(h.name, fmt.Errorf("could not create admission objects: %w", err))
	}
	uid := uuid.NewUUID()
	question, into, err := review(h, uid, req)
	if err != nil {
		return nil, callError(h.name, fmt.Errorf("could not create admission objects: %w", err))
	}
	c, err := h.client()
	if err != nil {
		return nil, callError(h.name, fmt.Errorf("could not get REST client: %w", err))
	}
	if h.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.timeout)
		defer cancel()
	}
	if err := c.Post(ctx, question, into); err != nil {
		return nil, callError(h.name, fmt.Errorf("failed to call webhook: %w", err))
	}
	result, err := verify(into, uid, mutating)
	if err != nil {
		return nil, callError(h.name, fmt.Errorf("received invalid webhook response: %w", err))
	}
	for k, v := range result.AuditAnnotations {
		request.Annotate(ctx, h.name+"/"+k, v)
	}
	for _, w := range result.Warnings {
		request.Warn(ctx, w)
	}
	if !result.Allowed {
		return nil, rejection(h.name, result.Result)
	}
	return result, nil
}

// Validate asks all webhooks that a write concerns at once. Where several refuse it, the first of them in the order of
// configurations is heard.
func (d *Dispatcher) Validate(ctx context.Context, a *admission.Attributes) error {
	hooks, err := d.all(ctx, a)
	if err != nil || len(hooks) == 0 {
		return err
	}
	in := expression.NewInputs(a, d.authorizer)
	type call struct {
		h *hook
		t *admission.Target
	}
	var calls []call
	for _, h := range hooks {
		t, err := d.concerns(ctx, h, a, in)
		if err != nil {
			return err
		}
		if t != nil {
			calls = append(calls, call{h, t})
		}
	}
	if len(calls) == 0 {
		return nil
	}
	if ctx.Err() != nil {
		return timedOut()
	}
	errs := make([]error, len(calls))
	var wg sync.WaitGroup
	for i, c := range calls {
		wg.Go(func() {
			_, err := d.ask(ctx, c.h, a, *c.t, false)
			if err != nil && ignorable(err) && c.h.ignore {
				d.log.Info("A webhook could not be called and is passed over", "webhook", c.h.name, "error", err.Error())
				d.metrics.passedOver(c.h, false)
				request.Annotate(ctx, fmt.Sprintf("%sround_0_index_%d", failedOpenValidating, i), c.h.name)
				return
			}
			errs[i] = err
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return answer(err)
		}
	}
	return nil
}
