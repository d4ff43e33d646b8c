package plugins

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	podsecurityadmission "k8s.io/pod-security-admission/admission"
	"k8s.io/pod-security-admission/admission/api/load"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/metrics"
	"k8s.io/pod-security-admission/policy"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// podSecurity holds pods to the security level that their namespace's labels ask for.
func podSecurity(cfg *Config) admission.Plugin {
	checker, err := newPodSecurity(cfg)
	cfg.refuse("PodSecurity", err)
	return admission.Plugin{On: admission.On(admission.Create, admission.Update), Validate: func(ctx context.Context, a *admission.Attributes) error {
		if !holdsPods(a.GroupResource()) {
			return nil
		}
		resp := checker.Validate(ctx, &podSecurityAttributes{a})
		for _, w := range resp.Warnings {
			request.Warn(ctx, w)
		}
		for key, value := range resp.AuditAnnotations {
			request.Annotate(ctx, api.AuditAnnotationPrefix+key, value)
		}
		if resp.Allowed {
			return nil
		}
		return notAllowed(a, resp.Result)
	}}
}

// holdsPods says whether pods can be in such objects, or be judged by them.
func holdsPods(r schema.GroupResource) bool {
	return r == namespaces || podsecurityadmission.DefaultPodSpecExtractor{}.HasPodSpec(r)
}

// notAllowed is the usual refusal, in the library's words where it has some.
func notAllowed(a *admission.Attributes, result *metav1.Status) error {
	refusal := admission.Forbidden(a, errors.New("Not allowed by PodSecurity")) //nolint:staticcheck // upstream's words
	var status *apierrors.StatusError
	if result == nil || !errors.As(refusal, &status) {
		return refusal
	}
	s := &status.ErrStatus
	s.Message, s.Reason = cmp.Or(result.Message, s.Message), cmp.Or(result.Reason, s.Reason)
	s.Details, s.Code = cmp.Or(result.Details, s.Details), cmp.Or(result.Code, s.Code)
	return refusal
}

func newPodSecurity(cfg *Config) (*podsecurityadmission.Admission, error) {
	data, err := cfg.control.of("PodSecurity")
	if err != nil {
		return nil, err
	}
	configuration, err := load.LoadFromData(data)
	if err != nil {
		return nil, err
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return nil, fmt.Errorf("loading the checks of pod security: %w", err)
	}
	checker := &podsecurityadmission.Admission{
		Configuration:    configuration,
		Evaluator:        evaluator,
		Metrics:          noRecorder{},
		PodSpecExtractor: podsecurityadmission.DefaultPodSpecExtractor{},
		NamespaceGetter:  podSecurityReader{cfg},
		PodLister:        podSecurityReader{cfg},
	}
	if err := checker.CompleteConfiguration(); err != nil {
		return nil, fmt.Errorf("configuring pod security: %w", err)
	}
	if err := checker.ValidateConfiguration(); err != nil {
		return nil, fmt.Errorf("configuring pod security: %w", err)
	}
	return checker, nil
}

// podSecurityAttributes are a write in the library's terms.
type podSecurityAttributes struct{ *admission.Attributes }

var _ api.Attributes = (*podSecurityAttributes)(nil)

// The methods below answer as api.Attributes says.
func (p *podSecurityAttributes) GetName() string      { return p.Name }
func (p *podSecurityAttributes) GetNamespace() string { return p.Namespace }
func (p *podSecurityAttributes) GetResource() schema.GroupVersionResource {
	return p.Resource
}
func (p *podSecurityAttributes) GetKind() schema.GroupVersionKind { return p.Kind }
func (p *podSecurityAttributes) GetSubresource() string           { return p.Subresource }
func (p *podSecurityAttributes) GetOperation() admissionv1.Operation {
	return admissionv1.Operation(p.Operation)
}
func (p *podSecurityAttributes) GetObject() (runtime.Object, error)    { return p.Object, nil }
func (p *podSecurityAttributes) GetOldObject() (runtime.Object, error) { return p.OldObject, nil }
func (p *podSecurityAttributes) GetUserName() string {
	if p.User == nil {
		return ""
	}
	return p.User.Name
}

type podSecurityReader struct{ cfg *Config }

func (r podSecurityReader) GetNamespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	return find[*corev1.Namespace](ctx, r.cfg.Access, namespaces, "", name)
}

func (r podSecurityReader) ListPods(ctx context.Context, namespace string) ([]*corev1.Pod, error) {
	return list[*corev1.Pod](ctx, r.cfg.Access, pods, namespace)
}

// noRecorder keeps the library's own metrics registry out of the process.
type noRecorder struct{}

func (noRecorder) RecordEvaluation(metrics.Decision, api.LevelVersion, metrics.Mode, api.Attributes) {
}
func (noRecorder) RecordExemption(api.Attributes)   {}
func (noRecorder) RecordError(bool, api.Attributes) {}
