package plugins

import (
	"context"
	"errors"
	"path"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/webhook"
)

// mutatingWebhooks asks the webhooks that may change objects.
func mutatingWebhooks(cfg *Config) admission.Plugin {
	d := cfg.dispatcher("MutatingAdmissionWebhook", webhook.NewMutating)
	return admission.Plugin{Admit: d.Admit}
}

// validatingWebhooks asks the webhooks that may refuse writes.
func validatingWebhooks(cfg *Config) admission.Plugin {
	d := cfg.dispatcher("ValidatingAdmissionWebhook", webhook.NewValidating)
	return admission.Plugin{Validate: d.Validate}
}

type buildDispatcher func(context.Context, webhook.Config) (*webhook.Dispatcher, error)

// dispatcher makes that of a plugin, with what the plugin is told.
func (cfg *Config) dispatcher(plugin string, build buildDispatcher) *webhook.Dispatcher {
	kubeconfig, err := cfg.webhookCredentials(plugin)
	if err != nil {
		cfg.refuse(plugin, err)
		return nil
	}
	d, err := build(cfg.ctx, webhook.Config{
		Reader: cfg.Access, Namespaces: cfg.namespace, Authorizer: cfg.Authorizer,
		KubeConfig: kubeconfig, Metrics: cfg.Webhooks, Log: cfg.Log,
	})
	cfg.refuse(plugin, err)
	return d
}

// webhookCredentials is the kubeconfig with the credentials that webhooks are called with, empty for none.
func (cfg *Config) webhookCredentials(plugin string) (string, error) {
	data, err := cfg.control.of(plugin)
	if err != nil || data == nil {
		return "", err
	}
	var file struct {
		metav1.TypeMeta `json:",inline"`
		staticManifests `json:",inline"`
		KubeConfigFile  string `json:"kubeConfigFile"`
	}
	strict, err := decode(data, &file, "WebhookAdmissionConfiguration", controlVersions[0])
	if err := errors.Join(append(strict, err)...); err != nil {
		return "", err
	}
	if file.KubeConfigFile != "" && !path.IsAbs(file.KubeConfigFile) {
		return "", field.Invalid(field.NewPath("kubeConfigFile"), file.KubeConfigFile, "must be an absolute file path")
	}
	return file.KubeConfigFile, file.refused()
}

func (cfg *Config) namespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	return find[*corev1.Namespace](ctx, cfg.Access, namespaces, "", name)
}
