package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
)

// flaky is the fake runtime with a network that can be away.
type flaky struct {
	*cri.Fake
	mu   sync.Mutex
	down bool
}

func (f *flaky) set(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *flaky) Status(ctx context.Context, verbose bool) (*cri.StatusResponse, error) {
	r, err := f.Fake.Status(ctx, verbose)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil && f.down {
		for _, c := range r.Status.Conditions {
			if c.Type == cri.NetworkReady {
				c.Status, c.Reason, c.Message = false, "NetworkPluginNotReady", "Network plugin returns error: cni plugin not initialized"
			}
		}
	}
	if err == nil {
		r.RuntimeHandlers = []*cri.RuntimeHandler{{Features: &cri.RuntimeHandlerFeatures{RecursiveReadOnlyMounts: true}}, {Name: "old"}}
	}
	return r, err
}

type recorder struct {
	mu     sync.Mutex
	events []string
}

func (r *recorder) record(_, reason, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, reason+": "+message)
}

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.events...)
}

func config(client *fake.Clientset, r cri.Runtime, events *recorder) Config {
	c := Config{
		Name: "node1", IPs: []net.IP{net.IPv4(10, 0, 0, 1)}, Labels: map[string]string{"own": "label"},
		Taints:   []corev1.Taint{{Key: "k", Effect: corev1.TaintEffectNoSchedule}},
		Register: true, AttachDetach: true, Port: 10250, MaxImages: 50, MaxPods: 110, Runtime: r,
		Machine: func() (Machine, error) {
			return Machine{CPUs: 4, Memory: 8 << 30, Disk: 100 << 30, MachineID: "m", BootID: "b", Kernel: "6.1", OSImage: "Debian"}, nil
		},
		Event: events.record, Clock: clock.RealClock{}, Log: logr.Discard(),
	}
	if client != nil {
		c.Client = client
	}
	return c
}

// run runs a Manager inside a bubble of its own time.
func run(t *testing.T, c Config) *Manager {
	t.Helper()
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { m.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return m
}

func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func get(t *testing.T, client *fake.Clientset) *corev1.Node {
	t.Helper()
	n, err := client.CoreV1().Nodes().Get(t.Context(), "node1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func ready(n *corev1.Node) corev1.NodeCondition {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c
		}
	}
	return corev1.NodeCondition{}
}

func patches(client *fake.Clientset) int {
	n := 0
	for _, a := range client.Actions() {
		if a.Matches("patch", "nodes") && a.GetSubresource() == "status" {
			n++
		}
	}
	return n
}

func TestNodeIsRegisteredAndReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, events := fake.NewClientset(), &recorder{}
		failures := 2
		client.PrependReactor("create", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
			failures--
			return failures >= 0, nil, apierrors.NewInternalError(errors.New("not yet"))
		})
		rt := &flaky{Fake: cri.NewFake(clock.RealClock{}, "image:1"), down: true}
		m := run(t, config(client, rt, events))
		after(time.Second)
		n := get(t, client)
		if n.Labels["own"] != "label" || n.Labels["kubernetes.io/hostname"] != "node1" || n.Labels["kubernetes.io/os"] != "linux" ||
			n.Annotations["volumes.kubernetes.io/controller-managed-attach-detach"] != "true" || len(n.Spec.Taints) != 1 || !m.Registered() {
			t.Errorf("node %+v", n.ObjectMeta)
		}
		if !m.RecursiveReadOnly("") || m.RecursiveReadOnly("old") || m.RecursiveReadOnly("unknown") {
			t.Error("what the runtime's handlers can do is not what they told")
		}
		c := ready(n)
		want := "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"
		if c.Status != corev1.ConditionFalse || c.Reason != "KubeletNotReady" || c.Message != want {
			t.Errorf("condition %+v", c)
		}
		since := c.LastTransitionTime
		after(2 * time.Second) // times have whole seconds
		rt.set(false)
		m.Poke()
		after(time.Millisecond)
		c = ready(get(t, client))
		if c.Status != corev1.ConditionTrue || c.Reason != "KubeletReady" || c.Message != "kubelet is posting ready status" || !c.LastTransitionTime.After(since.Time) {
			t.Errorf("condition %+v", c)
		}
		s := get(t, client).Status
		if s.NodeInfo.KubeletVersion != "v1.36.2" || s.NodeInfo.ContainerRuntimeVersion != "fake://1.0.0" || s.NodeInfo.OSImage != "Debian" ||
			s.DaemonEndpoints.KubeletEndpoint.Port != 10250 || len(s.Images) != 1 || len(s.Conditions) != 4 || len(s.Addresses) != 2 {
			t.Errorf("status %+v", s)
		}
		for _, want := range []string{"Starting: Starting kubelet.", "NodeReady: Node node1 status is now: NodeReady"} {
			if got := events.all(); !strings.Contains(strings.Join(got, "\n"), want) {
				t.Errorf("events %q lack %q", got, want)
			}
		}
		before := patches(client)
		after(time.Minute)
		if n := patches(client) - before; n != 0 {
			t.Errorf("an unchanged status was written %d times in a minute", n)
		}
		after(5 * time.Minute)
		if n := patches(client) - before; n != 1 {
			t.Errorf("an unchanged status was written %d times in six minutes, want once", n)
		}
		lease, err := client.CoordinationV1().Leases("kube-node-lease").Get(t.Context(), "node1", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if age := time.Since(lease.Spec.RenewTime.Time); age > 11*time.Second || *lease.Spec.LeaseDurationSeconds != 40 || *lease.Spec.HolderIdentity != "node1" ||
			len(lease.OwnerReferences) != 1 || lease.OwnerReferences[0].Kind != "Node" {
			t.Errorf("lease renewed %s ago: %+v", age, lease)
		}
	})
}

func TestExistingNodeKeepsWhatOthersGaveIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(&corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: "node1", UID: "u", Labels: map[string]string{"kubernetes.io/hostname": "wrong", "zone": "a"}},
			Spec:       corev1.NodeSpec{Unschedulable: true, PodCIDR: "10.1.0.0/24"},
			Status: corev1.NodeStatus{
				Capacity:   corev1.ResourceList{"example.com/gpu": resource.MustParse("2")},
				NodeInfo:   corev1.NodeSystemInfo{BootID: "earlier"},
				Conditions: []corev1.NodeCondition{{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionFalse}},
				Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.9.9.9"}},
			},
		})
		events := &recorder{}
		run(t, config(client, cri.NewFake(clock.RealClock{}), events))
		after(time.Second)
		n := get(t, client)
		if n.Labels["kubernetes.io/hostname"] != "node1" || n.Labels["zone"] != "a" || n.Labels["own"] != "" || !n.Spec.Unschedulable || len(n.Spec.Taints) != 0 {
			t.Errorf("node %+v, %+v", n.ObjectMeta, n.Spec)
		}
		gpu := n.Status.Capacity["example.com/gpu"]
		if gpu.Value() != 2 || len(n.Status.Conditions) != 5 {
			t.Errorf("status %+v", n.Status)
		}
		if got := strings.Join(events.all(), "\n"); !strings.Contains(got, "Rebooted: Node node1 has been rebooted, boot id: b") {
			t.Errorf("events %s", got)
		}
	})
}

func TestAddressesOfOneTypeAreReplacedAsAWhole(t *testing.T) {
	old := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "u"}, Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: "InternalIP", Address: "10.0.0.1"}}}}
	updated := old.DeepCopy()
	updated.Status.Addresses = []corev1.NodeAddress{{Type: "InternalIP", Address: "10.0.0.2"}, {Type: "InternalIP", Address: "fd00::2"}}
	data, err := statusPatch(old, updated)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"metadata":{"uid":"u"},"status":{"addresses":[{"$patch":"replace"},{"type":"InternalIP","address":"10.0.0.2"},{"type":"InternalIP","address":"fd00::2"}]}}`
	var got, expected any
	if err := errors.Join(json.Unmarshal(data, &got), json.Unmarshal([]byte(want), &expected)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(expected, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestANewNodeIsNotReadyAndRunsOutOfNothing(t *testing.T) {
	m, err := New(config(nil, nil, &recorder{}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range m.Node().Status.Conditions {
		got = append(got, fmt.Sprintf("%s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message))
	}
	want := []string{
		"MemoryPressure=False KubeletHasSufficientMemory: kubelet has sufficient memory available",
		"DiskPressure=False KubeletHasNoDiskPressure: kubelet has no disk pressure",
		"PIDPressure=False KubeletHasSufficientPID: kubelet has sufficient PID available",
		"Ready=False KubeletNotReady: container runtime status check may not have completed yet",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAllocatableIsCapacityLessReserves(t *testing.T) {
	machine := Machine{CPUs: 4, Memory: 8 << 30, Disk: 100 << 30, HugePages: map[int64]int64{2 << 20: 1 << 30}}
	capacity := machine.Capacity(110, 10)
	r := Reserve{System: map[string]string{"cpu": "500m", "memory": "1Gi", "pid": "1000"}, Kube: map[string]string{"memory": "512Mi"},
		EvictionHard: map[string]string{"memory.available": "100Mi", "nodefs.available": "10%", "nodefs.inodesFree": "5%"}}
	check := func(what string, got corev1.ResourceList, want map[string]string) {
		t.Helper()
		is := map[string]string{}
		for name, q := range got {
			is[string(name)] = q.String()
		}
		if diff := cmp.Diff(want, is); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	check("capacity", capacity, map[string]string{"cpu": "4", "memory": "8Gi", "pods": "40", "ephemeral-storage": "100Gi", "hugepages-2Mi": "1Gi"})
	allocatable, err := r.Allocatable(capacity)
	if err != nil {
		t.Fatal(err)
	}
	check("allocatable", allocatable, map[string]string{"cpu": "3500m", "memory": "5532Mi", "pods": "40", "ephemeral-storage": "90Gi", "hugepages-2Mi": "1Gi"})
	limit, err := r.PodsLimit(capacity, 32768)
	if err != nil {
		t.Fatal(err)
	}
	check("limit", limit, map[string]string{"cpu": "3500m", "memory": "5632Mi", "pods": "40", "ephemeral-storage": "100Gi", "hugepages-2Mi": "1Gi", "pid": "31768"})
	r.CPUs = "0-1,3"
	if allocatable, err = r.Allocatable(capacity); err != nil || allocatable.Cpu().String() != "1" {
		t.Errorf("reserved cpus leave %s, %v", allocatable.Cpu(), err)
	}
}

func TestMachineIsReadFromItsFiles(t *testing.T) {
	root := t.TempDir()
	for name, content := range map[string]string{
		"proc/meminfo":                   "MemTotal:       2048 kB\nMemFree: 1 kB\nSwapTotal:   10 kB\n",
		"sys/devices/system/cpu/online":  "0-2,5\n",
		"proc/sys/kernel/osrelease":      "6.1.0-test\n",
		"proc/sys/kernel/random/boot_id": "boot\n",
		"proc/sys/kernel/pid_max":        "4194304\n",
		"etc/machine-id":                 "machine\n",
		"etc/os-release":                 "NAME=x\nPRETTY_NAME=\"Some Linux 1\"\n",
		"sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "3\n",
	} {
		file := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	m, err := ReadMachine(Paths{Root: root, RootDir: filepath.Join(root, "not", "yet")})
	if err != nil {
		t.Fatal(err)
	}
	if m.Disk == 0 {
		t.Error("the disk was not measured")
	}
	m.Disk, m.Inodes = 0, 0
	want := Machine{CPUs: 4, Memory: 2 << 20, Swap: 10 << 10, HugePages: map[int64]int64{2 << 20: 6 << 20}, MaxPID: 4194304,
		MachineID: "machine", SystemUUID: "machine", BootID: "boot", Kernel: "6.1.0-test", OSImage: "Some Linux 1"}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := ReadMachine(Paths{Root: "/", RootDir: "/"}); err != nil {
		t.Errorf("this machine: %v", err)
	}
}

func TestLargestImagesAreListed(t *testing.T) {
	got := nodeImages([]*cri.Image{
		{Id: "a", Size: 1, RepoTags: []string{"small"}}, {Id: "b", Size: 3, RepoTags: []string{"t1", "t2", "t3", "t4", "t5"}, RepoDigests: []string{"d"}},
		{Id: "c", Size: 2, RepoTags: []string{"middle"}},
	}, 2)
	want := []corev1.ContainerImage{{Names: []string{"d", "t1", "t2", "t3", "t4"}, SizeBytes: 3}, {Names: []string{"middle"}, SizeBytes: 2}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestChosenAddressIsTheMachinesAndUsable(t *testing.T) {
	local := []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP("fe80::1"), net.ParseIP("fd00::1"), net.ParseIP("10.0.0.1")}
	for want, found := range map[string][]net.IP{
		"10.0.0.1": local,
		"fd00::1":  {net.ParseIP("127.0.0.1"), net.ParseIP("fd00::1")},
		"<nil>":    {net.ParseIP("127.0.0.1"), net.ParseIP("10.0.0.2"), net.ParseIP("fe80::1")},
	} {
		if got := choose(found, local); got.String() != want {
			t.Errorf("of %v: got %v, want %s", found, got, want)
		}
	}
}
