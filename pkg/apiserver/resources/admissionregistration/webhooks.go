// Package admissionregistration declares the resources by which users configure admission: webhooks and
// policies.
package admissionregistration

import (
	"context"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

const (
	usualTimeout = 10 // seconds
	httpsPort    = 443
)

type (
	mutatingHooks   = admissionv1.MutatingWebhookConfiguration
	validatingHooks = admissionv1.ValidatingWebhookConfiguration
)

func hookColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		column.Name(),
		column.Integer("Webhooks", "Webhooks indicates the number of webhooks registered in this configuration"),
		column.Age(),
	}
}

// MutatingWebhookConfiguration declares mutatingwebhookconfigurations.
func MutatingWebhookConfiguration() *resource.Resource {
	return resource.Define(resource.Definition[*mutatingHooks]{
		Kind:               admissionv1.SchemeGroupVersion.WithKind("MutatingWebhookConfiguration"),
		Plural:             "mutatingwebhookconfigurations",
		Categories:         []string{"api-extensions"},
		ClusterScoped:      true,
		StrictUpdate:       true,
		FreeFinalizers:     true,
		Warn:               warnReserved[*mutatingHooks],
		Spec:               func(obj *mutatingHooks) any { return &obj.Webhooks },
		DistinguishesEmpty: true,
		Default: func(obj *mutatingHooks) {
			for i := range obj.Webhooks {
				h := &obj.Webhooks[i]
				orElse(&h.ReinvocationPolicy, admissionv1.NeverReinvocationPolicy)
				common := ofMutating(h)
				defaultHook(&common.ValidatingWebhook)
				h.FailurePolicy, h.MatchPolicy, h.NamespaceSelector = common.FailurePolicy, common.MatchPolicy, common.NamespaceSelector
				h.ObjectSelector, h.TimeoutSeconds = common.ObjectSelector, common.TimeoutSeconds
			}
		},
		Validate: func(_ context.Context, obj, old *mutatingHooks) field.ErrorList {
			return validateHooks(mutatingList(obj), mutatingList(old), old != nil)
		},
		Columns: hookColumns(),
		Row: func(obj *mutatingHooks) []any {
			return []any{obj.Name, int64(len(obj.Webhooks)), column.Since(obj.CreationTimestamp)}
		},
	})
}

// ValidatingWebhookConfiguration declares validatingwebhookconfigurations.
func ValidatingWebhookConfiguration() *resource.Resource {
	return resource.Define(resource.Definition[*validatingHooks]{
		Kind:               admissionv1.SchemeGroupVersion.WithKind("ValidatingWebhookConfiguration"),
		Plural:             "validatingwebhookconfigurations",
		Categories:         []string{"api-extensions"},
		ClusterScoped:      true,
		StrictUpdate:       true,
		FreeFinalizers:     true,
		Warn:               warnReserved[*validatingHooks],
		Spec:               func(obj *validatingHooks) any { return &obj.Webhooks },
		DistinguishesEmpty: true,
		Default: func(obj *validatingHooks) {
			for i := range obj.Webhooks {
				defaultHook(&obj.Webhooks[i])
			}
		},
		Validate: func(_ context.Context, obj, old *validatingHooks) field.ErrorList {
			return validateHooks(validatingList(obj), validatingList(old), old != nil)
		},
		Columns: hookColumns(),
		Row: func(obj *validatingHooks) []any {
			return []any{obj.Name, int64(len(obj.Webhooks)), column.Since(obj.CreationTimestamp)}
		},
	})
}

// hook is a webhook of either kind.
type hook struct {
	admissionv1.ValidatingWebhook
	reinvocation *admissionv1.ReinvocationPolicyType // of mutating ones
}

func ofMutating(h *admissionv1.MutatingWebhook) hook {
	return hook{reinvocation: h.ReinvocationPolicy, ValidatingWebhook: admissionv1.ValidatingWebhook{
		Name: h.Name, ClientConfig: h.ClientConfig, Rules: h.Rules, FailurePolicy: h.FailurePolicy, MatchPolicy: h.MatchPolicy,
		NamespaceSelector: h.NamespaceSelector, ObjectSelector: h.ObjectSelector, SideEffects: h.SideEffects,
		TimeoutSeconds: h.TimeoutSeconds, AdmissionReviewVersions: h.AdmissionReviewVersions, MatchConditions: h.MatchConditions,
	}}
}

func defaultHook(h *admissionv1.ValidatingWebhook) {
	orElse(&h.FailurePolicy, admissionv1.Fail)
	orElse(&h.MatchPolicy, admissionv1.Equivalent)
	orElse(&h.NamespaceSelector, metav1.LabelSelector{})
	orElse(&h.ObjectSelector, metav1.LabelSelector{})
	orElse(&h.TimeoutSeconds, usualTimeout)
	if s := h.ClientConfig.Service; s != nil {
		orElse(&s.Port, httpsPort)
	}
	for i := range h.Rules {
		orElse(&h.Rules[i].Scope, admissionv1.AllScopes)
	}
}

func orElse[T any](value **T, usual T) {
	if *value == nil {
		*value = &usual
	}
}

func mutatingList(obj *mutatingHooks) []hook {
	if obj == nil {
		return nil
	}
	out := make([]hook, 0, len(obj.Webhooks))
	for i := range obj.Webhooks {
		out = append(out, ofMutating(&obj.Webhooks[i]))
	}
	return out
}

func validatingList(obj *validatingHooks) []hook {
	if obj == nil {
		return nil
	}
	out := make([]hook, 0, len(obj.Webhooks))
	for i := range obj.Webhooks {
		out = append(out, hook{ValidatingWebhook: obj.Webhooks[i]})
	}
	return out
}
