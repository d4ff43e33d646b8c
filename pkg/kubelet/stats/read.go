package stats

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// jiffy is the unit of /proc/stat: USER_HZ is 100 on every architecture that Go knows.
const jiffy = 10 * time.Millisecond

// fields reads a file of lines "name value ..." or "name: value kB".
func fields(path string) (map[string]uint64, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := map[string]uint64{}
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			continue
		}
		n, err := strconv.ParseUint(words[1], 10, 64)
		if err != nil {
			continue
		}
		if len(words) == 3 && words[2] == "kB" {
			n <<= 10
		}
		out[strings.TrimSuffix(words[0], ":")] = n
	}
	return out, nil
}

func number(path string) (uint64, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(content)), 10, 64)
}

// nodeCPU is the CPU time that everything on the node has used, in nanoseconds: from cgroup v2 or v1,
// else from /proc/stat, which counts in hundredths of a second.
func (p *Provider) nodeCPU() (uint64, error) {
	if stat, err := fields(filepath.Join(p.cfg.CgroupRoot, "cpu.stat")); err == nil && stat["usage_usec"] > 0 {
		return stat["usage_usec"] * 1000, nil
	}
	for _, at := range []string{"cpuacct", "cpu,cpuacct"} {
		if n, err := number(filepath.Join(p.cfg.CgroupRoot, at, "cpuacct.usage")); err == nil {
			return n, nil
		}
	}
	content, err := os.ReadFile(filepath.Join(p.cfg.ProcRoot, "stat"))
	if err != nil {
		return 0, fmt.Errorf("reading the node's CPU time: %w", err)
	}
	first, _, _ := strings.Cut(string(content), "\n")
	words := strings.Fields(first) // cpu user nice system idle iowait irq softirq steal ...
	var used uint64
	for i, w := range words {
		if i == 0 || i == 4 || i == 5 || i > 8 {
			continue
		}
		n, err := strconv.ParseUint(w, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the node's CPU time: %w", err)
		}
		used += n
	}
	return used * uint64(jiffy), nil
}

// nodeMemory is what of the node's memory is in use.
func (p *Provider) nodeMemory(now metav1.Time) (*statsapi.MemoryStats, error) {
	info, err := fields(filepath.Join(p.cfg.ProcRoot, "meminfo"))
	if err != nil {
		return nil, fmt.Errorf("reading the node's memory: %w", err)
	}
	usage := info["MemTotal"] - info["MemFree"]
	working := usage - min(usage, info["Inactive(file)"])
	available, rss := info["MemTotal"]-working, info["AnonPages"]
	m := &statsapi.MemoryStats{Time: now, AvailableBytes: &available, UsageBytes: &usage, WorkingSetBytes: &working, RSSBytes: &rss}
	if vm, err := fields(filepath.Join(p.cfg.ProcRoot, "vmstat")); err == nil {
		faults, major := vm["pgfault"], vm["pgmajfault"]
		m.PageFaults, m.MajorPageFaults = &faults, &major
	}
	return m, nil
}

// nodeNetwork reads the counters of the node's interfaces; the one of the default route stands first.
func (p *Provider) nodeNetwork(now metav1.Time) *statsapi.NetworkStats {
	content, err := os.ReadFile(filepath.Join(p.cfg.ProcRoot, "net/dev"))
	if err != nil {
		return nil
	}
	out := &statsapi.NetworkStats{Time: now}
	byDefault := p.defaultInterface()
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
		name, counters, found := strings.Cut(strings.TrimSpace(lines.Text()), ":")
		words := strings.Fields(counters)
		if !found || len(words) < 12 || name == "lo" || strings.HasPrefix(name, "veth") {
			continue
		}
		i := statsapi.InterfaceStats{Name: name}
		for at, to := range map[int]**uint64{0: &i.RxBytes, 2: &i.RxErrors, 8: &i.TxBytes, 10: &i.TxErrors} {
			if n, err := strconv.ParseUint(words[at], 10, 64); err == nil {
				*to = &n
			}
		}
		if name == byDefault {
			out.InterfaceStats = i
		}
		out.Interfaces = append(out.Interfaces, i)
	}
	return out
}

func (p *Provider) defaultInterface() string {
	content, err := os.ReadFile(filepath.Join(p.cfg.ProcRoot, "net/route"))
	if err != nil {
		return ""
	}
	for l := range strings.SplitSeq(string(content), "\n") {
		if words := strings.Fields(l); len(words) > 1 && words[1] == "00000000" {
			return words[0]
		}
	}
	return ""
}

// fileSystem measures the file system that holds a path.
func fileSystem(path string, now metav1.Time) (*statsapi.FsStats, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return nil, fmt.Errorf("measuring the file system of %s: %w", path, err)
	}
	size := uint64(s.Bsize)
	capacity, available, used := s.Blocks*size, s.Bavail*size, (s.Blocks-s.Bfree)*size
	inodes, free := s.Files, s.Ffree
	inodesUsed := inodes - free
	return &statsapi.FsStats{
		Time: now, CapacityBytes: &capacity, AvailableBytes: &available, UsedBytes: &used,
		Inodes: &inodes, InodesFree: &free, InodesUsed: &inodesUsed,
	}, nil
}

// rlimit is how many processes there are and may be.
func (p *Provider) rlimit(now metav1.Time) *statsapi.RlimitStats {
	out := &statsapi.RlimitStats{Time: now}
	if n, err := number(filepath.Join(p.cfg.ProcRoot, "sys/kernel/pid_max")); err == nil {
		limit := int64(n)
		if threads, err := number(filepath.Join(p.cfg.ProcRoot, "sys/kernel/threads-max")); err == nil {
			limit = min(limit, int64(threads))
		}
		out.MaxPID = &limit
	}
	if load, err := os.ReadFile(filepath.Join(p.cfg.ProcRoot, "loadavg")); err == nil {
		if words := strings.Fields(string(load)); len(words) > 3 { // "0.1 0.2 0.3 running/all last"
			_, all, _ := strings.Cut(words[3], "/")
			if n, err := strconv.ParseInt(all, 10, 64); err == nil {
				out.NumOfRunningProcesses = &n
			}
		}
	}
	return out
}

// bootTime is when the node started, and otherwise when the kubelet did.
func (p *Provider) bootTime() time.Time {
	stat, err := fields(filepath.Join(p.cfg.ProcRoot, "stat"))
	if err != nil || stat["btime"] == 0 {
		return p.cfg.StartedAt
	}
	return time.Unix(int64(stat["btime"]), 0)
}
