package machine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// near is how far two readings of memory may be apart: the kernel counts in batches, and time passes between them.
const near = 2 << 20

// reading is what the files of a group say.
type reading struct{ cpu, memory uint64 } // nanoseconds; bytes of the working set

func readGroup(dir string) (reading, error) {
	usage, err := entry(filepath.Join(dir, "cpu.stat"), "usage_usec")
	if err != nil {
		return reading{}, err
	}
	content, err := os.ReadFile(filepath.Join(dir, "memory.current"))
	if err != nil {
		return reading{}, err
	}
	current, err := strconv.ParseUint(strings.TrimSpace(string(content)), 10, 64)
	if err != nil {
		return reading{}, err
	}
	idle, err := entry(filepath.Join(dir, "memory.stat"), "inactive_file")
	return reading{cpu: usage * 1000, memory: current - min(current, idle)}, err
}

// entry is the number after a name in a file of such lines.
func entry(path, name string) (uint64, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(content)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == name {
			return strconv.ParseUint(f[1], 10, 64)
		}
	}
	return 0, fmt.Errorf("%s says nothing of %s", path, name)
}

// statsAreTheKernels: what the kubelet tells monitoring is what the files of the groups say.
func statsAreTheKernels(t *testing.T, s *suite) {
	pod, err := s.client.CoreV1().Pods("default").Get(t.Context(), "guaranteed", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error { return s.summaryHolds(ctx, pod) })
	eventually(t, func(ctx context.Context) error { return s.metricsHold(ctx, pod) })
}

// groups are those of a pod and of its container.
func groups(pod *corev1.Pod) [2]string {
	slice := podGroup(pod, "")
	_, id, _ := strings.Cut(pod.Status.ContainerStatuses[0].ContainerID, "://")
	return [2]string{slice, filepath.Join(slice, "cri-containerd-"+id+".scope")}
}

// asked gets something from the kubelet, and what the files of the pod's groups say before and after.
func (s *suite) asked(ctx context.Context, pod *corev1.Pod, path string) (answer []byte, before, after [2]reading, err error) {
	for i, g := range groups(pod) {
		if before[i], err = readGroup(g); err != nil {
			return nil, before, after, err
		}
	}
	if answer, err = s.client.CoreV1().RESTClient().Get().AbsPath("/api/v1/nodes/machine/proxy/" + path).DoRaw(ctx); err != nil {
		return nil, before, after, fmt.Errorf("%w: %s", err, answer)
	}
	for i, g := range groups(pod) {
		if after[i], err = readGroup(g); err != nil {
			return nil, before, after, err
		}
	}
	return answer, before, after, nil
}

// fits says how a measurement between two readings falls short of them.
func fits(what string, cpu, memory uint64, before, after reading) error {
	if cpu < before.cpu || cpu > after.cpu || cpu == 0 {
		return fmt.Errorf("%s has used %d ns of CPU; its cgroup says %d before and %d after", what, cpu, before.cpu, after.cpu)
	}
	if memory+near < before.memory || memory > after.memory+near || memory == 0 {
		return fmt.Errorf("%s uses %d bytes; its cgroup says %d before and %d after", what, memory, before.memory, after.memory)
	}
	return nil
}

func (s *suite) summaryHolds(ctx context.Context, pod *corev1.Pod) error {
	answer, before, after, err := s.asked(ctx, pod, "stats/summary")
	if err != nil {
		return err
	}
	var summary statsapi.Summary
	if err := json.Unmarshal(answer, &summary); err != nil {
		return err
	}
	for i := range summary.Pods {
		if p := &summary.Pods[i]; p.PodRef.UID == string(pod.UID) {
			if err := podHolds(p, before, after); err != nil {
				text, _ := json.Marshal(p)
				return fmt.Errorf("%w\nthe kubelet says: %s", err, text)
			}
			return nil
		}
	}
	return fmt.Errorf("the kubelet does not tell of the pod: %s", answer)
}

func podHolds(p *statsapi.PodStats, before, after [2]reading) error {
	if len(p.Containers) != 1 {
		return fmt.Errorf("it tells of %d containers", len(p.Containers))
	}
	for i, m := range []struct {
		what   string
		cpu    *statsapi.CPUStats
		memory *statsapi.MemoryStats
	}{{"the pod", p.CPU, p.Memory}, {"the container", p.Containers[0].CPU, p.Containers[0].Memory}} {
		if m.cpu == nil || m.cpu.UsageCoreNanoSeconds == nil || m.memory == nil || m.memory.WorkingSetBytes == nil {
			return fmt.Errorf("%s is not measured", m.what)
		}
		if err := fits(m.what, *m.cpu.UsageCoreNanoSeconds, *m.memory.WorkingSetBytes, before[i], after[i]); err != nil {
			return err
		}
		// It would use a whole CPU, and may use a tenth.
		if rate := m.cpu.UsageNanoCores; rate == nil || *rate < 10_000_000 || *rate > 200_000_000 {
			return fmt.Errorf("%s uses no tenth of a CPU", m.what)
		}
	}
	return nil
}

func (s *suite) metricsHold(ctx context.Context, pod *corev1.Pod) error {
	answer, before, after, err := s.asked(ctx, pod, "metrics/resource")
	if err != nil {
		return err
	}
	for i, kind := range []string{"pod", "container"} {
		cpu, err := sample(answer, kind+"_cpu_usage_seconds_total", pod.Name)
		if err != nil {
			return err
		}
		memory, err := sample(answer, kind+"_memory_working_set_bytes", pod.Name)
		if err != nil {
			return err
		}
		if err := fits("the "+kind, uint64(cpu*1e6+0.5)*1000, uint64(memory), before[i], after[i]); err != nil {
			return fmt.Errorf("%w\nthe kubelet says:\n%s", err, answer)
		}
	}
	return nil
}

// sample is a pod's value of a metric in Prometheus' text.
func sample(text []byte, metric, pod string) (float64, error) {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), "{")
		labels, values, _ := strings.Cut(rest, "}")
		if f := strings.Fields(values); name == metric && strings.Contains(labels, `pod="`+pod+`"`) && len(f) > 0 {
			return strconv.ParseFloat(f[0], 64)
		}
	}
	return 0, fmt.Errorf("there is no %s of the pod in:\n%s", metric, text)
}
