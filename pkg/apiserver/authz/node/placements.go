package node

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/podrefs"
)

// placements know on which node each pod is and what the pods of each node name. Pods that one template made name the
// same, and share it: a pod costs one entry of a map, and the common change of its status nothing.
type placements struct {
	pods  map[podName]placement
	nodes map[string]*place
	known map[string]*named // by their text
	what  []object          // buffers of the pod that is looked at
	text  []byte
}

type podName struct{ namespace, name string }

type placement struct {
	on    *place
	named *named
}

// place is a node with pods.
type place struct {
	node  string
	named map[*named]int // and how many pods name it
}

// named is all that pods name in their namespace. It does not change.
type named struct {
	text      string
	namespace string
	what      []object
	pods      int // that name it
}

type object struct {
	resource schema.GroupResource
	name     string
}

func newPlacements() placements {
	return placements{pods: map[podName]placement{}, nodes: map[string]*place{}, known: map[string]*named{}}
}

// on says whether a pod is on a node.
func (p *placements) on(node, namespace, name string) bool {
	at, ok := p.pods[podName{namespace, name}]
	return ok && at.on.node == node
}

// need says whether a pod of the node names the object.
func (p *placements) need(node string, r ref) bool {
	on := p.nodes[node]
	if on == nil {
		return false
	}
	for n := range on.named {
		if n.namespace == r.namespace && slices.Contains(n.what, object{r.resource, r.name}) {
			return true
		}
	}
	return false
}

func (p *placements) put(pod *corev1.Pod) {
	if pod.Spec.NodeName == "" {
		p.remove(pod.Namespace, pod.Name)
		return
	}
	names := p.of(pod)
	at := podName{names.namespace, pod.Name}
	was, known := p.pods[at]
	if known && was.on.node == pod.Spec.NodeName && was.named == names {
		return
	}
	on := p.nodes[pod.Spec.NodeName]
	if on == nil {
		on = &place{pod.Spec.NodeName, map[*named]int{}}
		p.nodes[on.node] = on
	}
	on.named[names]++
	names.pods++
	if known {
		p.leave(was)
	}
	p.pods[at] = placement{on, names}
}

func (p *placements) remove(namespace, name string) {
	at := podName{namespace, name}
	if was, known := p.pods[at]; known {
		delete(p.pods, at)
		p.leave(was)
	}
}

func (p *placements) leave(was placement) {
	if was.on.named[was.named]--; was.on.named[was.named] == 0 {
		delete(was.on.named, was.named)
	}
	if len(was.on.named) == 0 {
		delete(p.nodes, was.on.node)
	}
	if was.named.pods--; was.named.pods == 0 {
		delete(p.known, was.named.text)
	}
}

// of finds what a pod names, or notes it. A mirror pod names nothing that its node may read: whoever controls a node
// writes its mirror pods.
func (p *placements) of(pod *corev1.Pod) *named {
	what := p.what[:0]
	if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; !mirror {
		add := func(r schema.GroupResource, names ...string) {
			for _, n := range names {
				if n != "" {
					what = append(what, object{r, n})
				}
			}
		}
		add(serviceAccount, pod.Spec.ServiceAccountName)
		add(secrets, podrefs.Secrets(pod)...)
		add(configMaps, podrefs.ConfigMaps(pod)...)
		add(claims, podrefs.Claims(pod)...)
		add(deviceClaims, podrefs.ResourceClaims(pod)...)
	}
	text := append(p.text[:0], pod.Namespace...)
	for _, o := range what {
		text = append(append(append(append(text, 0), o.resource.Resource...), 0), o.name...)
	}
	p.what, p.text = what, text
	if n := p.known[string(text)]; n != nil {
		return n
	}
	n := &named{text: string(text), namespace: pod.Namespace, what: slices.Clone(what)}
	p.known[n.text] = n
	return n
}
