package validation

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

func TestAppArmorAnnotationsFillFields(t *testing.T) {
	local := "foo"
	unconfined := &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
	runtimeDefault := &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault}
	for name, tc := range map[string]struct {
		annotation string
		own, ofPod *corev1.AppArmorProfile
		os         corev1.OSName
		want       *corev1.AppArmorProfile
		warns      bool
	}{
		"a local profile":            {annotation: "localhost/foo", want: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: &local}, warns: true},
		"the runtime's":              {annotation: "runtime/default", want: runtimeDefault, warns: true},
		"none":                       {annotation: "unconfined", want: unconfined, warns: true},
		"what is no profile":         {annotation: "else", warns: true},
		"a local profile of no name": {annotation: "localhost/", warns: true},
		"its own field stands":       {annotation: "unconfined", own: runtimeDefault, want: runtimeDefault},
		"the pod's is not repeated":  {annotation: "unconfined", ofPod: unconfined},
		"another than the pod's":     {annotation: "unconfined", ofPod: runtimeDefault, want: unconfined, warns: true},
		"windows knows no AppArmor":  {annotation: "unconfined", os: corev1.Windows},
		"no annotation of its name":  {},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}}
			if tc.annotation != "" {
				pod.Annotations = map[string]string{corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix + "c": tc.annotation}
			}
			if tc.own != nil {
				pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{AppArmorProfile: tc.own}
			}
			if tc.ofPod != nil {
				pod.Spec.SecurityContext = &corev1.PodSecurityContext{AppArmorProfile: tc.ofPod}
			}
			if tc.os != "" {
				pod.Spec.OS = &corev1.PodOS{Name: tc.os}
			}
			warnings := AppArmorFromAnnotations(pod)
			var got *corev1.AppArmorProfile
			if sc := pod.Spec.Containers[0].SecurityContext; sc != nil {
				got = sc.AppArmorProfile
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("profile (-want +got):\n%s", d)
			}
			if (len(warnings) > 0) != tc.warns {
				t.Errorf("warnings: %q", warnings)
			}
		})
	}
}

func TestStopSignalsAreDroppedUnlessThere(t *testing.T) {
	signal := corev1.SIGUSR1
	with := func() *corev1.PodSpec {
		return &corev1.PodSpec{Containers: []corev1.Container{
			{Name: "only", Lifecycle: &corev1.Lifecycle{StopSignal: &signal}},
			{Name: "hook", Lifecycle: &corev1.Lifecycle{StopSignal: &signal, PreStop: &corev1.LifecycleHandler{}}},
			{Name: "empty", Lifecycle: &corev1.Lifecycle{}},
		}}
	}
	spec := with()
	DropSwitchedOff(spec, nil)
	if c := spec.Containers; c[0].Lifecycle != nil || c[1].Lifecycle == nil || c[1].Lifecycle.StopSignal != nil || c[2].Lifecycle == nil {
		t.Errorf("a new pod keeps %+v", c)
	}
	spec = with()
	DropSwitchedOff(spec, with())
	if spec.Containers[0].Lifecycle == nil {
		t.Error("a pod that had a stop signal lost it")
	}
	status := &corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "c", StopSignal: &signal}}}
	if DropSwitchedOffStatus(status, &corev1.PodStatus{}); status.ContainerStatuses[0].StopSignal == nil {
		t.Error("the status lost the signal that the runtime tells of")
	}
}
