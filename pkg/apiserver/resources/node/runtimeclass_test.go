package node

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestClassesAreJudgedOnEveryWrite(t *testing.T) {
	class := func(handler string, f func(*nodev1.RuntimeClass)) *nodev1.RuntimeClass {
		c := &nodev1.RuntimeClass{Handler: handler}
		if f != nil {
			f(c)
		}
		return c
	}
	overhead := func(amount string) func(*nodev1.RuntimeClass) {
		return func(c *nodev1.RuntimeClass) {
			c.Overhead = &nodev1.Overhead{PodFixed: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(amount)}}
		}
	}
	tolerating := func(list ...corev1.Toleration) func(*nodev1.RuntimeClass) {
		return func(c *nodev1.RuntimeClass) { c.Scheduling = &nodev1.Scheduling{Tolerations: list} }
	}
	all := corev1.Toleration{Operator: corev1.TolerationOpExists}
	for name, c := range map[string]struct {
		obj, old *nodev1.RuntimeClass
		want     string
	}{
		"good":              {class("a", nil), nil, ""},
		"none":              {class("", nil), nil, "handler"},
		"another":           {class("b", nil), class("a", nil), "handler"},
		"none any more":     {class("", nil), class("a", nil), "handler handler"},
		"nothing":           {class("a", overhead("0")), nil, ""},
		"less than nothing": {class("a", overhead("-1m")), nil, "overhead.limits[cpu]"},
		"less than before":  {class("a", overhead("-1m")), class("a", nil), "overhead.limits[cpu]"},
		"tolerated twice":   {class("a", tolerating(all, all)), nil, "scheduling.tolerations[1]"},
		"tolerated for a while": {class("a", tolerating(corev1.Toleration{Key: "a", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute},
			corev1.Toleration{Key: "a", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(int64(1))})), nil, "scheduling.tolerations[1]"},
		"tolerated differently": {class("a", tolerating(all, corev1.Toleration{Key: "a", Operator: corev1.TolerationOpExists})), nil, ""},
	} {
		var list []string
		for _, f := range validateRuntimeClass(context.Background(), c.obj, c.old) {
			list = append(list, f.Field)
		}
		if got := strings.Join(list, " "); got != c.want {
			t.Errorf("%s: faults at %q, want %q", name, got, c.want)
		}
	}
}

func TestOldLabelsOfNodesAreWarnedOf(t *testing.T) {
	c := &nodev1.RuntimeClass{Scheduling: &nodev1.Scheduling{NodeSelector: map[string]string{"beta.kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}}}
	want := `scheduling.nodeSelector: deprecated since v1.14; use "kubernetes.io/os" instead`
	if got := warnRuntimeClass(context.Background(), c, nil); len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
