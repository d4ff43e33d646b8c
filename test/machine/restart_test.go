package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// restartKeepsPods: a unit that is started anew takes on what runs, and starts more.
func restartKeepsPods(unit string) func(*testing.T, *suite) {
	return func(t *testing.T, s *suite) {
		before, since, process := s.allReady(t), time.Now(), property(t, unit, "MainPID")
		run(t, "systemctl", "restart", unit)
		if now := property(t, unit, "MainPID"); now == process || now == "0" {
			t.Fatalf("%s was restarted; its process was %s and is %s", unit, process, now)
		}
		s.takesPods(t, "after-"+strings.TrimSuffix(unit, ".service"))
		eventually(t, func(ctx context.Context) error { return s.nodeReady(ctx, since) })
		if d := cmp.Diff(before, s.allReady(t), cmp.AllowUnexported(container{})); d != "" {
			t.Errorf("containers did not run on while %s was restarted:\n%s", unit, d)
		}
	}
}

// kept is what one boot tells the next.
type kept struct {
	Before state             // the machine before the cluster
	Boot   string            // the kernel's name of the boot in which the cluster was made
	Pods   map[string]string // UIDs by name
}

const keptFile = "/share/kept.json"

func (k *kept) write(t *testing.T) {
	t.Helper()
	data, err := json.Marshal(k)
	if err == nil {
		err = os.WriteFile(keptFile, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func readKept(t *testing.T) (k kept) {
	t.Helper()
	data, err := os.ReadFile(keptFile)
	if err == nil {
		err = json.Unmarshal(data, &k)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func bootID(t *testing.T) string {
	t.Helper()
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(id))
}

// uids are those of all pods.
func (s *suite) uids(ctx context.Context) (map[string]string, error) {
	pods, err := s.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, p := range pods.Items {
		found[p.Namespace+"/"+p.Name] = string(p.UID)
	}
	return found, nil
}

// machineComesBack is the second boot: nobody does anything, and the cluster is there.
func machineComesBack(t *testing.T) {
	k := readKept(t)
	if now := bootID(t); now == k.Boot {
		t.Fatalf("the machine was not started anew: its boot is %s", now)
	}
	s := &suite{kept: k}
	s.connect(t)
	s.each(t, []part{
		{"KubeletAndContainerdStartByThemselves", systemdRuns},
		{"ControlPlaneAndNodeAreReadyAgain", nodeComesBack},
		{"PodsAndConfigMapsAreThere", podsComeBack},
		{"ServiceAnswersByName", func(t *testing.T, s *suite) { eventually(t, s.serves) }},
		{"PodsAreStillHeldToTheirLimits", func(t *testing.T, s *suite) { s.limitsHold(t, true) }},
		{"DownLeavesNothing", downLeavesNothing},
	})
}

// nodeComesBack: the apiserver answers, and the node's kubelet tells it of this boot.
func nodeComesBack(t *testing.T, s *suite) {
	started, boot := time.Now(), bootID(t)
	eventually(t, func(ctx context.Context) error {
		node, err := s.client.CoreV1().Nodes().Get(ctx, "machine", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if node.Status.NodeInfo.BootID != boot {
			return fmt.Errorf("the node's boot is %s, the machine's %s", node.Status.NodeInfo.BootID, boot)
		}
		return s.nodeReady(ctx, started)
	})
}

// podsComeBack: the pods are the same objects, in containers of this boot.
func podsComeBack(t *testing.T, s *suite) {
	seconds, err := entry("/proc/stat", "btime")
	if err != nil {
		t.Fatal(err)
	}
	up := time.Unix(int64(seconds), 0)
	eventually(t, func(ctx context.Context) error {
		found, err := s.containers(ctx)
		if err != nil {
			return err
		}
		for name, c := range found {
			if c.started.Before(up) {
				return fmt.Errorf("container %s is said to run since %s, before the machine started at %s", name, c.started, up)
			}
		}
		uids, err := s.uids(ctx)
		if d := cmp.Diff(s.kept.Pods, uids); err == nil && d != "" {
			err = errors.New("these are other pods than before (-before +now):\n" + d)
		}
		return err
	})
	config, err := s.client.CoreV1().ConfigMaps("default").Get(t.Context(), workload, metav1.GetOptions{})
	if err != nil || config.Data["page"] != words {
		t.Errorf("the ConfigMap has become %+v, %v", config, err)
	}
}
