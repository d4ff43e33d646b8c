package core

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
)

// Labels that give a node a role in tables.
const (
	rolePrefix = "node-role.kubernetes.io/"
	roleLabel  = "kubernetes.io/role"
)

func nodeColumns() []metav1.TableColumnDefinition {
	status, info := corev1.NodeStatus{}.SwaggerDoc(), corev1.NodeSystemInfo{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		column.Name(),
		column.Text("Status", "The status of the node"),
		column.Text("Roles", "The roles of the node"),
		column.Age(),
		column.Text("Version", info["kubeletVersion"]),
		column.Wide("Internal-IP", status["addresses"]),
		column.Wide("External-IP", status["addresses"]),
		column.Wide("OS-Image", info["osImage"]),
		column.Wide("Kernel-Version", info["kernelVersion"]),
		column.Wide("Container-Runtime", info["containerRuntimeVersion"]),
	}
}

func nodeRow(n *corev1.Node) []any {
	info := &n.Status.NodeInfo
	kernel := orUnknown(info.KernelVersion)
	if info.Architecture != "" {
		kernel = fmt.Sprintf("%s (%s)", kernel, info.Architecture)
	}
	return []any{
		n.Name, nodeState(n), nodeRoles(n), column.Since(n.CreationTimestamp), info.KubeletVersion,
		nodeAddress(n, corev1.NodeInternalIP), nodeAddress(n, corev1.NodeExternalIP),
		orUnknown(info.OSImage), kernel, orUnknown(info.ContainerRuntimeVersion),
	}
}

func orUnknown(text string) string {
	if text == "" {
		return column.Unknown
	}
	return text
}

func nodeState(n *corev1.Node) string {
	state := "Unknown"
	for _, c := range n.Status.Conditions {
		if c.Type != corev1.NodeReady {
			continue
		}
		if state = "NotReady"; c.Status == corev1.ConditionTrue {
			state = "Ready"
		}
	}
	if n.Spec.Unschedulable {
		state += ",SchedulingDisabled"
	}
	return state
}

func nodeRoles(n *corev1.Node) string {
	roles := sets.New[string]()
	for key, value := range n.Labels {
		if role, is := strings.CutPrefix(key, rolePrefix); is && role != "" {
			roles.Insert(role)
		}
		if key == roleLabel && value != "" {
			roles.Insert(value)
		}
	}
	return orNone(column.Set(roles))
}

func nodeAddress(n *corev1.Node, kind corev1.NodeAddressType) string {
	for _, a := range n.Status.Addresses {
		if a.Type == kind {
			return a.Address
		}
	}
	return column.None
}
