package node

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Reserve is what of the machine is not for pods, in the words of KubeletConfiguration.
type Reserve struct {
	System, Kube map[string]string
	// CPUs is reservedSystemCPUs, as 0-1: their number replaces the cpu of System, and Kube's is none.
	CPUs string
	// EvictionHard are thresholds by signal, quantities or percentages; nil where they should not count.
	EvictionHard map[string]string
}

// Allocatable is what pods may request of a capacity.
func (r Reserve) Allocatable(capacity corev1.ResourceList) (corev1.ResourceList, error) {
	list, err := r.reserved()
	if err != nil {
		return nil, err
	}
	for signal, name := range map[string]corev1.ResourceName{
		"memory.available": corev1.ResourceMemory, "nodefs.available": corev1.ResourceEphemeralStorage,
	} {
		of := capacity[name]
		q, err := threshold(r.EvictionHard[signal], of.Value())
		if err != nil {
			return nil, fmt.Errorf("the eviction threshold of %s: %w", signal, err)
		}
		total := list[name]
		total.Add(q)
		list[name] = total
	}
	return subtract(capacity, list), nil
}

// PodsLimit is what pods may use of a capacity before the kernel stops them.
func (r Reserve) PodsLimit(capacity corev1.ResourceList, maxPID int64) (corev1.ResourceList, error) {
	list, err := r.reserved()
	if err != nil {
		return nil, err
	}
	limit := subtract(capacity, list)
	if pids, ok := list["pid"]; ok && maxPID > 0 {
		limit["pid"] = *resource.NewQuantity(max(maxPID-pids.Value(), 0), resource.DecimalSI)
	}
	return limit, nil
}

// reserved sums up what the system and Kubernetes' daemons keep.
func (r Reserve) reserved() (corev1.ResourceList, error) {
	list := corev1.ResourceList{}
	for _, reserve := range []map[string]string{r.System, r.Kube} {
		for name, value := range reserve {
			q, err := resource.ParseQuantity(value)
			if err != nil {
				return nil, fmt.Errorf("the reserve %s=%s: %w", name, value, err)
			}
			total := list[corev1.ResourceName(name)]
			total.Add(q)
			list[corev1.ResourceName(name)] = total
		}
	}
	if r.CPUs != "" {
		list[corev1.ResourceCPU] = *resource.NewQuantity(int64(cpus(r.CPUs)), resource.DecimalSI)
	}
	return list, nil
}

// threshold reads a quantity or a percentage of a whole.
func threshold(s string, whole int64) (resource.Quantity, error) {
	percent, ok := strings.CutSuffix(s, "%")
	switch {
	case s == "":
		return resource.Quantity{}, nil
	case !ok:
		return resource.ParseQuantity(s)
	}
	f, err := strconv.ParseFloat(percent, 64)
	if err != nil {
		return resource.Quantity{}, fmt.Errorf("%q is not a percentage: %w", s, err)
	}
	return *resource.NewQuantity(int64(float64(whole)*f/100), resource.BinarySI), nil
}

// subtract takes reserves off a capacity. Huge pages are memory that ordinary pages cannot use.
func subtract(capacity, reserved corev1.ResourceList) corev1.ResourceList {
	list := corev1.ResourceList{}
	for name, q := range capacity {
		rest := q.DeepCopy()
		if less, ok := reserved[name]; ok {
			rest.Sub(less)
		}
		list[name] = rest
	}
	memory := list[corev1.ResourceMemory]
	for name, q := range capacity {
		if strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) {
			memory.Sub(q)
		}
	}
	list[corev1.ResourceMemory] = memory
	for name, q := range list {
		if q.Sign() < 0 {
			list[name] = *resource.NewQuantity(0, q.Format)
		}
	}
	return list
}
