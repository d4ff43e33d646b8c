package validation

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestPodStatusIsJudged(t *testing.T) {
	ended := func(code int32) []corev1.ContainerStatus {
		return []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}}}}
	}
	runs := func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	}
	policy := func(p corev1.RestartPolicy, code int32, edit func(*corev1.Container)) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.Spec.RestartPolicy, pod.Status.ContainerStatuses = p, ended(code)
			if edit != nil {
				edit(&pod.Spec.Containers[0])
			}
		}
	}
	never, always := corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyAlways
	rule := func(c *corev1.Container) {
		c.RestartPolicy = &never
		c.RestartPolicyRules = []corev1.ContainerRestartRule{{Action: corev1.ContainerRestartRuleActionRestart,
			ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{42}}}}
	}
	again := []string{"status.containerStatuses[0].state: may not be transitioned to non-terminated state"}
	for _, test := range []struct {
		name     string
		was, now func(*corev1.Pod)
		want     []string
	}{
		{"a pod that always restarts", policy(corev1.RestartPolicyAlways, 0, nil), runs, nil},
		{"a pod that never restarts", policy(corev1.RestartPolicyNever, 1, nil), runs, again},
		{"a failure", policy(corev1.RestartPolicyOnFailure, 1, nil), runs, nil},
		{"a success", policy(corev1.RestartPolicyOnFailure, 0, nil), runs, again},
		{"a container that never restarts", policy(corev1.RestartPolicyAlways, 0, func(c *corev1.Container) { c.RestartPolicy = &never }), runs, again},
		{"a container that always restarts", policy(corev1.RestartPolicyNever, 0, func(c *corev1.Container) { c.RestartPolicy = &always }), runs, nil},
		{"its own rule", policy(corev1.RestartPolicyNever, 42, rule), runs, nil},
		{"not its rule", policy(corev1.RestartPolicyNever, 41, rule), runs, again},
		{"a nominated node", nil, func(pod *corev1.Pod) { pod.Status.NominatedNodeName = "n" }, nil},
		{"a nominated node beside its own", spec(func(s *corev1.PodSpec) { s.NodeName = "m" }), func(pod *corev1.Pod) { pod.Status.NominatedNodeName = "n" },
			[]string{"status.nominatedNodeName: may not be set on pods that are already bound to a node"}},
		{"a spec before the first", nil, func(pod *corev1.Pod) {
			pod.Status.ObservedGeneration, pod.Status.Conditions = -1, []corev1.PodCondition{{Type: corev1.PodReady, ObservedGeneration: -1}}
		}, []string{"status.conditions[0].observedGeneration: must be a non-negative integer", "status.observedGeneration: must be a non-negative integer"}},
		{"another host's address", nil, func(pod *corev1.Pod) {
			pod.Status.HostIP, pod.Status.HostIPs = "10.0.0.1", []corev1.HostIP{{IP: "10.0.0.2"}}
		}, []string{"status.hostIPs[0].ip: must be equal to `hostIP`"}},
		{"a claim of no name", nil, func(pod *corev1.Pod) { pod.Status.ResourceClaimStatuses = []corev1.PodResourceClaimStatus{{Name: "r"}} },
			[]string{"status.resourceClaimStatuses[0].name: must match the name of an entry in `spec.resourceClaims`"}},
		{"devices that were not asked for", nil, func(pod *corev1.Pod) {
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", AllocatedResourcesStatus: []corev1.ResourceStatus{{Name: "x.io/gpu"}, {Name: "claim:r"}}}}
		}, []string{"status.containerStatuses[0].allocatedResourcesStatus[0].name: must match one of the container's resource requests",
			"status.containerStatuses[0].allocatedResourcesStatus[1].name: must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			old := aPod(test.was)
			now := old.DeepCopy()
			test.now(now)
			if got := said(PodStatusUpdate(now, old)); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestResizesAreJudged(t *testing.T) {
	cpu := func(amount string) func(*corev1.Container) {
		return func(c *corev1.Container) {
			c.Resources = limits("cpu", amount, "memory", "1Gi")
			c.Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse("1m"), "memory": resource.MustParse("1Gi")}
		}
	}
	running := func(pod *corev1.Pod) {
		first(cpu("1"))(pod)
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, Resources: &corev1.ResourceRequirements{}}}
	}
	for _, test := range []struct {
		name     string
		was, now func(*corev1.Pod)
		want     []string
	}{
		{"more", nil, first(cpu("2")), nil},
		{"another container", nil, first(func(c *corev1.Container) { c.Name = "d" }), []string{"spec.containers[0].name: containers may not be renamed or reordered on resize"}},
		{"a further container", nil, spec(func(s *corev1.PodSpec) {
			c := s.Containers[0]
			c.Name, c.Ports = "d", nil
			s.Containers = append(s.Containers, c)
		}), []string{"spec.containers: containers may not be added or removed on resize"}},
		{"no bound", nil, first(func(c *corev1.Container) { delete(c.Resources.Limits, "cpu") }), []string{"spec.containers[0].resources.limits: resource limits cannot be removed"}},
		{"another policy", nil, first(func(c *corev1.Container) {
			c.ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: "cpu", RestartPolicy: corev1.RestartContainer}}
		}), []string{"spec: only cpu and memory resources are mutable"}},
		{"on a node of old", func(pod *corev1.Pod) { pod.Status.ContainerStatuses[0].Resources = nil }, first(cpu("2")), []string{"spec: Pod running on node without support for resize"}},
		{"a static pod", annotated(corev1.MirrorPodAnnotationKey, "m"), first(cpu("2")), []string{"[]: static pods cannot be resized"}},
		{"on windows", spec(func(s *corev1.PodSpec) { s.OS = &corev1.PodOS{Name: corev1.Windows} }), first(cpu("2")), []string{"[]: windows pods cannot be resized"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			old := aPod(running, test.was)
			now := old.DeepCopy()
			test.now(now)
			if got := said(Resize(t.Context(), now, old)); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}
