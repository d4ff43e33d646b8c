package framework

import "maps"

import corev1 "k8s.io/api/core/v1"

// NodeInfo is a node and the pods that are on it or are about to be. In a Snapshot it never changes.
type NodeInfo struct {
	Node        *corev1.Node
	Pods        []*PodInfo
	Allocatable Resources
	Requested   Resources
	// ScoredCPU and ScoredMemory are the sums of the pods' amounts of that name.
	ScoredCPU, ScoredMemory int64
	// ports counts the pods that take each port of the node.
	ports map[HostPort]int
	// images gives the size in bytes of each image on the node, by every name it has.
	images map[string]int64
}

// NewNodeInfo is a node without pods. node may be nil where only its pods are known so far.
func NewNodeInfo(node *corev1.Node) *NodeInfo {
	n := &NodeInfo{ports: map[HostPort]int{}}
	n.SetNode(node)
	return n
}

// SetNode takes over the node's own state.
func (n *NodeInfo) SetNode(node *corev1.Node) {
	n.Node = node
	n.Allocatable, n.images = Resources{}, map[string]int64{}
	if node == nil {
		return
	}
	n.Allocatable = NewResources(node.Status.Allocatable)
	for _, image := range node.Status.Images {
		for _, name := range image.Names {
			n.images[name] = image.SizeBytes
		}
	}
}

// Add counts a pod in, Remove counts the pod with the same UID out.
func (n *NodeInfo) Add(p *PodInfo) {
	n.Pods = append(n.Pods, p)
	n.count(p, 1)
}

// Remove counts the pod with the UID of pod out; it answers whether there was one.
func (n *NodeInfo) Remove(pod *corev1.Pod) bool {
	for i, p := range n.Pods {
		if p.Pod.UID == pod.UID {
			n.count(p, -1)
			pods := make([]*PodInfo, 0, len(n.Pods)-1)
			n.Pods = append(append(pods, n.Pods[:i]...), n.Pods[i+1:]...)
			return true
		}
	}
	return false
}

func (n *NodeInfo) count(p *PodInfo, sign int64) {
	n.Requested.Add(&p.Requests, sign)
	n.ScoredCPU += sign * p.ScoredCPU
	n.ScoredMemory += sign * p.ScoredMemory
	for _, port := range p.Ports {
		if n.ports[port] += int(sign); n.ports[port] == 0 {
			delete(n.ports, port)
		}
	}
}

// PortTaken says whether a pod on the node has the port. A port on all addresses meets that port on any.
func (n *NodeInfo) PortTaken(want HostPort) bool {
	for have := range n.ports {
		if have.Port == want.Port && have.Protocol == want.Protocol &&
			(have.IP == want.IP || have.IP == "0.0.0.0" || want.IP == "0.0.0.0") {
			return true
		}
	}
	return false
}

// ImageSize is the size in bytes of an image that the node has, 0 where it has not.
func (n *NodeInfo) ImageSize(name string) int64 { return n.images[name] }

// Clone makes a copy that can change alone.
func (n *NodeInfo) Clone() *NodeInfo {
	c := *n
	c.Pods = append([]*PodInfo(nil), n.Pods...)
	c.Requested = n.Requested.clone()
	c.ports = make(map[HostPort]int, len(n.ports))
	maps.Copy(c.ports, n.ports)
	return &c
}

// Snapshot is the cluster at one moment. Nodes stand in a fixed order, spread over zones.
type Snapshot struct {
	Nodes []*NodeInfo
}
