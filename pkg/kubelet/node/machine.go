package node

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Machine is what a machine has and is.
type Machine struct {
	CPUs      int
	Memory    int64 // bytes, as all sizes here
	Swap      int64
	Disk      int64           // of the file system of the kubelet's root directory
	Inodes    int64           // of the same
	HugePages map[int64]int64 // bytes of huge pages by page size
	MaxPID    int64

	MachineID, SystemUUID, BootID, Kernel, OSImage string
}

// Paths say where the machine's files are.
type Paths struct {
	Root      string // under which /proc, /sys and /etc are; "/" but in tests
	RootDir   string // the kubelet's; its file system is the node's
	MachineID string // comma-separated; empty: /etc/machine-id,/var/lib/dbus/machine-id
	BootID    string // comma-separated; empty: /proc/sys/kernel/random/boot_id
}

// ReadMachine measures the machine. What cannot be read and is not necessary stays empty.
func ReadMachine(p Paths) (Machine, error) {
	var m Machine
	memory, err := os.ReadFile(p.in("proc/meminfo"))
	if err != nil {
		return m, err
	}
	m.Memory, m.Swap = meminfo(string(memory), "MemTotal"), meminfo(string(memory), "SwapTotal")
	if m.Memory == 0 {
		return m, errors.New("/proc/meminfo tells no MemTotal")
	}
	m.CPUs = cpus(p.first("sys/devices/system/cpu/online"))
	var fs syscall.Statfs_t
	if err := statfs(p.RootDir, &fs); err != nil {
		return m, fmt.Errorf("measuring the file system of %s: %w", p.RootDir, err)
	}
	m.Disk, m.Inodes = int64(fs.Blocks)*fs.Bsize, int64(fs.Files)
	m.HugePages = p.hugePages()
	m.MaxPID, _ = strconv.ParseInt(p.first("proc/sys/kernel/pid_max"), 10, 64)
	p.MachineID = cmp.Or(p.MachineID, "/etc/machine-id,/var/lib/dbus/machine-id")
	p.BootID = cmp.Or(p.BootID, "/proc/sys/kernel/random/boot_id")
	m.MachineID = p.first(strings.Split(p.MachineID, ",")...)
	m.BootID = p.first(strings.Split(p.BootID, ",")...)
	if m.SystemUUID = strings.ToLower(p.first("sys/class/dmi/id/product_uuid", "proc/device-tree/system-id", "proc/device-tree/vm,uuid")); m.SystemUUID == "" {
		m.SystemUUID = m.MachineID // as upstream where the firmware does not tell
	}
	m.Kernel = p.first("proc/sys/kernel/osrelease")
	m.OSImage = osImage(p.first("etc/os-release", "usr/lib/os-release"))
	return m, nil
}

func (p Paths) in(name string) string { return filepath.Join(p.Root, name) }

// first is the content of the first of the files that can be read.
func (p Paths) first(names ...string) string {
	for _, name := range names {
		if data, err := os.ReadFile(p.in(strings.TrimSpace(name))); err == nil {
			return strings.Trim(string(data), " \n\x00")
		}
	}
	return ""
}

// statfs measures the nearest directory that exists: the kubelet's own may not be made yet.
func statfs(dir string, fs *syscall.Statfs_t) error {
	for {
		err := syscall.Statfs(dir, fs)
		if !errors.Is(err, syscall.ENOENT) || dir == filepath.Dir(dir) {
			return err
		}
		dir = filepath.Dir(dir)
	}
}

// meminfo reads a line like "MemTotal:  2048 kB".
func meminfo(text, name string) int64 {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) >= 2 && f[0] == name+":" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n * 1024
		}
	}
	return 0
}

// cpus counts a list like 0-3,6.
func cpus(list string) int {
	n := 0
	for r := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(r), "-")
		first, err := strconv.Atoi(from)
		if err != nil {
			return runtime.NumCPU()
		}
		last := first
		if isRange {
			if last, err = strconv.Atoi(to); err != nil || last < first {
				return runtime.NumCPU()
			}
		}
		n += last - first + 1
	}
	return n
}

func (p Paths) hugePages() map[int64]int64 {
	dirs, _ := filepath.Glob(p.in("sys/kernel/mm/hugepages/hugepages-*kB"))
	all := map[int64]int64{}
	for _, dir := range dirs {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(dir), "hugepages-"), "kB")
		kib, err := strconv.ParseInt(name, 10, 64)
		data, readErr := os.ReadFile(filepath.Join(dir, "nr_hugepages"))
		n, countErr := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
		if errors.Join(err, readErr, countErr) == nil {
			all[kib*1024] = n * kib * 1024
		}
	}
	return all
}

func osImage(text string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(value, `"'`)
		}
	}
	return "Unknown"
}

// Capacity is the machine's capacity for pods.
func (m Machine) Capacity(maxPods, podsPerCore int32) corev1.ResourceList {
	pods := int64(maxPods)
	if podsPerCore > 0 {
		pods = min(pods, int64(podsPerCore)*int64(m.CPUs))
	}
	list := corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewQuantity(int64(m.CPUs), resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(m.Memory, resource.BinarySI),
		corev1.ResourcePods:             *resource.NewQuantity(pods, resource.DecimalSI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(m.Disk, resource.BinarySI),
	}
	for size, bytes := range m.HugePages {
		name := corev1.ResourceHugePagesPrefix + resource.NewQuantity(size, resource.BinarySI).String()
		list[corev1.ResourceName(name)] = *resource.NewQuantity(bytes, resource.BinarySI)
	}
	return list
}
