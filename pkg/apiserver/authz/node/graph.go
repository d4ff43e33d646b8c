package node

import (
	"cmp"
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// The resources that a node's relationships are made of.
var (
	pods           = schema.GroupResource{Resource: "pods"}
	nodes          = schema.GroupResource{Resource: "nodes"}
	secrets        = schema.GroupResource{Resource: "secrets"}
	configMaps     = schema.GroupResource{Resource: "configmaps"}
	serviceAccount = schema.GroupResource{Resource: "serviceaccounts"}
	claims         = schema.GroupResource{Resource: "persistentvolumeclaims"}
	volumes        = schema.GroupResource{Resource: "persistentvolumes"}
	attachments    = schema.GroupResource{Group: storagev1.GroupName, Resource: "volumeattachments"}
	csiNodes       = schema.GroupResource{Group: storagev1.GroupName, Resource: "csinodes"}
	leases         = schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}
	deviceClaims   = schema.GroupResource{Group: resourcev1.GroupName, Resource: "resourceclaims"}
	deviceSlices   = schema.GroupResource{Group: resourcev1.GroupName, Resource: "resourceslices"}
)

// ref names an object.
type ref struct {
	resource        schema.GroupResource
	namespace, name string
}

// Graph knows what each node needs: its pods and what those name, attachments and slices of devices. Volumes hang on
// their claim and the secrets of a volume on the volume, so those are one step further.
type Graph struct {
	mu       sync.RWMutex
	pods     placements
	placed   map[ref]string          // attachments and slices -> their node
	claimOf  map[string]ref          // volume -> its claim
	volumeOf map[ref]map[string]bool // secret -> volumes that need it
	needs    map[string][]ref        // volume -> its secrets
}

// NewGraph starts to follow what makes relationships until ctx ends; synced is closed when it has seen
// everything that was stored.
func NewGraph(ctx context.Context, reader resource.Reader) (g *Graph, synced <-chan struct{}, err error) {
	g = newGraph()
	// What is not served relates to no node.
	synced, err = resource.FollowAll(ctx, reader, []schema.GroupResource{pods, volumes, attachments, deviceSlices}, true, g.see)
	return g, synced, err
}

func newGraph() *Graph {
	return &Graph{
		pods:     newPlacements(),
		placed:   map[ref]string{},
		claimOf:  map[string]ref{},
		volumeOf: map[ref]map[string]bool{},
		needs:    map[string][]ref{},
	}
}

// Related says whether the node needs the object.
func (g *Graph) Related(node string, r schema.GroupResource, namespace, name string) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	at := ref{r, namespace, name}
	switch r {
	case pods:
		return g.pods.on(node, namespace, name)
	case attachments, deviceSlices:
		on, known := g.placed[at]
		return known && on == node
	case volumes:
		claim, bound := g.claimOf[name]
		return bound && g.pods.need(node, claim)
	case secrets:
		for v := range g.volumeOf[at] {
			if g.pods.need(node, g.claimOf[v]) {
				return true
			}
		}
	}
	return g.pods.need(node, at)
}

func (g *Graph) see(obj, last resource.Object) {
	g.mu.Lock()
	defer g.mu.Unlock()
	gone := obj == nil
	if gone {
		obj = last
	}
	switch o := obj.(type) {
	case *corev1.Pod:
		if gone {
			g.pods.remove(o.Namespace, o.Name)
		} else {
			g.pods.put(o)
		}
	case *storagev1.VolumeAttachment:
		g.place(ref{attachments, "", o.Name}, o.Spec.NodeName, gone)
	case *resourcev1.ResourceSlice:
		node := ""
		if o.Spec.NodeName != nil {
			node = *o.Spec.NodeName
		}
		g.place(ref{deviceSlices, "", o.Name}, node, gone)
	case *corev1.PersistentVolume:
		g.volume(o, gone)
	}
}

func (g *Graph) place(at ref, node string, gone bool) {
	if gone || node == "" {
		delete(g.placed, at)
		return
	}
	g.placed[at] = node
}

func (g *Graph) volume(v *corev1.PersistentVolume, gone bool) {
	for _, s := range g.needs[v.Name] {
		delete(g.volumeOf[s], v.Name)
		if len(g.volumeOf[s]) == 0 {
			delete(g.volumeOf, s)
		}
	}
	delete(g.needs, v.Name)
	delete(g.claimOf, v.Name)
	if gone || v.Spec.ClaimRef == nil {
		return
	}
	g.claimOf[v.Name] = ref{claims, v.Spec.ClaimRef.Namespace, v.Spec.ClaimRef.Name}
	for _, s := range volumeSecrets(v) {
		if g.volumeOf[s] == nil {
			g.volumeOf[s] = map[string]bool{}
		}
		g.volumeOf[s][v.Name] = true
		g.needs[v.Name] = append(g.needs[v.Name], s)
	}
}

// volumeSecrets are the secrets that a node needs to mount the volume. A reference without a namespace
// means the claim's.
func volumeSecrets(v *corev1.PersistentVolume) []ref {
	var out []ref
	add := func(namespace, name string) {
		if name == "" {
			return
		}
		namespace = cmp.Or(namespace, v.Spec.ClaimRef.Namespace)
		out = append(out, ref{secrets, namespace, name})
	}
	each := func(refs ...*corev1.SecretReference) {
		for _, r := range refs {
			if r != nil {
				add(r.Namespace, r.Name)
			}
		}
	}
	s := &v.Spec.PersistentVolumeSource
	switch {
	case s.CSI != nil:
		each(s.CSI.ControllerPublishSecretRef, s.CSI.NodePublishSecretRef, s.CSI.NodeStageSecretRef, s.CSI.NodeExpandSecretRef)
	case s.AzureFile != nil:
		ns := ptr.Deref(s.AzureFile.SecretNamespace, "")
		add(ns, s.AzureFile.SecretName)
	case s.CephFS != nil:
		each(s.CephFS.SecretRef)
	case s.Cinder != nil:
		each(s.Cinder.SecretRef)
	case s.FlexVolume != nil:
		each(s.FlexVolume.SecretRef)
	case s.RBD != nil:
		each(s.RBD.SecretRef)
	case s.ScaleIO != nil:
		each(s.ScaleIO.SecretRef)
	case s.ISCSI != nil:
		each(s.ISCSI.SecretRef)
	case s.StorageOS != nil && s.StorageOS.SecretRef != nil:
		add(s.StorageOS.SecretRef.Namespace, s.StorageOS.SecretRef.Name)
	}
	return out
}
