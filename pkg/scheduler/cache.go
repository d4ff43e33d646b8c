package scheduler

import (
	"cmp"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sampan-project/sampan/pkg/scheduler/framework"
)

// cache is what is known of nodes and the pods on them, those included that were only just assumed to
// run there. Its snapshots share every node that did not change since the last.
type cache struct {
	mu      sync.Mutex
	nodes   map[string]*framework.NodeInfo
	where   map[types.UID]*placed // every pod that is counted on a node
	changed map[string]bool       // nodes that differ from the last snapshot
	last    *framework.Snapshot
	place   map[string]int // of each node in the last snapshot
}

type placed struct {
	pod     *framework.PodInfo
	node    string
	assumed bool // by this scheduler; not yet seen from the apiserver
}

func newCache() *cache {
	return &cache{
		nodes: map[string]*framework.NodeInfo{}, where: map[types.UID]*placed{}, changed: map[string]bool{},
		last: &framework.Snapshot{},
	}
}

// setNode takes over a node's state.
func (c *cache) setNode(node *corev1.Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writable(node.Name).SetNode(node)
}

// removeNode forgets a node; its pods stay counted until they are gone too, and come back if it does.
func (c *cache) removeNode(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.writable(name)
	n.SetNode(nil)
	if len(n.Pods) == 0 {
		delete(c.nodes, name)
	}
}

// setPod counts an assigned pod where it is now; a pod that was assumed is confirmed.
func (c *cache) setPod(pod *corev1.Pod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(pod)
	c.put(&placed{pod: framework.NewPodInfo(pod), node: pod.Spec.NodeName})
}

// removePod counts a pod out.
func (c *cache) removePod(pod *corev1.Pod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(pod)
}

// assume counts a pod on the node that it is about to be bound to.
func (c *cache) assume(p *framework.PodInfo, node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(p.Pod)
	c.put(&placed{pod: p, node: node, assumed: true})
}

// forget takes an assumption back. A pod that was seen on its node meanwhile stays.
func (c *cache) forget(pod *corev1.Pod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.where[pod.UID]; p != nil && p.assumed {
		c.drop(pod)
	}
}

func (c *cache) put(p *placed) {
	c.writable(p.node).Add(p.pod)
	c.where[p.pod.Pod.UID] = p
}

func (c *cache) drop(pod *corev1.Pod) {
	p := c.where[pod.UID]
	if p == nil {
		return
	}
	delete(c.where, pod.UID)
	n := c.writable(p.node)
	n.Remove(pod)
	if n.Node == nil && len(n.Pods) == 0 {
		delete(c.nodes, p.node)
	}
}

// writable gives the node's own copy, apart from the one that the last snapshot holds.
func (c *cache) writable(name string) *framework.NodeInfo {
	n := c.nodes[name]
	switch {
	case n == nil:
		n = framework.NewNodeInfo(nil)
	case !c.changed[name]:
		n = n.Clone()
	}
	c.nodes[name] = n
	c.changed[name] = true
	return n
}

// snapshot gives the cluster as it is known now. Nodes that did not change are the same values as before.
func (c *cache) snapshot() *framework.Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.changed) == 0 {
		return c.last
	}
	same := true // no node came or went: the order stands
	for name := range c.changed {
		n := c.nodes[name]
		at, known := c.place[name]
		if known != (n != nil && n.Node != nil) || known && zone(n.Node) != zone(c.last.Nodes[at].Node) {
			same = false
		}
	}
	next := &framework.Snapshot{}
	if same {
		next.Nodes = slices.Clone(c.last.Nodes)
		for name := range c.changed {
			if at, known := c.place[name]; known {
				next.Nodes[at] = c.nodes[name]
			}
		}
	} else {
		next.Nodes = spreadOverZones(c.nodes)
		c.place = make(map[string]int, len(next.Nodes))
		for at, n := range next.Nodes {
			c.place[n.Node.Name] = at
		}
	}
	clear(c.changed)
	c.last = next
	return next
}

func zone(n *corev1.Node) string {
	return n.Labels[corev1.LabelTopologyRegion] + "/" + n.Labels[corev1.LabelTopologyZone]
}

// spreadOverZones orders nodes so that a walk from any point passes the zones in turn.
func spreadOverZones(nodes map[string]*framework.NodeInfo) []*framework.NodeInfo {
	zones := map[string][]*framework.NodeInfo{}
	total := 0
	for _, n := range nodes {
		if n.Node != nil {
			zones[zone(n.Node)] = append(zones[zone(n.Node)], n)
			total++
		}
	}
	names := make([]string, 0, len(zones))
	for name, list := range zones {
		names = append(names, name)
		slices.SortFunc(list, func(a, b *framework.NodeInfo) int { return cmp.Compare(a.Node.Name, b.Node.Name) })
	}
	slices.Sort(names)
	out := make([]*framework.NodeInfo, 0, total)
	for i := 0; len(out) < total; i++ {
		for _, name := range names {
			if i < len(zones[name]) {
				out = append(out, zones[name][i])
			}
		}
	}
	return out
}
