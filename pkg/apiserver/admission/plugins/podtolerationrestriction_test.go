package plugins

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

// tolerations reads them as they stand between the brackets of a list.
func tolerations(t *testing.T, text string) (list []corev1.Toleration) {
	t.Helper()
	if err := json.Unmarshal([]byte("["+text+"]"), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestPodsTolerateWhatTheirNamespaceDoes(t *testing.T) {
	const (
		gpu      = `{"key":"gpu","operator":"Exists"}`
		cluster  = `{"key":"cluster","operator":"Exists"}`
		pressure = `{"key":"node.kubernetes.io/memory-pressure","operator":"Exists","effect":"NoSchedule"}`
	)
	cfg := toldPlugin("PodTolerationRestriction", `{"kind":"Configuration","apiVersion":"podtolerationrestriction.admission.k8s.io/v1alpha1",
		"unknown":1,"default":[`+cluster+`],"whitelist":[`+cluster+`,`+pressure+`]}`)
	annotated(t, cfg, defaultTolerationsOf, map[string]string{"gives": `[` + cluster + `,{"key":"cluster","operator":"Equal","value":"a"}]`, "empty": "", "odd": "{}"})
	annotated(t, cfg, allowedTolerationsOf, map[string]string{"lists": `[` + gpu + `]`, "listsnone": "", "oddlist": "[1]"})
	annotated(t, cfg, "other", map[string]string{"default": ""})
	p := podTolerations(cfg)
	if cfg.faults != nil {
		t.Fatal(cfg.faults)
	}
	const conflict = "pod tolerations (possibly merged with namespace default tolerations) conflict with its "
	for name, c := range map[string]struct {
		op        admission.Operation
		namespace string
		class     corev1.PodQOSClass
		has, gets string
		refusal   string
	}{
		"the cluster's":                {admission.Create, "default", "BestEffort", "", cluster, ""},
		"the cluster's, asking memory": {admission.Create, "default", "", "", cluster + "," + pressure, ""},
		"its own, changed":             {admission.Update, "default", "BestEffort", "", "", ""},
		"its own and memory, changed":  {admission.Update, "default", "Burstable", cluster, cluster + "," + pressure, ""},
		"its namespace's, once":        {admission.Create, "gives", "BestEffort", "", cluster, ""},
		"its own within the cluster's": {admission.Create, "default", "BestEffort", `{"key":"cluster","operator":"Equal","value":"a"}`, cluster, ""},
		"nothing, as its namespace":    {admission.Create, "empty", "BestEffort", "", "", ""},
		"more than the cluster":        {admission.Create, "default", "BestEffort", gpu, "", conflict + "cluster whitelist"},
		"what is listed":               {admission.Update, "lists", "BestEffort", gpu, gpu, ""},
		"more than is listed":          {admission.Create, "lists", "BestEffort", gpu, "", conflict + "namespace whitelist"},
		"anything where none is":       {admission.Update, "listsnone", "BestEffort", gpu, gpu, ""},
		"no list":                      {admission.Create, "odd", "BestEffort", "", "", "json: cannot unmarshal object into Go value of type []v1.Toleration"},
		"a list of others":             {admission.Update, "oddlist", "BestEffort", gpu, "", "json: cannot unmarshal number into Go value of type v1.Toleration"},
		"those of one that is gone":    {admission.Create, "gone", "BestEffort", "", "", `namespaces "gone" not found`},
	} {
		has, gets := tolerations(t, c.has), tolerations(t, c.gets)
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Status: corev1.PodStatus{QOSClass: c.class}, Spec: corev1.PodSpec{Tolerations: has,
			Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: amounts("memory", "1")}}}}}
		a := &admission.Attributes{Operation: c.op, Resource: corev1.SchemeGroupVersion.WithResource("pods"), Namespace: c.namespace, Object: pod}
		err := p.Admit(t.Context(), a)
		if c.refusal != "" {
			if err == nil || err.Error() != c.refusal {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil {
			err = p.Validate(t.Context(), a)
		}
		if got := pod.Spec.Tolerations; err != nil || len(got)+len(gets) > 0 && !cmp.Equal(got, gets) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestWideTolerationsCoverNarrowOnes(t *testing.T) {
	all := map[string]corev1.Toleration{}
	for name, text := range map[string]string{
		"all":       `{"operator":"Exists"}`,
		"noexec":    `{"operator":"Exists","effect":"NoExecute"}`,
		"a":         `{"key":"a","operator":"Exists"}`,
		"a=b":       `{"key":"a","operator":"Equal","value":"b"}`,
		"a-b":       `{"key":"a","value":"b"}`,
		"a=c":       `{"key":"a","operator":"Equal","value":"c"}`,
		"a>1":       `{"key":"a","operator":"Gt","value":"1"}`,
		"a=b:sched": `{"key":"a","operator":"Equal","value":"b","effect":"NoSchedule"}`,
		"a:exec":    `{"key":"a","operator":"Exists","effect":"NoExecute"}`,
		"a:exec9":   `{"key":"a","operator":"Exists","effect":"NoExecute","tolerationSeconds":9}`,
		"a:exec1":   `{"key":"a","operator":"Exists","effect":"NoExecute","tolerationSeconds":1}`,
		"z":         `{"key":"z","operator":"Exists"}`,
	} {
		all[name] = tolerations(t, text)[0]
	}
	type set = map[string]bool
	for wide, want := range map[string]set{
		"all":       {"all": true, "noexec": true, "a": true, "a=b": true, "a-b": true, "a=c": true, "a>1": true, "a=b:sched": true, "a:exec": true, "a:exec9": true, "a:exec1": true, "z": true},
		"noexec":    {"noexec": true, "a:exec": true, "a:exec9": true, "a:exec1": true},
		"a":         {"a": true, "a=b": true, "a-b": true, "a=c": true, "a>1": true, "a=b:sched": true, "a:exec": true, "a:exec9": true, "a:exec1": true},
		"a=b":       {"a=b": true, "a=b:sched": true},
		"a-b":       {"a-b": true, "a=b": true, "a=b:sched": true},
		"a=c":       {"a=c": true},
		"a>1":       {"a>1": true},
		"a=b:sched": {"a=b:sched": true},
		"a:exec":    {"a:exec": true, "a:exec9": true, "a:exec1": true},
		"a:exec9":   {"a:exec9": true, "a:exec1": true},
		"a:exec1":   {"a:exec1": true},
		"z":         {"z": true},
	} {
		got := set{}
		for narrow, t := range all {
			if covers(all[wide], t) {
				got[narrow] = true
			}
		}
		if !cmp.Equal(got, want) {
			t.Errorf("%s covers: %s", wide, cmp.Diff(want, got))
		}
	}
}
