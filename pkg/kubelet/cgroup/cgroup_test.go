package cgroup

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
)

func list(pairs ...string) corev1.ResourceList {
	l := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		l[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return l
}

func pod(uid types.UID, resources ...corev1.ResourceRequirements) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: uid}}
	for i, r := range resources {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: fmt.Sprint("c", i), Resources: r})
	}
	return p
}

func requirements(requests, limits corev1.ResourceList) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Requests: requests, Limits: limits}
}

var (
	guaranteed = requirements(list("cpu", "500m", "memory", "64Mi"), list("cpu", "500m", "memory", "64Mi"))
	burstable  = requirements(list("cpu", "250m"), list("memory", "32Mi"))
	nothing    = corev1.ResourceRequirements{}
)

func config() Config {
	return Config{PerQOS: true, CPUQuota: true, PidsLimit: 99, EnforcePods: true, Clock: clock.RealClock{}, Log: logr.Discard()}
}

// machine is a Manager on this machine's cgroups, under a root of its own that the test removes.
func machine(t *testing.T, change func(*Config)) *Manager {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("control groups can be made by root only: run the tests as root, as make test does")
	}
	c := config()
	c.Root = fmt.Sprintf("sampan-test-%d-%s", os.Getpid(), strings.ToLower(t.Name()))
	if change != nil {
		change(&c)
	}
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.tree.remove("/" + c.Root); err != nil {
			t.Error(err)
		}
	})
	return m
}

func TestGroupsHoldTheirLimitsAndGoWithTheirProcesses(t *testing.T) {
	m := machine(t, nil)
	v, ok := m.tree.(*v1)
	if !ok {
		t.Log("this machine has cgroup v2; its files are tested beside")
		return
	}
	read := func(controller, path, file string) string {
		data, err := os.ReadFile(filepath.Join(v.mounts[controller], path, file))
		if err != nil {
			t.Error(err)
		}
		return strings.TrimSpace(string(data))
	}
	if err := m.Setup(list("cpu", "2", "memory", "1Gi")); err != nil {
		t.Fatal(err)
	}
	pods := []*corev1.Pod{pod("g", guaranteed), pod("b", burstable, burstable), pod("e", nothing)}
	for _, p := range pods {
		parent, err := m.Pod(p)
		if err != nil || parent != m.PodPath(p) {
			t.Fatalf("parent %q, %v", parent, err)
		}
	}
	if err := m.SyncClasses(pods); err != nil {
		t.Fatal(err)
	}
	root := "/" + m.config.Root + "/kubepods"
	for _, c := range []struct{ controller, path, file, want string }{
		{"cpu", root, "cpu.shares", "2048"},
		{"memory", root, "memory.limit_in_bytes", "1073741824"},
		{"cpu", root + "/burstable", "cpu.shares", "512"},
		{"cpu", root + "/besteffort", "cpu.shares", "2"},
		{"cpu", root + "/podg", "cpu.shares", "512"},
		{"cpu", root + "/podg", "cpu.cfs_quota_us", "50000"},
		{"memory", root + "/podg", "memory.limit_in_bytes", "67108864"},
		{"pids", root + "/podg", "pids.max", "99"},
		{"cpu", root + "/burstable/podb", "cpu.shares", "512"},
		{"cpu", root + "/burstable/podb", "cpu.cfs_quota_us", "-1"},
		{"memory", root + "/burstable/podb", "memory.limit_in_bytes", "67108864"},
		{"cpu", root + "/besteffort/pode", "cpu.shares", "2"},
	} {
		if got := read(c.controller, c.path, c.file); got != c.want {
			t.Errorf("%s of %s is %s, want %s", c.file, c.path, got, c.want)
		}
	}
	if read("cpuset", root+"/podg", "cpuset.cpus") == "" {
		t.Error("no process could join the cpuset")
	}
	uids, err := m.OnDisk()
	if diff := cmp.Diff([]types.UID{"g", "b", "e"}, uids); err != nil || diff != "" {
		t.Errorf("on disk: %v (-want +got):\n%s", err, diff)
	}

	inner := filepath.Join(v.mounts["memory"], root, "podg", "container")
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	sleep := exec.Command("sleep", "1000")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- sleep.Wait() }()
	if err := write(inner, "cgroup.procs", fmt.Sprint(sleep.Process.Pid)); err != nil {
		_ = sleep.Process.Kill()
		t.Fatal(err)
	}
	for range 2 {
		if err := m.Remove("g"); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the process of a removed pod ended with %v", err)
	}
	if uids, err := m.OnDisk(); err != nil || len(uids) != 2 {
		t.Errorf("left on disk: %v, %v", uids, err)
	}
}

func TestUnifiedHierarchy(t *testing.T) {
	mount := t.TempDir()
	file := func(dir, name, content string) string {
		path := filepath.Join(mount, dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// The kernel would make these files.
	for _, dir := range []string{"", "kubepods", "kubepods/podg"} {
		file(dir, "cgroup.controllers", "cpu memory pids")
		file(dir, "cgroup.subtree_control", "cpu memory")
		for _, name := range []string{"cpu.weight", "cpu.max", "memory.max", "pids.max"} {
			file(dir, name, "")
		}
	}
	info := file("", "mountinfo", fmt.Sprintf("30 23 0:26 / %s rw shared:4 - cgroup2 cgroup2 rw\n", mount))
	c := config()
	c.Mount, c.MountInfo = mount, info
	m, err := New(c)
	if err != nil || m.Version() != 2 {
		t.Fatalf("version %v, %v", m, err)
	}
	if _, err := m.Pod(pod("g", guaranteed)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"podg/cpu.weight": "59", "podg/cpu.max": "50000 100000", "podg/memory.max": "67108864", "podg/pids.max": "99",
		"podg/cgroup.subtree_control": "+pidsemory", // written over the beginning of what was there
	} {
		if got, err := os.ReadFile(filepath.Join(mount, "kubepods", name)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v, want %q", name, got, err, want)
		}
	}
	r := m.Resources(pod("g", guaranteed), &pod("g", guaranteed).Spec.Containers[0], 1<<30)
	if r.Unified["memory.oom.group"] != "1" {
		t.Errorf("resources %v", r)
	}
}

func TestSystemdDriver(t *testing.T) {
	c := config()
	c.Driver, c.RunDir = Systemd, filepath.Join(t.TempDir(), "absent")
	if _, err := New(c); err == nil || !strings.Contains(err.Error(), "systemd does not run on this machine: set cgroupDriver: cgroupfs") {
		t.Errorf("no systemd: %v", err)
	}
	var calls []string
	m := machine(t, func(c *Config) {
		c.Driver, c.RunDir = Systemd, t.TempDir()
		c.Root = fmt.Sprintf("sampantest%d.slice", os.Getpid())
		c.Systemctl = func(_ context.Context, args ...string) error {
			calls = append(calls, strings.Join(args, " "))
			return nil
		}
	})
	root := strings.TrimSuffix(m.config.Root, ".slice")
	p := pod("1-2", burstable)
	slice := root + "-kubepods-burstable-pod1_2.slice"
	parent, err := m.Pod(p)
	if err != nil || parent != m.PodPath(p) {
		t.Errorf("parent %q, %v, want %q", parent, err, m.PodPath(p))
	}
	if want := fmt.Sprintf("/%[1]s.slice/%[1]s-kubepods.slice/%[1]s-kubepods-burstable.slice/%[2]s", root, slice); m.PodPath(p) != want {
		t.Errorf("path %q, want %q", m.PodPath(p), want)
	}
	if uids, err := m.OnDisk(); err != nil || len(uids) != 1 || uids[0] != "1-2" {
		t.Errorf("on disk: %v, %v", uids, err)
	}
	want := []string{"start " + slice, "set-property --runtime " + slice + " CPUWeight=35 CPUQuota= MemoryMax=33554432 TasksMax=99"}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	settings := filepath.Join(m.config.RunDir+".control", slice+".d")
	if err := os.MkdirAll(settings, 0o755); err != nil { // as systemctl set-property does
		t.Fatal(err)
	}
	if err := m.Remove(p.UID); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(settings); !os.IsNotExist(err) {
		t.Errorf("the pod is removed, and systemd's settings of its slice are left: %v", err)
	}
}

func TestClassesOfService(t *testing.T) {
	for name, c := range map[string]struct {
		pod  *corev1.Pod
		want corev1.PodQOSClass
	}{
		"all limited":        {pod("", guaranteed, guaranteed), corev1.PodQOSGuaranteed},
		"one without":        {pod("", guaranteed, nothing), corev1.PodQOSBurstable},
		"requests below":     {pod("", requirements(list("cpu", "1", "memory", "1Gi"), list("cpu", "2", "memory", "1Gi"))), corev1.PodQOSBurstable},
		"nothing":            {pod("", nothing, nothing), corev1.PodQOSBestEffort},
		"other resources":    {pod("", requirements(list("ephemeral-storage", "1Gi"), nil)), corev1.PodQOSBestEffort},
		"zero is no request": {pod("", requirements(list("cpu", "0"), nil)), corev1.PodQOSBestEffort},
		"the apiserver's":    {&corev1.Pod{Status: corev1.PodStatus{QOSClass: corev1.PodQOSBurstable}}, corev1.PodQOSBurstable},
		"of the whole pod": {&corev1.Pod{Spec: corev1.PodSpec{Resources: &guaranteed, Containers: []corev1.Container{{}}}},
			corev1.PodQOSGuaranteed},
	} {
		if got := QOS(c.pod); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestOOMScores(t *testing.T) {
	const memory = 4 << 30
	asks := func(q string) corev1.ResourceRequirements { return requirements(list("memory", q), nil) }
	critical := pod("", nothing)
	critical.Spec.PriorityClassName = "system-node-critical"
	sidecar := pod("", asks("2Gi"))
	sidecar.Spec.InitContainers = []corev1.Container{{RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)}}
	for name, c := range map[string]struct {
		pod       *corev1.Pod
		container *corev1.Container
		want      int
	}{
		"guaranteed":       {pod("", guaranteed), nil, -997},
		"best effort":      {pod("", nothing), nil, 1000},
		"half":             {pod("", asks("2Gi")), nil, 500},
		"nearly nothing":   {pod("", asks("1")), nil, 999},
		"more than there":  {pod("", asks("8Gi")), nil, 3},
		"critical":         {critical, nil, -997},
		"sidecar of a big": {sidecar, &sidecar.Spec.InitContainers[0], 500},
	} {
		if c.container == nil {
			c.container = &c.pod.Spec.Containers[0]
		}
		if got := OOMScoreAdj(c.pod, c.container, memory); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

func TestContainerResources(t *testing.T) {
	m := &Manager{config: Config{CPUQuota: true, QuotaPeriod: 100_000_000}, tree: &v1{}}
	p := pod("", requirements(list("cpu", "5m"), list("cpu", "5m", "memory", "1Gi", "hugepages-2Mi", "4Mi")))
	r := m.Resources(p, &p.Spec.Containers[0], 4<<30)
	if r.CpuShares != 5 || r.CpuQuota != 1000 || r.CpuPeriod != 100000 || r.MemoryLimitInBytes != 1<<30 ||
		len(r.HugepageLimits) != 1 || r.HugepageLimits[0].PageSize != "2MB" || r.HugepageLimits[0].Limit != 4<<20 {
		t.Errorf("got %v", r)
	}
	for shares, want := range map[uint64]uint64{2: 1, 1024: 100, 262144: 10000, 512: 59} {
		if got := Weight(shares); got != want {
			t.Errorf("weight of %d shares is %d, want %d", shares, got, want)
		}
	}
}
