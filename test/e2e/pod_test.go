package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// step is what one line of a watch says.
type step struct {
	event, kind, name, node, phase string
	version                        int64
}

// watchWithCurl follows a collection over HTTP/1.1, chunked, from a version on.
func watchWithCurl(ctx context.Context, t *testing.T, s *suite, path, version string, into chan<- step) {
	t.Helper()
	pki := "/etc/kubernetes/pki/"
	cert, key := filepath.Join(t.TempDir(), "c"), filepath.Join(t.TempDir(), "k")
	write(t, cert, string(s.Config.CertData))
	write(t, key, string(s.Config.KeyData))
	cmd := exec.CommandContext(ctx, "curl", "--no-buffer", "--silent", "--show-error", "--http1.1", "--cacert", pki+"ca.crt", "--cert", cert, "--key", key,
		s.Config.Host+path+"?watch=true&resourceVersion="+version)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer func() { _ = cmd.Wait() }() // it is killed with its context
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 4<<20)
		for lines.Scan() {
			var e struct {
				Type   string
				Object struct {
					Kind     string
					Metadata metav1.ObjectMeta
					Spec     corev1.PodSpec
					Status   corev1.PodStatus
				}
			}
			if json.Unmarshal(lines.Bytes(), &e) != nil {
				continue
			}
			version, _ := strconv.ParseInt(e.Object.Metadata.ResourceVersion, 10, 64)
			select {
			case into <- step{e.Type, e.Object.Kind, e.Object.Metadata.Name, e.Object.Spec.NodeName, string(e.Object.Status.Phase), version}:
			case <-ctx.Done():
				return
			}
		}
	}()
}

// podPath is the way of a pod into being, as its watchers see it.
func podPath(t *testing.T, s *suite) {
	ctx, cancel := context.WithTimeout(t.Context(), later)
	defer cancel()
	list, err := s.Client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	steps := make(chan step, 100)
	watchWithCurl(ctx, t, s, "/apis/apps/v1/namespaces/default/replicasets", list.ResourceVersion, steps)
	watchWithCurl(ctx, t, s, "/api/v1/namespaces/default/pods", list.ResourceVersion, steps)
	one, labels := int32(1), map[string]string{"app": "path"}
	_, err = s.Client.AppsV1().ReplicaSets("default").Create(ctx, &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: "path"},
		Spec: appsv1.ReplicaSetSpec{Replicas: &one, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       corev1.PodSpec{TerminationGracePeriodSeconds: new(int64), Containers: []corev1.Container{{Name: "main", Image: testImage, Command: []string{"sleep", "1000"}}}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wanted := []struct {
		what string
		is   func(step) bool
	}{
		{"ReplicaSet added", func(e step) bool { return e.event == "ADDED" && e.kind == "ReplicaSet" && e.name == "path" }},
		{"Pod added, not scheduled", func(e step) bool { return e.event == "ADDED" && e.kind == "Pod" && e.node == "" }},
		{"Pod bound", func(e step) bool {
			return e.event == "MODIFIED" && e.kind == "Pod" && e.node == "node0" && e.phase == "Pending"
		}},
		{"Pod running", func(e step) bool { return e.event == "MODIFIED" && e.kind == "Pod" && e.phase == "Running" }},
	}
	versions := make([]int64, len(wanted))
	last := map[string]int64{}
	for missing := len(wanted); missing > 0; {
		select {
		case e := <-steps:
			if !strings.HasPrefix(e.name, "path") {
				continue
			}
			if e.version <= last[e.kind] {
				t.Fatalf("%s %s: resourceVersion %d follows %d", e.event, e.kind, e.version, last[e.kind])
			}
			last[e.kind] = e.version
			for i, w := range wanted {
				if versions[i] == 0 && w.is(e) {
					versions[i] = e.version
					missing--
					break
				}
			}
		case <-ctx.Done():
			t.Fatalf("of %d steps these versions were seen: %v", len(wanted), versions)
		}
	}
	for i := 1; i < len(versions); i++ {
		if versions[i] <= versions[i-1] {
			t.Errorf("%s has version %d, %s has %d", wanted[i-1].what, versions[i-1], wanted[i].what, versions[i])
		}
	}
	s.sandboxFirst(ctx, t, "app=path")
	s.must(t, "delete", "replicaset", "path", "--wait=true")
}

// sandboxFirst compares the times of creation of the pause container and of the pod's own.
func (s *suite) sandboxFirst(ctx context.Context, t *testing.T, selector string) {
	t.Helper()
	pods := s.readyPods(t, "default", selector, 1)
	id := strings.TrimPrefix(pods[0].Status.ContainerStatuses[0].ContainerID, "containerd://")
	out, err := output(ctx, "ctr", "-n", "k8s.io", "containers", "info", id)
	if err != nil {
		t.Fatal(err)
	}
	type info struct {
		CreatedAt time.Time
		Labels    map[string]string
		Spec      struct{ Annotations map[string]string }
	}
	var own, sandbox info
	if err := json.Unmarshal([]byte(out), &own); err != nil {
		t.Fatal(err)
	}
	pause := own.Spec.Annotations["io.kubernetes.cri.sandbox-id"]
	if out, err = output(ctx, "ctr", "-n", "k8s.io", "containers", "info", pause); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out), &sandbox); err != nil {
		t.Fatal(err)
	}
	if !sandbox.CreatedAt.Before(own.CreatedAt) {
		t.Errorf("the sandbox was created at %v, its container at %v", sandbox.CreatedAt, own.CreatedAt)
	}
}

// killedContainer kills a container's process behind the kubelet's back.
func killedContainer(t *testing.T, s *suite) {
	pod := s.readyPods(t, "default", web, 3)[0]
	was := pod.Status.ContainerStatuses[0]
	id := strings.TrimPrefix(was.ContainerID, "containerd://")
	if out, err := output(t.Context(), "ctr", "-n", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", id); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	eventually(t, soon, "the container runs again", func(ctx context.Context) error {
		now, err := s.Client.CoreV1().Pods("default").Get(ctx, pod.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		c := now.Status.ContainerStatuses[0]
		if c.RestartCount != was.RestartCount+1 || c.State.Running == nil || !isReady(now) {
			return fmt.Errorf("restarts %d, ready %v", c.RestartCount, c.Ready)
		}
		if c.LastTerminationState.Terminated == nil || c.LastTerminationState.Terminated.ExitCode != 137 {
			return fmt.Errorf("its last end is told as %+v", c.LastTerminationState)
		}
		return nil
	})
}

const volumesPod = `apiVersion: v1
kind: Secret
metadata: {name: e2e}
stringData: {password: "hidden"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: e2e}
data: {color: "blue", file.txt: "first\n"}
---
apiVersion: v1
kind: Pod
metadata: {name: volumes, labels: {app: volumes}, annotations: {note: "mine"}}
spec:
  terminationGracePeriodSeconds: 0
  initContainers:
  - {name: first, image: IMAGE, command: [sh, -c, "echo prepared > /work/init"], volumeMounts: [{name: work, mountPath: /work}]}
  containers:
  - name: main
    image: IMAGE
    command: [sleep, "100000"]
    env:
    - {name: COLOR, valueFrom: {configMapKeyRef: {name: e2e, key: color}}}
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: e2e, key: password}}}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory}}}
    - {name: BOTH, value: "$(COLOR)-$(NODE)"}
    envFrom: [{prefix: ALL_, configMapRef: {name: e2e}}]
    resources: {limits: {memory: 64Mi, cpu: 200m}}
    volumeMounts:
    - {name: work, mountPath: /work}
    - {name: memory, mountPath: /memory}
    - {name: host, mountPath: /host}
    - {name: config, mountPath: /config}
    - {name: config, mountPath: /one/file.txt, subPath: file.txt}
    - {name: secret, mountPath: /secret}
    - {name: about, mountPath: /about}
  volumes:
  - {name: work, emptyDir: {}}
  - {name: memory, emptyDir: {medium: Memory}}
  - {name: host, hostPath: {path: HOSTDIR, type: Directory}}
  - {name: config, configMap: {name: e2e}}
  - {name: secret, secret: {secretName: e2e, defaultMode: 0400}}
  - name: about
    projected:
      sources:
      - {downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
      - {serviceAccountToken: {path: token, audience: e2e, expirationSeconds: 600}}
`

func volumes(t *testing.T, s *suite) {
	host := t.TempDir()
	write(t, filepath.Join(host, "from-host"), "host")
	s.apply(t, strings.NewReplacer("IMAGE", testImage, "HOSTDIR", host).Replace(volumesPod))
	s.must(t, "wait", "--for=condition=Ready", "pod/volumes", "--timeout=120s")
	for command, want := range map[string]string{
		"cat /work/init":                                   "prepared",
		"stat -f -c %T /memory":                            "tmpfs",
		"cat /host/from-host":                              "host",
		"cat /config/color":                                "blue",
		"cat /one/file.txt":                                "first",
		"cat /secret/password":                             "hidden",
		"stat -L -c %a /secret/password":                   "400",
		"cat /about/labels":                                `app="volumes"`,
		"cut -d. -f1 /about/token | wc -l":                 "1",
		"echo $COLOR $PASSWORD $NODE $MEMORY":              "blue hidden node0 67108864",
		"echo $BOTH $ALL_color":                            "blue-node0 blue",
		"echo $KUBERNETES_SERVICE_PORT $HOSTNAME":          "443 volumes",
		"ls /var/run/secrets/kubernetes.io/serviceaccount": "ca.crt",
	} {
		out, err := s.inside(t, "volumes", "sh", "-c", command)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %q, %v; want %q", command, out, err, want)
		}
	}
	s.must(t, "patch", "configmap", "e2e", "-p", `{"data":{"color":"green"}}`)
	eventually(t, later, "the file follows the ConfigMap", func(context.Context) error {
		out, err := s.inside(t, "volumes", "cat", "/config/color")
		if err == nil && strings.TrimSpace(out) != "green" {
			err = fmt.Errorf("it reads %q", out)
		}
		return err
	})
	s.must(t, "delete", "pod", "volumes", "--wait=true")
}

const probesPod = `apiVersion: v1
kind: Pod
metadata: {name: probes}
spec:
  terminationGracePeriodSeconds: 20
  containers:
  - name: main
    image: IMAGE
    command: [sh, -c, "trap 'echo ended >> /hooks/log; exit 0' TERM; touch /tmp/alive /tmp/ready; while true; do sleep 0.1; done"]
    lifecycle:
      postStart: {exec: {command: [sh, -c, "echo started >> /hooks/log"]}}
      preStop: {exec: {command: [sh, -c, "echo stopping >> /hooks/log"]}}
    startupProbe: {exec: {command: [test, -e, /tmp/alive]}, periodSeconds: 1, failureThreshold: 30}
    livenessProbe: {exec: {command: [test, -e, /tmp/alive]}, periodSeconds: 1, failureThreshold: 2}
    readinessProbe: {exec: {command: [test, -e, /tmp/ready]}, periodSeconds: 1, failureThreshold: 1}
    volumeMounts: [{name: hooks, mountPath: /hooks}]
  volumes: [{name: hooks, hostPath: {path: HOSTDIR}}]
`

func probesAndHooks(t *testing.T, s *suite) {
	host := t.TempDir()
	s.apply(t, strings.NewReplacer("IMAGE", testImage, "HOSTDIR", host).Replace(probesPod))
	s.must(t, "wait", "--for=condition=Ready", "pod/probes", "--timeout=120s")
	if _, err := s.inside(t, "probes", "rm", "/tmp/ready"); err != nil {
		t.Fatal(err)
	}
	s.must(t, "wait", "--for=condition=Ready=false", "pod/probes", "--timeout=60s")
	if _, err := s.inside(t, "probes", "rm", "/tmp/alive"); err != nil {
		t.Fatal(err)
	}
	eventually(t, soon, "the container that is not alive is restarted", func(ctx context.Context) error {
		p, err := s.Client.CoreV1().Pods("default").Get(ctx, "probes", metav1.GetOptions{})
		if err == nil && (p.Status.ContainerStatuses[0].RestartCount == 0 || !isReady(p)) {
			err = errors.New("it is not yet")
		}
		return err
	})
	events := s.must(t, "get", "events", "--field-selector=involvedObject.name=probes", "-o", "jsonpath={range .items[*]}{.reason}: {.message}{\"\\n\"}{end}")
	for _, want := range []string{"Unhealthy: Liveness probe failed", "Unhealthy: Readiness probe failed", "Killing: Container main failed liveness probe, will be restarted", "Created:", "Started:", "Scheduled: Successfully assigned default/probes to node0"} {
		if !strings.Contains(events, want) {
			t.Errorf("no event says %q:\n%s", want, events)
		}
	}
	s.must(t, "delete", "pod", "probes", "--wait=true", "--timeout=60s")
	log := read(t, filepath.Join(host, "log"))
	if want := "started\nstopping\nended\nstarted\nstopping\nended\n"; log != want {
		t.Errorf("hooks and signals came as %q, want %q", log, want)
	}
}
