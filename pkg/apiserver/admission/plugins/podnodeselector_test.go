package plugins

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
)

// toldPlugin is a configuration in which a plugin is told something.
func toldPlugin(plugin, text string) *Config {
	return &Config{Access: resourcetest.New(), control: control{Plugins: []pluginPart{
		{Name: plugin, Configuration: runtime.RawExtension{Raw: []byte(text)}}}}}
}

// annotated makes namespaces with one annotation each.
func annotated(t *testing.T, cfg *Config, annotation string, values map[string]string) {
	t.Helper()
	for name, value := range values {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{annotation: value}}}
		if _, err := cfg.Access.Create(t.Context(), namespaces, ns); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPodsRunOnTheNodesOfTheirNamespace(t *testing.T) {
	cfg := toldPlugin("PodNodeSelector", `podNodeSelectorPluginConfig:
  clusterDefaultNodeSelector: region=west
---
podNodeSelectorPluginConfig:
  listed: env=test,disk=ssd
  broken: "a in (b)"
`)
	annotated(t, cfg, nodeSelectorOf, map[string]string{"own": "env=test", "none": "", "listed": "env=test", "broken": "", "odd": "a"})
	annotated(t, cfg, "other", map[string]string{"default": ""})
	p := podNodeSelector(cfg)
	if cfg.faults != nil {
		t.Fatal(cfg.faults)
	}
	type set = map[string]string
	const forbidden = `pods "p" is forbidden: pod node label selector `
	for name, c := range map[string]struct {
		namespace string
		asked     set
		gets      set
		refusal   string
		reason    metav1.StatusReason
	}{
		"the cluster's":              {"default", set{"a": "b"}, set{"a": "b", "region": "west"}, "", ""},
		"its namespace's":            {"own", nil, set{"env": "test"}, "", ""},
		"what it asks for itself":    {"own", set{"env": "test"}, set{"env": "test"}, "", ""},
		"none":                       {"none", nil, nil, "", ""},
		"others than the cluster's":  {"default", set{"region": "east"}, nil, forbidden + "conflicts with its namespace node label selector", metav1.StatusReasonForbidden},
		"what is listed":             {"listed", set{"disk": "ssd"}, set{"env": "test", "disk": "ssd"}, "", ""},
		"what is not listed":         {"listed", set{"a": "b"}, nil, forbidden + "labels conflict with its namespace whitelist", metav1.StatusReasonForbidden},
		"another value than listed":  {"listed", set{"disk": "hdd"}, nil, forbidden + "labels conflict with its namespace whitelist", metav1.StatusReasonForbidden},
		"a list that is none":        {"broken", nil, nil, "invalid selector: [a in (b)]", ""},
		"an annotation that is none": {"odd", nil, nil, "invalid selector: [a]", ""},
		"a namespace that is gone":   {"gone", nil, nil, "Internal error occurred: namespace gone does not exist", metav1.StatusReasonInternalError},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: corev1.PodSpec{NodeSelector: c.asked}}
		a := &admission.Attributes{Operation: admission.Create, Resource: corev1.SchemeGroupVersion.WithResource("pods"), Namespace: c.namespace, Object: pod}
		err := p.Admit(t.Context(), a)
		if c.refusal == "" {
			if err != nil || !cmp.Equal(pod.Spec.NodeSelector, c.gets) {
				t.Errorf("%s: %v, %v", name, pod.Spec.NodeSelector, err)
			}
			err = nil
		} else if err == nil || err.Error() != c.refusal || c.reason != "" && apierrors.ReasonForError(err) != c.reason {
			t.Errorf("%s: %v", name, err)
		}
		if again := p.Validate(t.Context(), a); (again == nil) != (err == nil) {
			t.Errorf("%s: later %v", name, again)
		}
	}
}
