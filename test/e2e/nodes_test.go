package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/test/cluster"
)

func (s *suite) nodeReady(t *testing.T, name string, want corev1.ConditionStatus) {
	t.Helper()
	eventually(t, later, fmt.Sprintf("the condition Ready of %s is %s", name, want), func(ctx context.Context) error {
		n, err := s.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady {
				if c.Status == want {
					return nil
				}
				return fmt.Errorf("it is %s: %s", c.Status, c.Message)
			}
		}
		return errors.New("it has none")
	})
}

const spread = `{"spec":{"replicas":6,"template":{"spec":{
 "topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"kubernetes.io/hostname","whenUnsatisfiable":"ScheduleAnyway","labelSelector":{"matchLabels":{"app.kubernetes.io/name":"web"}}}],
 "tolerations":[{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":2},
                {"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":2}]}}}}`

func moreNodes(t *testing.T, s *suite) {
	var hosts []*cluster.Host
	for n := 1; n <= 2; n++ {
		h, err := s.NewHost(n)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Join(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, h)
	}
	for _, h := range hosts {
		s.nodeReady(t, h.Name, corev1.ConditionTrue)
	}
	s.must(t, "patch", "deployment", "web", "-p", spread)
	s.must(t, "rollout", "status", "deployment/web", "--timeout=180s")
	pods := s.readyPods(t, "default", web, 6)
	on := map[string]int{}
	for _, p := range pods {
		on[p.Spec.NodeName]++
	}
	if len(on) != 3 {
		t.Errorf("six pods are spread as %v", on)
	}
	for _, h := range hosts {
		s.apply(t, tester("tester-"+h.Name, h.Name))
	}
	for _, h := range hosts {
		s.must(t, "wait", "--for=condition=Ready", "pod/tester-"+h.Name, "--timeout=120s")
		for _, p := range pods {
			eventually(t, soon, fmt.Sprintf("%s is reached from a pod on %s", p.Name, h.Name), func(context.Context) error {
				_, err := s.inside(t, "tester-"+h.Name, "get", "http://"+p.Status.PodIP+":8080/")
				return err
			})
		}
		eventually(t, soon, "the service is reached by name from a pod on "+h.Name, func(context.Context) error {
			_, err := s.inside(t, "tester-"+h.Name, "get", "http://web/")
			return err
		})
		eventually(t, soon, "the node port of "+h.Name+" answers", func(ctx context.Context) error {
			_, err := fetch(ctx, "http://"+h.Address+":30080/")
			return err
		})
	}
	lost := hosts[1]
	if err := lost.Disconnect(); err != nil {
		t.Fatal(err)
	}
	s.nodeReady(t, lost.Name, corev1.ConditionUnknown)
	elsewhere := func() {
		t.Helper()
		eventually(t, later, "the lost node's pods run elsewhere", func(ctx context.Context) error {
			now, err := s.pods(ctx, "default", web)
			if err != nil {
				return err
			}
			ready := 0
			for i := range now {
				if now[i].Spec.NodeName != lost.Name && isReady(&now[i]) {
					ready++
				}
			}
			if ready != 6 {
				return fmt.Errorf("%d of 6 do", ready)
			}
			return nil
		})
	}
	elsewhere()
	if err := lost.Connect(); err != nil {
		t.Fatal(err)
	}
	s.nodeReady(t, lost.Name, corev1.ConditionTrue)
	eventually(t, later, "the node that came back is clean", func(ctx context.Context) error {
		n, err := s.Client.CoreV1().Nodes().Get(ctx, lost.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, taint := range n.Spec.Taints {
			if strings.HasPrefix(taint.Key, "node.kubernetes.io/") {
				return fmt.Errorf("it has the taint %s", taint.Key)
			}
		}
		gone, err := s.Client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{LabelSelector: web, FieldSelector: "spec.nodeName=" + lost.Name})
		if err != nil {
			return err
		}
		for _, p := range gone.Items {
			if p.DeletionTimestamp != nil {
				return fmt.Errorf("%s has not ended", p.Name)
			}
		}
		return nil
	})
	s.must(t, "delete", "pod", "-l", "app=tester", "--field-selector=spec.nodeName!=node0", "--wait=true")
	for _, h := range hosts {
		s.must(t, "drain", h.Name, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s")
		s.must(t, "delete", "node", h.Name)
		if err := s.RemoveHost(t.Context(), h); err != nil {
			t.Error(err)
		}
	}
	s.must(t, "scale", "deployment/web", "--replicas=3")
	s.readyPods(t, "default", web, 3)
}
