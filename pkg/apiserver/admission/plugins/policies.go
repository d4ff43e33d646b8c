package plugins

import (
	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/policy"
)

// mutatingPolicies carries out the policies that change objects.
func mutatingPolicies(cfg *Config) admission.Plugin {
	m, err := policy.NewMutator(cfg.ctx, cfg.policies())
	cfg.refuse("MutatingAdmissionPolicy", err)
	return admission.Plugin{On: admission.On(admission.Create, admission.Update, admission.Connect), Admit: m.Admit}
}

// validatingPolicies carries out the policies that refuse writes.
func validatingPolicies(cfg *Config) admission.Plugin {
	counted := cfg.policies()
	counted.Metrics = cfg.Policies
	v, err := policy.NewValidator(cfg.ctx, counted)
	cfg.refuse("ValidatingAdmissionPolicy", err)
	return admission.Plugin{Validate: v.Validate}
}

func (cfg *Config) policies() policy.Config {
	return policy.Config{Reader: cfg.Access, Namespaces: cfg.namespace, Kinds: cfg.Kinds, Authorizer: cfg.Authorizer}
}
