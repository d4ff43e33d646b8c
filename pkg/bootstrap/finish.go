package bootstrap

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/sampan-project/sampan/pkg/bootstrap/layout"
	"github.com/sampan-project/sampan/pkg/bootstrap/phase"
	"github.com/sampan-project/sampan/pkg/bootstrap/settings"
)

// clusterInfo is what everyone may know of the cluster: where it is and how to recognise it.
func (i *Init) clusterInfo() (string, error) {
	ca, err := os.ReadFile(filepath.Join(i.On(i.CertDir), "ca.crt"))
	if err != nil {
		return "", fmt.Errorf("reading the cluster's authority: %w", err)
	}
	c := api.NewConfig()
	c.Clusters[""] = &api.Cluster{Server: i.URL(), CertificateAuthorityData: ca}
	data, err := clientcmd.Write(*c)
	return string(data), err
}

// bridgeFile is the configuration of a pod network without flannel, and flannelFile that with it.
const (
	bridgeFile  = layout.CNIConfDir + "/10-bridge.conflist"
	flannelFile = layout.CNIConfDir + "/10-flannel.conflist"
)

// network installs the pod network.
func (i *Init) network(ctx context.Context, say phase.Say) error {
	switch i.PodNetwork {
	case settings.None:
		say("no pod network is installed: pods wait until one is; any that speaks CNI will do")
		return nil
	case settings.Bridge:
		return i.bridge(ctx, say)
	}
	i.record.CNIFiles = []string{flannelFile}
	if err := i.record.Write(); err != nil {
		return err
	}
	return i.apply(ctx, "addons/flannel.yaml")
}

// bridge connects the pods of this node with each other and the world by a bridge alone.
func (i *Init) bridge(ctx context.Context, say phase.Say) error {
	client, err := i.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, nodeWithin)
	defer cancel()
	cidr := ""
	err = i.await(ctx, 200*time.Millisecond, func(ctx context.Context) error {
		node, err := client.CoreV1().Nodes().Get(ctx, i.NodeName, metav1.GetOptions{})
		if err == nil && node.Spec.PodCIDR == "" {
			err = fmt.Errorf("node %s has got no network for its pods yet from the controller-manager", i.NodeName)
		}
		if err == nil {
			cidr = node.Spec.PodCIDR
		}
		return err
	})
	if err != nil {
		return err
	}
	say("pods of this node get addresses of %s; nodes that join need a pod network of another kind", cidr)
	i.record.CNIFiles = []string{bridgeFile}
	if err := i.record.Write(); err != nil {
		return err
	}
	data, err := bridgeConfig(cidr)
	if err != nil {
		return err
	}
	return i.write(bridgeFile, data, 0o644)
}

func bridgeConfig(cidr string) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetIndent("", "  ")
	err := e.Encode(map[string]any{
		"cniVersion": "0.4.0", "name": "cbr0",
		"plugins": []map[string]any{
			{
				// A default gateway brings its route: named once more among ipam's, plugins since 1.0 fail to add it twice.
				"type": "bridge", "bridge": "cni0", "isDefaultGateway": true, "ipMasq": true, "hairpinMode": true,
				"ipam": map[string]any{"type": "host-local", "ranges": [][]map[string]string{{{"subnet": cidr}}}},
			},
			{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}},
		},
	})
	return out.Bytes(), err
}

// waitNode returns once the node is ready for pods, which it is when it has a network for them, and finds
// names for them.
func (i *Init) waitNode(ctx context.Context, say phase.Say) error {
	if i.PodNetwork == settings.None {
		say("not waiting: the node becomes ready once a pod network is installed")
		return nil
	}
	client, err := i.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, nodeWithin)
	defer cancel()
	return i.await(ctx, 200*time.Millisecond, func(ctx context.Context) error {
		node, err := client.CoreV1().Nodes().Get(ctx, i.NodeName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if err := ready(node); err != nil || i.NoDNS {
			return err
		}
		dns, err := client.AppsV1().Deployments("kube-system").Get(ctx, "coredns", metav1.GetOptions{})
		if err == nil && dns.Status.ReadyReplicas == 0 {
			err = errors.New("no pod of the Deployment coredns is ready (ctl -n kube-system describe pods says why)")
		}
		return err
	})
}

func ready(node *corev1.Node) error {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			if c.Status == corev1.ConditionTrue {
				return nil
			}
			return fmt.Errorf("node %s is not ready: %s", node.Name, c.Message)
		}
	}
	return errors.New("the kubelet has not reported yet how the node is")
}

// replaceProgram puts the kubelet's real place into a unit.
func replaceProgram(unit []byte, path string) []byte {
	return bytes.ReplaceAll(unit, []byte("/usr/bin/kubelet"), []byte(path))
}
