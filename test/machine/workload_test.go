package machine

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sampan-project/sampan/test/cluster"
)

// What users have on the machine: a server behind a Service and a port of the host, which shows a ConfigMap.
const (
	workload = "pages"
	words    = "kept through it all\n"
)

// workloadServes makes the workload and asks it.
func workloadServes(t *testing.T, s *suite) {
	meta := metav1.ObjectMeta{Name: workload}
	labels := map[string]string{"app": workload}
	_, err := s.client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"page": words}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.client.CoreV1().Services("default").Create(t.Context(), &corev1.Service{
		ObjectMeta: meta, Spec: corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.client.AppsV1().Deployments("default").Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: meta,
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				Containers: []corev1.Container{{
					Name: "main", Image: testImage, Command: []string{"sh", "-c", "trap exit TERM; httpd -f -p 8080 -h /pages & wait"},
					Ports:        []corev1.ContainerPort{{ContainerPort: 8080, HostPort: 8081}},
					VolumeMounts: []corev1.VolumeMount{{Name: "pages", MountPath: "/pages"}},
				}},
				Volumes: []corev1.Volume{{Name: "pages", VolumeSource: corev1.VolumeSource{
					ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: workload}},
				}}},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, s.serves)
}

// serves asks the workload by its name, from inside of a pod.
func (s *suite) serves(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "/sampan/bin/ctl", "--kubeconfig", cluster.AdminKubeconfig, "exec", "besteffort", "--",
		"get", "http://"+workload+".default.svc.cluster.local/page").CombinedOutput()
	if err != nil {
		return fmt.Errorf("asking the service by its name: %w\n%s", err, out)
	}
	if !strings.HasSuffix(string(out), words) {
		return fmt.Errorf("the service answers %q, want %q", out, words)
	}
	return nil
}

// container is one that runs, by what changes when it does not go on.
type container struct {
	id       string
	restarts int32
	started  time.Time
}

// containers are those of all pods. It is an error when one of them is not ready.
func (s *suite) containers(ctx context.Context) (map[string]container, error) {
	pods, err := s.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	found := map[string]container{}
	for _, p := range pods.Items {
		if len(p.Status.ContainerStatuses) == 0 {
			return nil, fmt.Errorf("pod %s has no container: it is %s", p.Name, p.Status.Phase)
		}
		for _, c := range p.Status.ContainerStatuses {
			if !c.Ready || c.State.Running == nil {
				return nil, fmt.Errorf("container %s of pod %s is not ready: %+v", c.Name, p.Name, c)
			}
			found[p.Namespace+"/"+p.Name+"/"+c.Name] = container{c.ContainerID, c.RestartCount, c.State.Running.StartedAt.UTC()}
		}
	}
	return found, nil
}

// allReady waits until every pod's containers are ready, and gives them.
func (s *suite) allReady(t *testing.T) (found map[string]container) {
	t.Helper()
	eventually(t, func(ctx context.Context) (err error) {
		found, err = s.containers(ctx)
		return err
	})
	return found
}

// nodeReady says how the node falls short of being ready, by what its kubelet has said since then.
func (s *suite) nodeReady(ctx context.Context, since time.Time) error {
	node, err := s.client.CoreV1().Nodes().Get(ctx, "machine", metav1.GetOptions{})
	if err != nil {
		return err
	}
	lease, err := s.client.CoordinationV1().Leases("kube-node-lease").Get(ctx, "machine", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if lease.Spec.RenewTime == nil || lease.Spec.RenewTime.Before(&metav1.MicroTime{Time: since}) {
		return fmt.Errorf("the node's lease was last renewed at %s, not since %s", lease.Spec.RenewTime, since)
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return fmt.Errorf("the node is not ready: %+v", node.Status.Conditions)
}

// takesPods makes a pod, waits until it is ready and takes it away again: kubelet and runtime do all their work.
func (s *suite) takesPods(t *testing.T, name string) {
	t.Helper()
	s.create(t, name, idle, corev1.ResourceRequirements{}, corev1.RestartPolicyAlways)
	eventually(t, func(ctx context.Context) error { return s.ready(ctx, name) })
	if err := s.client.CoreV1().Pods("default").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		_, err := s.client.CoreV1().Pods("default").Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			return fmt.Errorf("pod %s was deleted and is there yet", name)
		}
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}
