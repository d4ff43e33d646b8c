package machine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	cgroups   = "/sys/fs/cgroup"
	testImage = "sampan.io/test:v1.36.2"
)

// idle does nothing, and ends when it is asked to: a machine that is switched off waits for its pods.
const idle = "trap exit TERM; sleep infinity & wait"

// classPods are a pod of each class of service, and what the files of their groups must say. Memory is in bytes,
// cpu.max in microseconds of each period.
var classPods = []struct {
	name      string
	resources corev1.ResourceRequirements
	command   string
	slice     string // below kubepods.slice
	pod       map[string]string
	container map[string]string
	untold    map[string]string // what the runtime sets for the container without telling systemd
}{
	{
		name: "guaranteed", command: "trap exit TERM; while :; do :; done",
		resources: corev1.ResourceRequirements{Limits: amounts("100m", "64Mi"), Requests: amounts("100m", "64Mi")},
		pod:       map[string]string{"cpu.max": "10000 100000", "memory.max": "67108864", "cpu.weight": "17"},
		container: map[string]string{"cpu.max": "10000 100000", "memory.max": "67108864"},
		untold:    map[string]string{"memory.swap.max": "0", "memory.oom.group": "1"},
	},
	{
		name: "burstable", command: idle, slice: "kubepods-burstable.slice",
		resources: corev1.ResourceRequirements{Limits: amounts("", "96Mi"), Requests: amounts("50m", "32Mi")},
		pod:       map[string]string{"cpu.max": "max 100000", "memory.max": "100663296", "cpu.weight": "11"},
		container: map[string]string{"cpu.max": "max 100000", "memory.max": "100663296"},
		untold:    map[string]string{"memory.oom.group": "1"},
	},
	{
		name: "besteffort", command: idle, slice: "kubepods-besteffort.slice",
		pod:       map[string]string{"cpu.max": "max 100000", "memory.max": "max", "cpu.weight": "1"},
		container: map[string]string{"cpu.max": "max 100000", "memory.max": "max", "cpu.weight": "1"},
	},
}

func amounts(cpu, memory string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for name, q := range map[corev1.ResourceName]string{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory} {
		if q != "" {
			list[name] = resource.MustParse(q)
		}
	}
	return list
}

func (s *suite) create(t *testing.T, name, command string, r corev1.ResourceRequirements, restart corev1.RestartPolicy) {
	t.Helper()
	_, err := s.client.CoreV1().Pods("default").Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: new(int64), RestartPolicy: restart,
			Containers: []corev1.Container{{Name: "main", Image: testImage, Command: []string{"sh", "-c", command}, Resources: r}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// limits: what a pod may use is what the kernel's files say.
func limits(t *testing.T, s *suite) {
	if _, err := os.Stat(filepath.Join(cgroups, "cgroup.controllers")); err != nil {
		t.Fatalf("the machine has no unified hierarchy: %v", err)
	}
	for _, p := range classPods {
		s.create(t, p.name, p.command, p.resources, corev1.RestartPolicyAlways)
	}
	for _, p := range classPods {
		eventually(t, func(ctx context.Context) error {
			return s.ready(ctx, p.name)
		})
	}
	s.limitsHold(t, true)
	// systemd writes what it knows of its units again: that must be what the kubelet wants. What runc does not tell
	// it, it sets back.
	run(t, "systemctl", "daemon-reload")
	s.limitsHold(t, false)
}

// limitsHold compares the groups' files with what they must say.
func (s *suite) limitsHold(t *testing.T, untold bool) {
	t.Helper()
	for _, p := range classPods {
		pod, err := s.client.CoreV1().Pods("default").Get(t.Context(), p.name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		group := podGroup(pod, p.slice)
		expect(t, group, p.pod)
		_, id, _ := strings.Cut(pod.Status.ContainerStatuses[0].ContainerID, "://")
		scope := filepath.Join(group, "cri-containerd-"+id+".scope")
		expect(t, scope, p.container)
		if untold {
			expect(t, scope, p.untold)
		}
		if processes, err := os.ReadFile(filepath.Join(scope, "cgroup.procs")); err != nil || len(strings.TrimSpace(string(processes))) == 0 {
			t.Errorf("%s: no process is in %s: %v", p.name, scope, err)
		}
	}
	expect(t, filepath.Join(cgroups, "kubepods.slice", "kubepods-besteffort.slice"), map[string]string{"cpu.weight": "1"})
}

// podGroup is the folder of a pod's group, by the names of systemd's slices.
func podGroup(pod *corev1.Pod, class string) string {
	base := strings.TrimSuffix(class, ".slice")
	if base == "" {
		base = "kubepods"
	}
	return filepath.Join(cgroups, "kubepods.slice", class, base+"-pod"+strings.ReplaceAll(string(pod.UID), "-", "_")+".slice")
}

func expect(t *testing.T, group string, files map[string]string) {
	t.Helper()
	for file, want := range files {
		got, err := os.ReadFile(filepath.Join(group, file))
		if err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%s/%s is %q (%v), want %q", group, file, strings.TrimSpace(string(got)), err, want)
		}
	}
}

// memoryLimit: a container that takes more than its limit is killed, and nothing stays of its pod when that is deleted.
func memoryLimit(t *testing.T, s *suite) {
	s.create(t, "greedy", "exec tail /dev/zero", corev1.ResourceRequirements{Limits: amounts("", "32Mi")}, corev1.RestartPolicyNever)
	eventually(t, func(ctx context.Context) error {
		pod, err := s.client.CoreV1().Pods("default").Get(ctx, "greedy", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(pod.Status.ContainerStatuses) == 0 || pod.Status.ContainerStatuses[0].State.Terminated == nil {
			return fmt.Errorf("the greedy pod is %s: %+v", pod.Status.Phase, pod.Status.ContainerStatuses)
		}
		// containerd 1.6 may hear of the end before it hears of the cause; then the reason is Error.
		if end := pod.Status.ContainerStatuses[0].State.Terminated; end.ExitCode != 137 {
			t.Errorf("the greedy container ended with %d for %q, want 137 for a kill", end.ExitCode, end.Reason)
		}
		return nil
	})
	pod, err := s.client.CoreV1().Pods("default").Get(t.Context(), "greedy", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.client.CoreV1().Pods("default").Delete(t.Context(), "greedy", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	group := podGroup(pod, "kubepods-burstable.slice")
	eventually(t, func(context.Context) error {
		if _, err := os.Stat(group); err == nil {
			return fmt.Errorf("the pod was deleted, and its group %s is there yet", group)
		}
		for _, u := range units(t) {
			if strings.Contains(u, filepath.Base(group)) {
				return fmt.Errorf("the pod was deleted, and systemd keeps %s", u)
			}
		}
		return nil
	})
}

// throttled: a container that would use a whole CPU is kept waiting.
func throttled(t *testing.T, s *suite) {
	pod, err := s.client.CoreV1().Pods("default").Get(t.Context(), "guaranteed", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func(context.Context) error {
		stat, err := os.ReadFile(filepath.Join(podGroup(pod, ""), "cpu.stat"))
		if err == nil && (!strings.Contains(string(stat), "nr_throttled") || strings.Contains(string(stat), "nr_throttled 0\n")) {
			err = fmt.Errorf("the busy pod is not throttled:\n%s", stat)
		}
		return err
	})
}
