package garbagecollector

import (
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// vertex is an object in the graph of owners. A virtual one is only known from the references of its
// dependents: it may not exist.
type vertex struct {
	uid        types.UID
	resource   schema.GroupVersionResource // zero while virtual
	apiVersion string
	kind       string
	namespace  string
	name       string
	virtual    bool
	deleting   bool // a deletion has begun
	foreground bool // ... that waits for the dependents
	orphaning  bool // ... that lets the dependents go free
	owners     []metav1.OwnerReference
	dependents map[types.UID]*vertex
}

// blocks tells whether v holds up the foreground deletion of owner.
func (v *vertex) blocks(owner types.UID) bool {
	for _, o := range v.owners {
		if o.UID == owner && o.BlockOwnerDeletion != nil && *o.BlockOwnerDeletion {
			return true
		}
	}
	return false
}

// graph knows who owns whom. It does no I/O: what it answers is which objects must be looked at.
type graph struct {
	mu       sync.Mutex
	vertices map[types.UID]*vertex
}

func newGraph() *graph { return &graph{vertices: map[types.UID]*vertex{}} }

// seen is an object as an event shows it.
type seen struct {
	resource         schema.GroupVersionResource
	apiVersion, kind string
	meta             metav1.Object
}

// set takes in an object that was added or changed and answers the objects to look at because of it.
func (g *graph) set(s seen) []types.UID {
	g.mu.Lock()
	defer g.mu.Unlock()
	var look []types.UID
	uid := s.meta.GetUID()
	v := g.vertices[uid]
	if v == nil {
		v = &vertex{uid: uid, dependents: map[types.UID]*vertex{}}
		g.vertices[uid] = v
	}
	wasVirtual := v.virtual
	v.virtual, v.resource, v.apiVersion, v.kind = false, s.resource, s.apiVersion, s.kind
	v.namespace, v.name = s.meta.GetNamespace(), s.meta.GetName()
	if wasVirtual { // those who referred to it by other coordinates refer to something else
		for _, d := range v.dependents {
			if !refersTo(d, v) {
				look = append(look, d.uid)
			}
		}
	}
	look = append(look, g.relink(v, s.meta.GetOwnerReferences())...)
	deleting := s.meta.GetDeletionTimestamp() != nil
	foreground := deleting && slices.Contains(s.meta.GetFinalizers(), metav1.FinalizerDeleteDependents)
	orphaning := deleting && slices.Contains(s.meta.GetFinalizers(), metav1.FinalizerOrphanDependents)
	if foreground && !v.foreground {
		for d := range v.dependents {
			look = append(look, d)
		}
	}
	if foreground || orphaning {
		look = append(look, uid)
	}
	v.deleting, v.foreground, v.orphaning = deleting, foreground, orphaning
	return look
}

// relink makes v a dependent of its owners, and no longer of those that it had.
func (g *graph) relink(v *vertex, owners []metav1.OwnerReference) []types.UID {
	var look []types.UID
	for _, old := range v.owners {
		now := slices.IndexFunc(owners, func(o metav1.OwnerReference) bool { return o.UID == old.UID })
		owner := g.vertices[old.UID]
		if owner == nil {
			continue
		}
		if now < 0 {
			delete(owner.dependents, v.uid)
			g.dropVirtual(owner)
		}
		if owner.foreground && (now < 0 || owners[now].BlockOwnerDeletion == nil || !*owners[now].BlockOwnerDeletion) {
			look = append(look, owner.uid) // it may be the last that held the deletion up
		}
	}
	v.owners = slices.Clone(owners)
	for _, ref := range owners {
		owner := g.vertices[ref.UID]
		if owner == nil {
			owner = &vertex{
				uid: ref.UID, apiVersion: ref.APIVersion, kind: ref.Kind, namespace: v.namespace, name: ref.Name,
				virtual: true, dependents: map[types.UID]*vertex{},
			}
			g.vertices[ref.UID] = owner
		}
		owner.dependents[v.uid] = v
		if owner.virtual || owner.foreground || !refersTo(v, owner) {
			look = append(look, v.uid)
		}
	}
	return look
}

// refersTo tells whether the reference of d to owner has owner's own coordinates.
func refersTo(d, owner *vertex) bool {
	for _, ref := range d.owners {
		if ref.UID != owner.uid {
			continue
		}
		gv, err := schema.ParseGroupVersion(ref.APIVersion)
		if err != nil {
			return false
		}
		own, err := schema.ParseGroupVersion(owner.apiVersion)
		return err == nil && gv.Group == own.Group && ref.Kind == owner.kind && ref.Name == owner.name &&
			(owner.namespace == "" || owner.namespace == d.namespace)
	}
	return true
}

func (g *graph) dropVirtual(v *vertex) {
	if v.virtual && len(v.dependents) == 0 {
		delete(g.vertices, v.uid)
	}
}

// remove forgets an object that is gone and answers the objects to look at: its dependents, and owners
// that waited for it.
func (g *graph) remove(uid types.UID) []types.UID {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.vertices[uid]
	if v == nil {
		return nil
	}
	var look []types.UID
	for d := range v.dependents {
		look = append(look, d)
	}
	for _, ref := range v.owners {
		owner := g.vertices[ref.UID]
		if owner == nil {
			continue
		}
		delete(owner.dependents, uid)
		g.dropVirtual(owner)
		if owner.foreground {
			look = append(look, owner.uid)
		}
	}
	if len(v.dependents) == 0 {
		delete(g.vertices, uid)
	} else {
		v.virtual, v.owners, v.deleting, v.foreground, v.orphaning = true, nil, false, false, false
	}
	return look
}

// view is a copy of a vertex and of its dependents, to work with outside the lock.
func (g *graph) view(uid types.UID) (vertex, []vertex, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.vertices[uid]
	if v == nil {
		return vertex{}, nil, false
	}
	var dependents []vertex
	for _, d := range v.dependents {
		dependents = append(dependents, *d)
	}
	return *v, dependents, true
}

// settled tells whether the graph itself shows that nothing is to be done about v: all its owners are known
// and none waits for its dependents. Were one deleted meanwhile, its event would bring v again.
func (g *graph) settled(v *vertex) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v.foreground || v.orphaning {
		return false
	}
	for _, ref := range v.owners {
		owner := g.vertices[ref.UID]
		if owner == nil || owner.virtual || owner.foreground || !refersTo(v, owner) {
			return false
		}
	}
	return true
}
