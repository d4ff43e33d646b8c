package plugins

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

func limitedBy(configuration string) *Config {
	return &Config{Access: resourcetest.New(), Now: time.Now, control: control{Plugins: []pluginPart{
		{Name: "ResourceQuota", Configuration: runtime.RawExtension{Raw: []byte(configuration)}},
	}}}
}

// TestWhatIsLimitedByDefaultNeedsAQuota: of what the configuration names only what a quota covers is used.
func TestWhatIsLimitedByDefaultNeedsAQuota(t *testing.T) {
	const limited = `{kind: ResourceQuotaConfiguration, apiVersion: apiserver.config.k8s.io/v1, limitedResources: [
		{resource: pods, matchContains: [cpu, memory], matchScopes: [{scopeName: PriorityClass, operator: In, values: [high]}]},
		{apiGroup: apps, resource: deployments, matchContains: [count/]}]}`
	important := podAsking(nil)
	important.Spec.PriorityClassName = "high"
	classes := limiting("high", amounts("services", "1"), amounts("services", "0"))
	classes.Spec.ScopeSelector = &corev1.ScopeSelector{MatchExpressions: []corev1.ScopedResourceSelectorRequirement{
		{ScopeName: corev1.ResourceQuotaScopePriorityClass, Operator: corev1.ScopeSelectorOpExists},
		{ScopeName: corev1.ResourceQuotaScopeTerminating, Operator: corev1.ScopeSelectorOpExists},
	}}
	other := limiting("other", amounts("requests.cpu", "2", "cpu", "2"), amounts("requests.cpu", "0", "cpu", "0"), corev1.ResourceQuotaScopeTerminating)
	memory := limiting("memory", amounts("memory", "2"), amounts("memory", "0"))
	cpu := limiting("cpu", amounts("requests.cpu", "2", "cpu", "2"), amounts("requests.cpu", "0", "cpu", "0"))
	deployment := write(admission.Create, "deployments", &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "d"}}, nil)
	deployment.Resource.Group = "apps"
	asking := func(amount string) *corev1.Pod {
		p := podAsking(amounts("cpu", amount))
		p.ResourceVersion = "5"
		return p
	}
	const needsCPU = `pods "p" is forbidden: insufficient quota to consume: cpu,requests.cpu`
	const needsScope = "insufficient quota to match these scopes: [{PriorityClass In [high]}]"
	for name, c := range map[string]struct {
		limited string
		quotas  []*corev1.ResourceQuota
		write   *admission.Attributes
		refused string
	}{
		"no quota":                    {limited, nil, write(admission.Create, "pods", asking("1"), nil), needsCPU},
		"nothing of it is asked for":  {limited, nil, write(admission.Create, "pods", asking("0"), nil), ""},
		"nothing is asked for":        {limited, nil, write(admission.Create, "pods", podAsking(nil), nil), ""},
		"a dry run":                   {limited, nil, dry(write(admission.Create, "pods", asking("1"), nil)), needsCPU},
		"a quota":                     {limited, []*corev1.ResourceQuota{cpu}, write(admission.Create, "pods", asking("1"), nil), ""},
		"a quota that is exceeded":    {limited, []*corev1.ResourceQuota{cpu}, write(admission.Create, "pods", asking("3"), nil), "exceeded quota"},
		"a quota of other things":     {limited, []*corev1.ResourceQuota{limiting("pods", amounts("pods", "0"), amounts("pods", "0"))}, write(admission.Create, "pods", asking("1"), nil), needsCPU},
		"a quota of other pods":       {limited, []*corev1.ResourceQuota{other}, write(admission.Create, "pods", asking("1"), nil), needsCPU},
		"a quota that judges first":   {limited, []*corev1.ResourceQuota{memory}, write(admission.Create, "pods", asking("1"), nil), "failed quota: memory: must specify memory for: c"},
		"more than before":            {limited, nil, at(write(admission.Update, "pods", asking("2"), asking("1")), "resize"), needsCPU},
		"no more than before":         {limited, nil, at(write(admission.Update, "pods", asking("1"), asking("1")), "resize"), ""},
		"another kind of write":       {limited, nil, write(admission.Update, "pods", asking("2"), asking("1")), ""},
		"of a group":                  {limited, nil, deployment, `deployments.apps "d" is forbidden: insufficient quota to consume: count/deployments.apps`},
		"not of a group":              {limited, nil, write(admission.Create, "deployments", deployment.Object, nil), ""},
		"a scope":                     {limited, nil, write(admission.Create, "pods", important, nil), needsScope},
		"a scope that a quota has":    {limited, []*corev1.ResourceQuota{classes}, write(admission.Create, "pods", important, nil), ""},
		"a scope of another resource": {`{kind: Configuration, apiVersion: resourcequota.admission.k8s.io/v1beta1, limitedResources: [{resource: services, matchScopes: [{scopeName: PriorityClass, operator: In, values: [high]}]}]}`, nil, write(admission.Create, "pods", important, nil), needsScope},
		"a scope that makes no sense": {`{kind: Configuration, apiVersion: resourcequota.admission.k8s.io/v1alpha1, limitedResources: [{resource: pods, matchContains: [cpu], matchScopes: [{scopeName: PriorityClass, operator: In}]}]}`, nil, write(admission.Create, "pods", asking("1"), nil), ""},
	} {
		cfg := limitedBy(c.limited)
		for _, q := range c.quotas {
			if _, err := cfg.Access.Create(t.Context(), quotas, q.DeepCopy()); err != nil {
				t.Fatal(err)
			}
		}
		err := resourceQuota(cfg).Validate(t.Context(), c.write)
		got := fmt.Sprint(err)
		if len(cfg.faults) > 0 || (err == nil) != (c.refused == "") || err != nil && !strings.Contains(got, c.refused) {
			t.Errorf("%s: %v, %v", name, err, cfg.faults)
		}
		if wants := c.refused != "" && c.refused != needsScope; apierrors.IsForbidden(err) != wants {
			t.Errorf("%s: forbidden: %v", name, !wants)
		}
	}
}

// TestWhatIsCoveredStaysSoWhenAnotherChargesMeanwhile: only quotas that another server has charged are read anew, though
// what is limited by default is covered by the rest.
func TestWhatIsCoveredStaysSoWhenAnotherChargesMeanwhile(t *testing.T) {
	cfg := limitedBy(`{kind: ResourceQuotaConfiguration, apiVersion: apiserver.config.k8s.io/v1, limitedResources: [{resource: pods, matchContains: [cpu]}]}`)
	for _, q := range []*corev1.ResourceQuota{
		limiting("a", amounts("pods", "9"), amounts("pods", "0")),
		limiting("b", amounts("cpu", "9", "requests.cpu", "9"), amounts("cpu", "0", "requests.cpu", "0")),
	} {
		if _, err := cfg.Access.Create(t.Context(), quotas, q); err != nil {
			t.Fatal(err)
		}
	}
	plain := cfg.Access
	cfg.Access = &between{Access: plain, do: func() {
		_, err := plain.Update(t.Context(), quotas, "status", "n", "a", func(obj resource.Object) error {
			obj.(*corev1.ResourceQuota).Status.Used = amounts("pods", "1")
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}}
	if err := resourceQuota(cfg).Validate(t.Context(), write(admission.Create, "pods", podAsking(amounts("cpu", "1")), nil)); err != nil {
		t.Error(err)
	}
}
