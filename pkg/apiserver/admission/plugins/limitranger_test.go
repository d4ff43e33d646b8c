package plugins

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/resource/resourcetest"
	"github.com/sampan-project/sampan/pkg/quota"
)

func podOf(requests, limits corev1.ResourceList) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p"}, Spec: corev1.PodSpec{Containers: []corev1.Container{
		{Name: "c", Resources: corev1.ResourceRequirements{Requests: requests, Limits: limits}},
	}}}
}

func initialized(p *corev1.Pod, requests, limits corev1.ResourceList) *corev1.Pod {
	p.Spec.InitContainers = []corev1.Container{{Name: "i", Resources: corev1.ResourceRequirements{Requests: requests, Limits: limits}}}
	return p
}

func ranger(t *testing.T, items ...corev1.LimitRangeItem) admission.Plugin {
	t.Helper()
	return rangers(t, map[string][]corev1.LimitRangeItem{"r": items})
}

// rangers holds pods to several limit ranges, by name.
func rangers(t *testing.T, ranges map[string][]corev1.LimitRangeItem) admission.Plugin {
	t.Helper()
	access := resourcetest.New()
	for name, items := range ranges {
		r := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name}, Spec: corev1.LimitRangeSpec{Limits: items}}
		if _, err := access.Create(t.Context(), schema.GroupResource{Resource: "limitranges"}, r); err != nil {
			t.Fatal(err)
		}
	}
	return limitRanger(&Config{Access: access})
}

func TestLimitRangesBound(t *testing.T) {
	const container, pod = corev1.LimitTypeContainer, corev1.LimitTypePod
	for name, tc := range map[string]struct {
		item corev1.LimitRangeItem
		pod  *corev1.Pod
		want string // "": admitted
	}{
		"at the minimum":    {corev1.LimitRangeItem{Type: container, Min: amounts("cpu", "1")}, podOf(amounts("cpu", "1"), nil), ""},
		"below the minimum": {corev1.LimitRangeItem{Type: container, Min: amounts("cpu", "1")}, podOf(amounts("cpu", "999m"), nil), "minimum cpu usage per Container is 1, but request is 999m"},
		"a limit below it":  {corev1.LimitRangeItem{Type: container, Min: amounts("cpu", "1")}, podOf(amounts("cpu", "1"), amounts("cpu", "999m")), "minimum cpu usage per Container is 1, but limit is 999m"},
		"no request":        {corev1.LimitRangeItem{Type: container, Min: amounts("cpu", "1")}, podOf(nil, nil), "minimum cpu usage per Container is 1.  No request is specified"},
		"at the maximum":    {corev1.LimitRangeItem{Type: container, Max: amounts("memory", "1Gi")}, podOf(nil, amounts("memory", "1Gi")), ""},
		"above the maximum": {corev1.LimitRangeItem{Type: container, Max: amounts("memory", "1Gi")}, podOf(nil, amounts("memory", "2Gi")), "maximum memory usage per Container is 1Gi, but limit is 2Gi"},
		"a request above it": {corev1.LimitRangeItem{Type: container, Max: amounts("memory", "1Gi")}, podOf(amounts("memory", "2Gi"), amounts("memory", "1Gi")),
			"maximum memory usage per Container is 1Gi, but request is 2Gi"},
		"no limit":                      {corev1.LimitRangeItem{Type: container, Max: amounts("memory", "1Gi")}, podOf(nil, nil), "maximum memory usage per Container is 1Gi.  No limit is specified"},
		"at the ratio":                  {corev1.LimitRangeItem{Type: container, MaxLimitRequestRatio: amounts("cpu", "2")}, podOf(amounts("cpu", "1"), amounts("cpu", "2")), ""},
		"at the ratio of small amounts": {corev1.LimitRangeItem{Type: container, MaxLimitRequestRatio: amounts("cpu", "7")}, podOf(amounts("cpu", "5m"), amounts("cpu", "35m")), ""},
		"above the ratio":               {corev1.LimitRangeItem{Type: container, MaxLimitRequestRatio: amounts("cpu", "2")}, podOf(amounts("cpu", "1"), amounts("cpu", "3")), "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000"},
		"a fraction of it":              {corev1.LimitRangeItem{Type: container, MaxLimitRequestRatio: amounts("cpu", "1500m")}, podOf(amounts("cpu", "1"), amounts("cpu", "1600m")), "cpu max limit to request ratio per Container is 1500m, but provided ratio is 1.600000"},
		"a ratio of no request": {corev1.LimitRangeItem{Type: container, MaxLimitRequestRatio: amounts("cpu", "2")}, podOf(nil, amounts("cpu", "3")),
			"cpu max limit to request ratio per Container is 2, but no request is specified or request is 0"},
		"a ratio of no limit": {corev1.LimitRangeItem{Type: container, MaxLimitRequestRatio: amounts("cpu", "2")}, podOf(amounts("cpu", "3"), nil),
			"cpu max limit to request ratio per Container is 2, but no limit is specified or limit is 0"},
		"init containers are containers": {corev1.LimitRangeItem{Type: container, Min: amounts("cpu", "1")}, initialized(podOf(amounts("cpu", "1"), nil), amounts("cpu", "1m"), nil),
			"minimum cpu usage per Container is 1, but request is 1m"},
		"a pod's containers together": {corev1.LimitRangeItem{Type: pod, Max: amounts("cpu", "2")}, initialized(podOf(amounts("cpu", "2"), amounts("cpu", "2")), amounts("cpu", "2"), amounts("cpu", "2")), ""},
		"a pod above its maximum":     {corev1.LimitRangeItem{Type: pod, Max: amounts("cpu", "2")}, initialized(podOf(amounts("cpu", "2"), amounts("cpu", "2")), amounts("cpu", "3"), amounts("cpu", "3")), "maximum cpu usage per Pod is 2, but limit is 3"},
	} {
		t.Run(name, func(t *testing.T) {
			err := ranger(t, tc.item).Validate(t.Context(), write(admission.Create, "pods", tc.pod, nil))
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.want != "" && (err == nil || err.Error() != `pods "p" is forbidden: `+tc.want):
				t.Errorf("answers %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestEveryBreachOfLimitsIsTold(t *testing.T) {
	err := ranger(t, corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Min: amounts("cpu", "1"), Max: amounts("memory", "1Gi")}).
		Validate(t.Context(), write(admission.Create, "pods", podOf(amounts("cpu", "1m"), amounts("memory", "2Gi")), nil))
	if err == nil || !strings.HasSuffix(err.Error(), "[minimum cpu usage per Container is 1, but request is 1m, maximum memory usage per Container is 1Gi, but limit is 2Gi]") {
		t.Error(err)
	}
}

func TestResizesAreHeldToLimitsAndOtherUpdatesAreNot(t *testing.T) {
	p := ranger(t, corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Max: amounts("cpu", "1")})
	big := podOf(amounts("cpu", "2"), amounts("cpu", "2"))
	if err := p.Validate(t.Context(), at(write(admission.Update, "pods", big, big), "resize")); err == nil {
		t.Error("a resize beyond the maximum was admitted")
	}
	if err := p.Validate(t.Context(), write(admission.Update, "pods", big, big)); err != nil {
		t.Errorf("an update that resizes nothing: %v", err)
	}
	ending := big.DeepCopy()
	ending.DeletionTimestamp = &metav1.Time{}
	if err := p.Validate(t.Context(), at(write(admission.Update, "pods", big, ending), "resize")); err != nil {
		t.Errorf("of a pod that is on its way out: %v", err)
	}
}

func TestLimitRangesBoundClaims(t *testing.T) {
	claim := func(size string) *corev1.PersistentVolumeClaim {
		c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "c"}}
		if size != "" {
			c.Spec.Resources.Requests = amounts("storage", size)
		}
		return c
	}
	p := ranger(t, corev1.LimitRangeItem{Type: corev1.LimitTypePersistentVolumeClaim, Min: amounts("storage", "1Gi"), Max: amounts("storage", "2Gi")})
	for size, want := range map[string]string{
		"1Gi": "", "2Gi": "", "3Gi": "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi",
		"1Mi": "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi",
		"":    "minimum storage usage per PersistentVolumeClaim is 1Gi.  No request is specified",
	} {
		for _, op := range []admission.Operation{admission.Create, admission.Update} {
			err := p.Validate(t.Context(), write(op, "persistentvolumeclaims", claim(size), claim("1Gi")))
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s of %q: %v, want %q", op, size, err, want)
			}
		}
	}
}

func TestLimitRangesFillIn(t *testing.T) {
	pod := initialized(podOf(amounts("cpu", "2"), nil), nil, nil)
	err := ranger(t, corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Default: amounts("cpu", "3", "memory", "1Gi"), DefaultRequest: amounts("cpu", "1")}).
		Admit(t.Context(), write(admission.Create, "pods", pod, nil))
	if err != nil {
		t.Fatal(err)
	}
	c, i := pod.Spec.Containers[0].Resources, pod.Spec.InitContainers[0].Resources
	for what, pair := range map[string][2]corev1.ResourceList{
		"what it asks for stands":  {c.Requests, amounts("cpu", "2")},
		"its limits are filled in": {c.Limits, amounts("cpu", "3", "memory", "1Gi")},
		"an init's requests":       {i.Requests, amounts("cpu", "1")},
		"an init's limits":         {i.Limits, amounts("cpu", "3", "memory", "1Gi")},
	} {
		if !quota.Equal(pair[0], pair[1]) {
			t.Errorf("%s: %s, want %s", what, quota.Show(pair[0]), quota.Show(pair[1]))
		}
	}
	want := "LimitRanger plugin set: cpu, memory limit for container c; cpu request for init container i; cpu, memory limit for init container i"
	if got := pod.Annotations[limitRangerAnnotation]; got != want {
		t.Errorf("it says %q\nwant %q", got, want)
	}
}

// A resize is filled in as well, without touching what the pod shares with its old state, and of several limit ranges
// each notes what it set.
func TestLimitRangesFillInResizes(t *testing.T) {
	p := rangers(t, map[string][]corev1.LimitRangeItem{
		"a": {{Type: corev1.LimitTypeContainer, DefaultRequest: amounts("cpu", "1"), Max: amounts("cpu", "1")}},
		"b": {{Type: corev1.LimitTypeContainer, Default: amounts("cpu", "2", "memory", "1Gi"), Max: amounts("memory", "1Mi")}},
	})
	old := podOf(amounts("memory", "1Mi"), nil)
	pod := &corev1.Pod{ObjectMeta: old.ObjectMeta, Spec: old.Spec}
	if err := p.Admit(t.Context(), at(write(admission.Update, "pods", pod, old), "resize")); err != nil {
		t.Fatal(err)
	}
	r := pod.Spec.Containers[0].Resources
	if !quota.Equal(r.Requests, amounts("cpu", "1", "memory", "1Mi")) || !quota.Equal(r.Limits, amounts("cpu", "2", "memory", "1Gi")) {
		t.Errorf("filled in: %s, %s", quota.Show(r.Requests), quota.Show(r.Limits))
	}
	if len(old.Spec.Containers[0].Resources.Requests) != 1 || old.Annotations != nil {
		t.Error("the old state was changed")
	}
	if got, want := pod.Annotations[limitRangerAnnotation], "LimitRanger plugin set: cpu, memory limit for container c"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
	err := p.Validate(t.Context(), at(write(admission.Update, "pods", pod, old), "resize"))
	if want := `pods "p" is forbidden: maximum cpu usage per Container is 1, but limit is 2`; err == nil || err.Error() != want {
		t.Errorf("answers %v, want %s", err, want)
	}
}
