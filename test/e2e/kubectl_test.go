package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kubectlCommands goes through what people type.
func kubectlCommands(t *testing.T, s *suite) {
	pod := s.readyPods(t, "default", web, 3)[0].Name
	says := func(want string, args ...string) {
		t.Helper()
		if out := s.must(t, args...); !strings.Contains(out, want) {
			t.Errorf("kubectl %s does not say %q:\n%s", strings.Join(args, " "), want, out)
		}
	}
	says("1/1     Running", "get", "pods", "-o", "wide")
	says("control-plane", "get", "nodes")
	says("web-", "get", "all")
	says("Successfully assigned", "describe", "pod", pod)
	says("Endpoints:", "describe", "service", "web")
	says("Allocated resources", "describe", "node", "node0")
	says("OldReplicaSets", "describe", "deployment", "web")
	says("FIELDS:", "explain", "pod.spec.containers", "--recursive")
	says("livenessProbe", "explain", "pod.spec.containers")
	says("yes", "auth", "can-i", "create", "pods")
	if out, err := s.kubectl(t, "--as=system:serviceaccount:default:default", "auth", "can-i", "create", "pods"); err == nil || !strings.Contains(out, "no") {
		t.Errorf("a service account without rights: %q, %v", out, err)
	}
	says("sampan.io/web", "get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	t.Run("Apply", func(t *testing.T) { kubectlApply(t, s) })
	t.Run("Edit", func(t *testing.T) { kubectlEdit(t, s) })
	t.Run("Logs", func(t *testing.T) { kubectlLogs(t, s) })
	t.Run("CopyAndExec", func(t *testing.T) { kubectlCopy(t, s) })
	t.Run("PortForward", func(t *testing.T) { kubectlForward(t, s, pod) })
	t.Run("Rollout", func(t *testing.T) { kubectlRollout(t, s) })
	t.Run("Top", func(t *testing.T) { kubectlTop(t, s) })
}

const applied = `apiVersion: v1
kind: ConfigMap
metadata: {name: applied}
data: {a: "%s"}
`

func kubectlApply(t *testing.T, s *suite) {
	s.apply(t, fmt.Sprintf(applied, "1"))
	out, err := s.kubectlWith(t, fmt.Sprintf(applied, "2"), "diff", "-f", "-")
	if err == nil || !strings.Contains(out, `+  a: "2"`) || strings.Contains(err.Error(), "error:") {
		t.Errorf("diff must end with 1 and show the change: %v\n%s", err, out)
	}
	s.apply(t, fmt.Sprintf(applied, "2"))
	if _, err := s.kubectlWith(t, fmt.Sprintf(applied, "2"), "diff", "-f", "-"); err != nil {
		t.Errorf("nothing differs: %v", err)
	}
	_, err = s.kubectlWith(t, fmt.Sprintf(applied, "3"), "apply", "--server-side", "--field-manager=other", "-f", "-")
	if err == nil || !strings.Contains(err.Error(), "conflict") {
		t.Errorf("another manager's field was taken without a conflict: %v", err)
	}
	if _, err := s.kubectlWith(t, fmt.Sprintf(applied, "3"), "apply", "--server-side", "--force-conflicts", "--field-manager=other", "-f", "-"); err != nil {
		t.Error(err)
	}
	if got := s.must(t, "get", "configmap", "applied", "-o", "jsonpath={.data.a}"); got != "3" {
		t.Errorf("it holds %q", got)
	}
	s.must(t, "delete", "configmap", "applied")
	if _, err := s.kubectl(t, "get", "configmap", "applied"); err == nil || !strings.Contains(err.Error(), "NotFound") {
		t.Errorf("after its deletion: %v", err)
	}
}

func kubectlEdit(t *testing.T, s *suite) {
	editor := filepath.Join(t.TempDir(), "editor")
	write(t, editor, "#!/bin/sh\nsed -i 's/Hello from Sampan/Edited/' \"$1\"\n")
	if err := os.Chmod(editor, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBE_EDITOR", editor)
	s.must(t, "edit", "configmap", "web")
	if got := s.must(t, "get", "configmap", "web", "-o", "jsonpath={.data.greeting}"); got != "Edited" {
		t.Errorf("the greeting is %q", got)
	}
	s.must(t, "patch", "configmap", "web", "--type=merge", "-p", `{"data":{"greeting":"Hello from Sampan"}}`)
}

func kubectlLogs(t *testing.T, s *suite) {
	s.must(t, "run", "talker", "--image="+testImage, "--restart=Never", "--command", "--", "sh", "-c", "echo first; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo second")
	s.must(t, "wait", "--for=condition=Ready", "pod/talker", "--timeout=60s")
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	follow := s.kubectlCommand(ctx, "logs", "-f", "talker")
	out, err := follow.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "first" {
		t.Errorf("the first line is %q", lines.Text())
	}
	if _, err := s.inside(t, "talker", "touch", "/tmp/go"); err != nil {
		t.Error(err)
	}
	if !lines.Scan() || lines.Text() != "second" {
		t.Errorf("the line that followed is %q", lines.Text())
	}
	if err := follow.Wait(); err != nil {
		t.Errorf("following must end well when the container ends: %v", err)
	}
	eventually(t, soon, "the pod is done", func(context.Context) error {
		phase, err := s.kubectl(t, "get", "pod", "talker", "-o", "jsonpath={.status.phase}")
		if err == nil && phase != "Succeeded" {
			err = errors.New(phase)
		}
		return err
	})
	if got := s.must(t, "logs", "talker", "--tail=1"); got != "second\n" {
		t.Errorf("--tail=1 gives %q", got)
	}
	s.must(t, "delete", "pod", "talker")
}

func kubectlCopy(t *testing.T, s *suite) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "there"), "carried")
	s.must(t, "cp", filepath.Join(dir, "there"), "tester:/tmp/there")
	if out, err := s.inside(t, "tester", "cat", "/tmp/there"); err != nil || out != "carried" {
		t.Errorf("in the pod: %q, %v", out, err)
	}
	s.must(t, "cp", "tester:/tmp/there", filepath.Join(dir, "back"))
	if got := read(t, filepath.Join(dir, "back")); got != "carried" {
		t.Errorf("it came back as %q", got)
	}
	if out, err := s.kubectlWith(t, "typed", "exec", "-i", "tester", "--", "cat"); err != nil || out != "typed" {
		t.Errorf("standard input: %q, %v", out, err)
	}
	if out, err := s.inside(t, "tester", "sh", "-c", "exit 7"); err == nil || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("an exit code of 7: %v\n%s", err, out)
	}
}

func kubectlForward(t *testing.T, s *suite, pod string) {
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	forward := s.kubectlCommand(ctx, "port-forward", "pod/"+pod, ":8080")
	out, err := forward.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := forward.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = forward.Wait() }() // it is killed
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("port-forward says nothing")
	}
	fields := strings.Fields(lines.Text()) // Forwarding from 127.0.0.1:PORT -> 8080
	if len(fields) < 3 {
		t.Fatalf("port-forward says %q", lines.Text())
	}
	for range 3 {
		page, err := fetch(ctx, "http://"+fields[2]+"/")
		if err != nil || !strings.Contains(page, pod) {
			t.Errorf("through the forwarded port: %q, %v", page, err)
		}
	}
}

func kubectlRollout(t *testing.T, s *suite) {
	s.must(t, "rollout", "restart", "deployment/web")
	s.must(t, "rollout", "status", "deployment/web", "--timeout=180s")
	s.must(t, "wait", "--for=condition=Available", "deployment/web", "--timeout=60s")
	s.must(t, "label", "deployment/web", "checked=yes")
	s.must(t, "annotate", "deployment/web", "checked=yes")
	if out := s.must(t, "get", "deployments", "-l", "checked=yes", "-o", "name"); strings.TrimSpace(out) != "deployment.apps/web" {
		t.Errorf("selected by its label: %q", out)
	}
	s.readyPods(t, "default", web, 3)
}

// kubectlTop has no metrics to show without metrics-server, and must say so instead of failing in another way.
func kubectlTop(t *testing.T, s *suite) {
	_, err := s.kubectl(t, "top", "node")
	if err == nil || !strings.Contains(err.Error(), "Metrics API not available") {
		t.Errorf("top node: %v", err)
	}
	if out := s.must(t, "get", "--raw", "/api/v1/nodes/node0/proxy/metrics/resource"); !strings.Contains(out, "node_memory_working_set_bytes") {
		t.Errorf("the kubelet gives no figures for metrics-server to collect:\n%s", out)
	}
}
