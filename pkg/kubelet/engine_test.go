package kubelet

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/image"
	"github.com/sampan-project/sampan/pkg/kubelet/probe"
	"github.com/sampan-project/sampan/pkg/kubelet/runtime"
	"github.com/sampan-project/sampan/pkg/kubelet/status"
)

// rig is an engine over a runtime and an apiserver in memory, inside a bubble whose time jumps.
type rig struct {
	t      *testing.T
	cri    *cri.Fake
	client *fake.Clientset
	engine *Engine
	stop   func()
	logs   string

	mu      sync.Mutex
	events  []string
	volumes error
	disk    chan struct{} // while there is one that is open, the disk does not answer
}

// bubble runs a test in which time passes only while everything waits.
func bubble(t *testing.T, images string, test func(r *rig)) {
	logs := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, cri: cri.NewFake(clock.RealClock{}, strings.Fields(images)...), client: fake.NewClientset(), logs: logs}
		r.start()
		test(r)
		r.stop()
	})
}

// start starts a kubelet, after an earlier one was stopped.
func (r *rig) start() {
	ctx, cancel := context.WithCancel(context.Background())
	event := func(p *corev1.Pod, container, eventType, reason, message string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events = append(r.events, reason+" "+container+": "+message)
	}
	c := clock.RealClock{}
	images := image.New(image.Config{Runtime: r.cri, Clock: c, Event: event})
	exec := func(ctx context.Context, id string, cmd []string, timeout time.Duration) ([]byte, int, error) {
		out, err := r.cri.ExecSync(ctx, id, cmd, timeout)
		return out.GetStdout(), int(out.GetExitCode()), err
	}
	probes := probe.New(probe.Config{Exec: exec, Clock: c, Event: event, Log: logr.Discard(), Jitter: func() float64 { return 0 },
		Changed: func(uid types.UID) { r.engine.Wake(uid) }})
	manager := runtime.New(runtime.Config{
		Runtime: r.cri, Images: images, Volumes: r, Cgroups: r, Hooks: r, Clock: c, Event: event, Log: logr.Discard(),
		Network:     func(*corev1.Pod, func(string, string)) (runtime.Network, error) { return runtime.Network{}, nil },
		Environment: func(context.Context, *corev1.Pod, *corev1.Container) ([]*cri.KeyValue, error) { return nil, nil },
		Expand:      func(command, args []string, _ []*cri.KeyValue) ([]string, []string) { return command, args },
		Files:       func(*corev1.Pod, *corev1.Container, string) ([]*cri.Mount, error) { return nil, nil },
		PodsDir:     filepath.Join(r.logs, "pods"), LogsDir: filepath.Join(r.logs, "logs"),
		Made: func(uid types.UID, id string) { r.engine.Own(uid, id) },
	})
	r.engine = NewEngine(ctx, EngineConfig{
		CRI: r.cri, Runtime: manager, Images: images, Status: status.New(ctx, r.client, c, logr.Discard()), Volumes: r, Objects: nobody{}, Cgroups: r,
		Probes: probes, Node: func() *corev1.Node { return nil }, HostIPs: func() []string { return []string{"192.0.2.1"} }, RuntimeName: "containerd",
		MaxDead: 1, Event: event, Clock: c, Log: logr.Discard(),
	})
	if err := r.engine.Adopt(ctx); err != nil {
		r.t.Fatal(err)
	}
	go r.engine.Follow(ctx)
	go r.engine.Tidy(ctx)
	r.stop = func() { cancel(); r.engine.Wait(); synctest.Wait() }
	synctest.Wait()
}

// What of a node the runtime's manager and the engine need beside CRI: nothing here.
func (r *rig) Setup(context.Context, *corev1.Pod) error  { return r.volumes }
func (r *rig) RefreshAt(types.UID) time.Time             { return time.Time{} }
func (r *rig) Teardown(context.Context, types.UID) error { return nil }
func (r *rig) Pod(*corev1.Pod) (string, error)           { return "", nil }
func (r *rig) Remove(types.UID) error                    { return nil }
func (r *rig) Run(_ context.Context, _ *corev1.Pod, c *corev1.Container, _, _ string, h *corev1.LifecycleHandler) error {
	if h.Exec != nil && h.Exec.Command[0] == "fail" {
		return errors.New("it failed")
	}
	if h.Sleep != nil {
		time.Sleep(time.Duration(h.Sleep.Seconds) * time.Second)
	}
	return nil
}

func (r *rig) OnDisk() ([]types.UID, error) {
	r.mu.Lock()
	answers := r.disk
	r.mu.Unlock()
	if answers != nil {
		<-answers
	}
	return nil, nil
}

func (r *rig) Mounts(*corev1.Pod, *corev1.Container, []*cri.KeyValue) ([]*cri.Mount, error) {
	return nil, nil
}

func (r *rig) Resources(*corev1.Pod, *corev1.Container) *cri.LinuxContainerResources { return nil }

func (r *rig) SandboxResources(*corev1.Pod) (overhead, resources *cri.LinuxContainerResources) {
	return nil, nil
}

func podOf(policy corev1.RestartPolicy, names ...string) *corev1.Pod {
	grace := int64(30)
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "u", ResourceVersion: "1"},
		Spec: corev1.PodSpec{RestartPolicy: policy, TerminationGracePeriodSeconds: &grace}}
	always := corev1.ContainerRestartPolicyAlways
	for _, n := range names {
		if side, ok := strings.CutPrefix(n, "side:"); ok {
			p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: side, Image: "image", RestartPolicy: &always})
			continue
		}
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: n, Image: "image"})
	}
	return p
}

// set makes p exist in the apiserver and be told to the engine, and waits until nothing more happens.
func (r *rig) set(p *corev1.Pod) {
	r.t.Helper()
	if err := r.client.Tracker().Add(p); err != nil {
		r.t.Fatal(err)
	}
	r.tell(p)
}

func (r *rig) tell(p *corev1.Pod) {
	r.engine.Status.Seen(p.UID, p)
	r.engine.Set(p, false)
	synctest.Wait()
}

// stored is the pod as the apiserver has it.
func (r *rig) stored() *corev1.Pod {
	r.t.Helper()
	p, err := r.client.CoreV1().Pods("ns").Get(context.Background(), "p", metav1.GetOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

func (r *rig) pass(d time.Duration) { time.Sleep(d); synctest.Wait() }

// state is a container's state in the stored status, in words.
func (r *rig) state(name string) string {
	r.t.Helper()
	s := r.stored().Status
	for _, c := range append(s.InitContainerStatuses, s.ContainerStatuses...) {
		switch {
		case c.Name != name:
		case c.State.Running != nil:
			return fmt.Sprintf("running %d", c.RestartCount)
		case c.State.Waiting != nil:
			return fmt.Sprintf("%s %d", c.State.Waiting.Reason, c.RestartCount)
		case c.State.Terminated != nil:
			return fmt.Sprintf("%s %d", c.State.Terminated.Reason, c.RestartCount)
		}
	}
	return "?"
}

func (r *rig) expect(what, want, got string) {
	r.t.Helper()
	if want != got {
		r.t.Errorf("%s: %s, not %s", what, got, want)
	}
}

// id is the runtime's id of the newest container of a name.
func (r *rig) id(name string) string {
	r.t.Helper()
	list, err := r.cri.ListContainers(context.Background(), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	newest := slices.MaxFunc(list, func(a, b *cri.Container) int {
		rank := func(c *cri.Container) int64 {
			if c.GetMetadata().GetName() != name {
				return -1
			}
			return int64(c.GetMetadata().GetAttempt())
		}
		return int(rank(a) - rank(b))
	})
	return newest.GetId()
}

// did counts the calls to the runtime that begin with a word.
func (r *rig) did(call string) int {
	n := 0
	for _, c := range r.cri.Calls() {
		if strings.HasPrefix(c, call) {
			n++
		}
	}
	return n
}

func (r *rig) told(reason string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.events, func(e string) bool { return strings.HasPrefix(e, reason) })
}

func TestPodRunsAndIsReady(t *testing.T) {
	bubble(t, "image", func(r *rig) {
		r.set(podOf(corev1.RestartPolicyAlways, "a", "b"))
		s := r.stored().Status
		r.expect("phase", "Running", string(s.Phase))
		r.expect("a", "running 0", r.state("a"))
		r.expect("address", "10.0.0.2", s.PodIP)
		for _, c := range s.Conditions {
			r.expect(string(c.Type), "True", string(c.Status))
		}
		for _, reason := range []string{"Pulled a", "Created a", "Started b"} {
			if !r.told(reason) {
				t.Errorf("no event %s", reason)
			}
		}
		writes := len(r.client.Actions())
		r.pass(10 * time.Minute)
		if n := len(r.client.Actions()); n != writes {
			t.Errorf("%d requests to the apiserver while nothing happened", n-writes)
		}
	})
}

func TestCrashingContainerBacksOff(t *testing.T) {
	bubble(t, "image", func(r *rig) {
		r.set(podOf(corev1.RestartPolicyAlways, "a"))
		r.pass(time.Second)
		r.cri.Exit(r.id("a"), 1, "Error")
		synctest.Wait()
		r.expect("at first", "running 1", r.state("a"))
		for _, wait := range []time.Duration{10, 20, 40, 80, 160, 300, 300} {
			r.pass(time.Second)
			r.cri.Exit(r.id("a"), 1, "Error")
			synctest.Wait()
			before := r.state("a")
			r.expect("state", "CrashLoopBackOff", strings.Fields(before)[0])
			r.pass(wait*time.Second - time.Millisecond)
			r.expect("just before the time", before, r.state("a"))
			r.pass(time.Millisecond)
			r.expect("at the time", "running", strings.Fields(r.state("a"))[0])
		}
		r.pass(11 * time.Minute)
		r.cri.Exit(r.id("a"), 1, "Error")
		synctest.Wait()
		r.expect("after running well", "running 9", r.state("a"))
		if n, err := r.cri.ListContainers(context.Background(), nil); err != nil || len(n) > 3 {
			t.Errorf("%d old containers are kept (%v)", len(n), err)
		}
	})
}

func TestDeletionIsGracefulAndDeletesLast(t *testing.T) {
	bubble(t, "image", func(r *rig) {
		r.cri.Stubborn["a"] = true
		p := podOf(corev1.RestartPolicyAlways, "a", "side:s")
		r.set(p)
		var deleted *clienttesting.DeleteActionImpl
		r.client.PrependReactor("delete", "pods", func(a clienttesting.Action) (bool, kruntime.Object, error) {
			d := a.(clienttesting.DeleteActionImpl)
			deleted = &d
			return false, nil, nil
		})
		grace, now := int64(20), metav1.Now()
		p = r.stored()
		p.DeletionGracePeriodSeconds, p.DeletionTimestamp, p.ResourceVersion = &grace, &now, "100"
		if err := r.client.Tracker().Update(corev1.SchemeGroupVersion.WithResource("pods"), p, "ns"); err != nil {
			t.Fatal(err)
		}
		r.tell(p)
		r.pass(19 * time.Second)
		if deleted != nil || r.did("StopPodSandbox") > 0 || r.did("StopContainer s") > 0 {
			t.Errorf("it was cut short: %v", r.cri.Calls())
		}
		r.pass(5 * time.Second)
		if deleted == nil || *deleted.DeleteOptions.GracePeriodSeconds != 0 || *deleted.DeleteOptions.Preconditions.UID != "u" {
			t.Fatalf("not deleted as it should be: %v", deleted)
		}
		a, s := slices.Index(r.cri.Calls(), "StopContainer a"), slices.Index(r.cri.Calls(), "StopContainer s")
		if a < 0 || s < a {
			t.Errorf("the sidecar did not end last: %v", r.cri.Calls())
		}
		r.expect("status", "Failed", func() string { s, _ := r.engine.Status.Get("u"); return string(s.Phase) }())
		r.engine.Delete(p)
		synctest.Wait()
		if c, _ := r.cri.ListContainers(context.Background(), nil); len(c) > 0 || r.engine.Has("u") {
			t.Errorf("left over: %v", c)
		}
	})
}

func TestShorterGraceOvertakes(t *testing.T) {
	bubble(t, "image", func(r *rig) {
		r.cri.Stubborn["a"] = true
		p := podOf(corev1.RestartPolicyAlways, "a")
		r.set(p)
		now := metav1.Now()
		for i, grace := range []int64{600, 5} {
			p = p.DeepCopy()
			p.DeletionTimestamp, p.DeletionGracePeriodSeconds, p.ResourceVersion = &now, &grace, fmt.Sprint(100+i)
			r.tell(p)
		}
		r.pass(6 * time.Second)
		if s, _ := r.engine.Status.Get("u"); s.Phase != corev1.PodFailed {
			t.Errorf("%s after 6 s, although 5 s were left", s.Phase)
		}
	})
}

func TestRestartOfTheKubeletLeavesContainersAlone(t *testing.T) {
	bubble(t, "image", func(r *rig) {
		p := podOf(corev1.RestartPolicyAlways, "a")
		r.set(p)
		r.stop()
		calls, id := len(r.cri.Calls()), r.id("a")
		r.start()
		p = r.stored()
		r.tell(p)
		r.engine.EndOrphans(context.Background())
		r.pass(5 * time.Minute)
		if got := r.cri.Calls()[calls:]; len(got) > 0 {
			t.Errorf("the runtime was asked to change something: %v", got)
		}
		r.cri.Exit(id, 1, "Error")
		synctest.Wait()
		r.expect("after a crash", "running 1", r.state("a"))
	})
}

func TestWhatBelongsToNoPodIsEnded(t *testing.T) {
	bubble(t, "image", func(r *rig) {
		r.set(podOf(corev1.RestartPolicyAlways, "a"))
		r.stop()
		r.start()
		r.engine.EndOrphans(context.Background())
		r.pass(time.Minute)
		if s, _ := r.cri.ListPodSandbox(context.Background(), nil); len(s) > 0 || r.did("StopContainer a") != 1 {
			t.Errorf("left over: %v; calls %v", s, r.cri.Calls())
		}
	})
}

func TestDeathOfTheSandboxRestartsThePod(t *testing.T) {
	bubble(t, "image", func(r *rig) {
		r.set(podOf(corev1.RestartPolicyAlways, "a", "b"))
		s, _ := r.cri.ListPodSandbox(context.Background(), nil)
		r.cri.KillSandbox(s[0].GetId())
		r.pass(time.Second)
		r.expect("a", "running 1", r.state("a"))
		r.expect("b", "running 1", r.state("b"))
		r.expect("address", "10.0.0.5", r.stored().Status.PodIP)
		if !r.told("SandboxChanged") {
			t.Error("nobody was told")
		}
		r.pass(2 * time.Minute)
	})
}

func TestPodThatIsDoneSucceeds(t *testing.T) {
	bubble(t, "image", func(r *rig) {
		r.set(podOf(corev1.RestartPolicyNever, "a", "side:s"))
		r.cri.Exit(r.id("a"), 0, "Completed")
		r.pass(5 * time.Second)
		r.expect("phase", "Succeeded", string(r.stored().Status.Phase))
		if s, _ := r.cri.ListPodSandbox(context.Background(), nil); len(s) != 1 || s[0].GetState() != cri.SandboxNotReady {
			t.Errorf("the sandbox was not stopped: %v", s)
		}
		if id := r.id("a"); id == "" {
			t.Error("the container is gone, and with it its logs")
		}
	})
}

func TestDeadlineFailsThePod(t *testing.T) {
	bubble(t, "image", func(r *rig) {
		p := podOf(corev1.RestartPolicyAlways, "a")
		deadline := int64(60)
		p.Spec.ActiveDeadlineSeconds = &deadline
		r.set(p)
		r.pass(59 * time.Second)
		r.expect("before", "running 0", r.state("a"))
		r.pass(3 * time.Second)
		s := r.stored().Status
		r.expect("after", "Failed DeadlineExceeded", string(s.Phase)+" "+s.Reason)
		r.expect("the container", "Error 0", r.state("a"))
	})
}

func TestFailedProbesRestartAndUnready(t *testing.T) {
	bubble(t, "image", func(r *rig) {
		p := podOf(corev1.RestartPolicyAlways, "a")
		check := func(name string) *corev1.Probe {
			return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{name}}},
				PeriodSeconds: 10, TimeoutSeconds: 1, FailureThreshold: 1, SuccessThreshold: 1}
		}
		p.Spec.Containers[0].ReadinessProbe, p.Spec.Containers[0].LivenessProbe = check("ready"), check("alive")
		var mu sync.Mutex
		fails := map[string]bool{"ready": true}
		r.cri.Run = func(_ string, cmd []string) *cri.ExecSyncResponse {
			mu.Lock()
			defer mu.Unlock()
			if fails[cmd[0]] {
				return &cri.ExecSyncResponse{ExitCode: 1}
			}
			return &cri.ExecSyncResponse{}
		}
		let := func(name string, fail bool) {
			mu.Lock()
			fails[name] = fail
			mu.Unlock()
			r.pass(15 * time.Second)
		}
		r.set(p)
		r.pass(15 * time.Second)
		ready := func() string { return fmt.Sprint(r.stored().Status.ContainerStatuses[0].Ready) }
		r.expect("ready", "false", ready())
		let("ready", false)
		r.expect("ready", "true", ready())
		let("ready", true)
		r.expect("ready", "false", ready())
		r.expect("unready is not dead", "running 0", r.state("a"))
		let("alive", true)
		if r.did("StopContainer a") == 0 || !r.told("Killing a: Container a failed liveness probe, will be restarted") {
			t.Errorf("it was not killed: %v", r.events)
		}
	})
}

func TestImageThatCannotBePulled(t *testing.T) {
	bubble(t, "", func(r *rig) {
		r.set(podOf(corev1.RestartPolicyAlways, "a"))
		r.expect("at first", "ErrImagePull 0", r.state("a"))
		r.pass(5 * time.Second)
		r.expect("then", "ImagePullBackOff 0", r.state("a"))
		r.cri.AddImage("image")
		r.pass(10 * time.Second)
		r.expect("once it is there", "running 0", r.state("a"))
	})
}

func TestHooksThatFailKill(t *testing.T) {
	bubble(t, "image", func(r *rig) {
		p := podOf(corev1.RestartPolicyNever, "a")
		p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{
			PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"fail"}}},
			PreStop:   &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 7}},
		}
		began := time.Now()
		r.set(p)
		r.pass(time.Minute)
		r.expect("a", "Error 0", r.state("a"))
		st := r.stored().Status.ContainerStatuses[0].State.Terminated
		if took := st.FinishedAt.Sub(began).Round(time.Second); took != 7*time.Second {
			t.Errorf("the preStop hook was given %v", took)
		}
		if !r.told("FailedPostStartHook a") {
			t.Error("nobody was told")
		}
	})
}

func TestLostEventsAreMadeUpFor(t *testing.T) {
	bubble(t, "image", func(r *rig) {
		r.set(podOf(corev1.RestartPolicyAlways, "a"))
		r.engine.mu.Lock()
		clear(r.engine.owners)
		r.engine.mu.Unlock()
		r.cri.Exit(r.id("a"), 1, "Error")
		synctest.Wait()
		r.expect("unheard", "running 0", r.state("a"))
		r.pass(relistEvery)
		r.expect("after the next look at everything", "running 1", r.state("a"))
	})
}

func TestHealthFailsWhileTheLookAtEverythingHangs(t *testing.T) {
	bubble(t, "", func(r *rig) {
		r.engine.EndOrphans(t.Context())
		r.pass(10 * time.Minute)
		if err := r.engine.Healthy(t.Context()); err != nil {
			t.Errorf("while all is well: %v", err)
		}
		answers := make(chan struct{})
		r.mu.Lock()
		r.disk = answers
		r.mu.Unlock()
		r.pass(2 * stuckAfter)
		if err := r.engine.Healthy(t.Context()); err == nil {
			t.Error("nothing was looked at for minutes, and all is said to be well")
		}
		close(answers)
		r.pass(2 * relistEvery)
		if err := r.engine.Healthy(t.Context()); err != nil {
			t.Errorf("it goes on: %v", err)
		}
	})
}

func TestVolumesThatAreNotThereHoldUpThePod(t *testing.T) {
	bubble(t, "image", func(r *rig) {
		r.volumes = errors.New(`MountVolume.SetUp failed for volume "v" : configmap "c" not found`)
		r.set(podOf(corev1.RestartPolicyAlways, "a"))
		r.expect("a", "ContainerCreating 0", r.state("a"))
		if !r.told("FailedMount : MountVolume.SetUp failed") {
			t.Errorf("events: %v", r.events)
		}
		r.volumes = nil
		r.engine.Refresh([]types.UID{"u"})
		synctest.Wait()
		r.expect("as soon as they are", "running 0", r.state("a"))
	})
}

func TestStaticPodWaitsForTheOneBeforeIt(t *testing.T) {
	bubble(t, "image", func(r *rig) {
		r.cri.Stubborn["a"] = true
		old := podOf(corev1.RestartPolicyAlways, "a")
		old.Annotations = map[string]string{"kubernetes.io/config.source": "file"}
		r.engine.Set(old, true)
		synctest.Wait()
		next := old.DeepCopy()
		next.UID = "v"
		r.engine.Delete(old)
		r.engine.Set(next, true)
		r.pass(29 * time.Second)
		if r.did("RunPodSandbox") != 1 {
			t.Error("the new one did not wait")
		}
		r.pass(5 * time.Second)
		if r.did("RunPodSandbox") != 2 || r.engine.Has("u") {
			t.Errorf("the new one does not run: %v", r.cri.Calls())
		}
		// The same file comes back while its pod is still ending: it runs again afterwards.
		r.engine.Delete(next)
		r.engine.Set(next, true)
		r.pass(time.Minute)
		if r.did("RunPodSandbox") != 3 {
			t.Errorf("the pod that came back does not run: %v", r.cri.Calls())
		}
	})
}
