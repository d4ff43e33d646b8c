package plugins

import (
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/policy"
)

// mutatingPolicies carries out the policies that change objects.
func mutatingPolicies(cfg *Config) admission.Plugin {
	m, err := policy.NewMutator(cfg.ctx, cfg.policies())
	cfg.refuse("MutatingAdmissionPolicy", errors.Join(err, cfg.heardPolicies("MutatingAdmissionPolicy")))
	return admission.Plugin{On: admission.On(admission.Create, admission.Update, admission.Connect), Admit: m.Admit}
}

// validatingPolicies carries out the policies that refuse writes.
func validatingPolicies(cfg *Config) admission.Plugin {
	counted := cfg.policies()
	counted.Metrics = cfg.Policies
	v, err := policy.NewValidator(cfg.ctx, counted)
	cfg.refuse("ValidatingAdmissionPolicy", errors.Join(err, cfg.heardPolicies("ValidatingAdmissionPolicy")))
	return admission.Plugin{Validate: v.Validate}
}

func (cfg *Config) policies() policy.Config {
	return policy.Config{Reader: cfg.Access, Namespaces: cfg.namespace, Kinds: cfg.Kinds, Authorizer: cfg.Authorizer}
}

// heardPolicies finds faults in what a plugin of policies is told; there is nothing yet that it may be told.
func (cfg *Config) heardPolicies(plugin string) error {
	data, err := cfg.control.of(plugin)
	if err != nil || data == nil {
		return err
	}
	var file struct {
		metav1.TypeMeta `json:",inline"`
		staticManifests `json:",inline"`
	}
	strict, err := decode(data, &file, plugin+"Configuration", controlVersions[0])
	return errors.Join(append(strict, err, file.refused())...)
}

// staticManifests is a part of some configurations.
type staticManifests struct {
	Dir string `json:"staticManifestsDir"` // with webhooks or policies that are not kept in etcd
}

// refused is kube-apiserver's answer where the feature is off, as it is by default.
func (m staticManifests) refused() error {
	if m.Dir == "" {
		return nil
	}
	return field.Forbidden(field.NewPath("staticManifestsDir"),
		"staticManifestsDir requires the ManifestBasedAdmissionControlConfig feature gate to be enabled")
}
