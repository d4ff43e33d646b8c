package plugins

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/webhook"
)

// mutatingWebhooks asks the webhooks that may change objects.
func mutatingWebhooks(cfg *Config) admission.Plugin {
	d, err := webhook.NewMutating(cfg.ctx, cfg.webhooks())
	cfg.refuse("MutatingAdmissionWebhook", err)
	return admission.Plugin{Admit: d.Admit}
}

// validatingWebhooks asks the webhooks that may refuse writes.
func validatingWebhooks(cfg *Config) admission.Plugin {
	d, err := webhook.NewValidating(cfg.ctx, cfg.webhooks())
	cfg.refuse("ValidatingAdmissionWebhook", err)
	return admission.Plugin{Validate: d.Validate}
}

func (cfg *Config) webhooks() webhook.Config {
	return webhook.Config{Reader: cfg.Access, Namespaces: cfg.namespace, Authorizer: cfg.Authorizer, Metrics: cfg.Webhooks, Log: cfg.Log}
}

func (cfg *Config) namespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	return find[*corev1.Namespace](ctx, cfg.Access, namespaces, "", name)
}
