package garbagecollector

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"github.com/sampan-project/sampan/pkg/controller"
)

// rediscover is how often the apiserver is asked which kinds there are. A change of the custom resource
// definitions has it asked soon.
const (
	rediscover = 30 * time.Second
	soon       = time.Second
)

// kindInfo is how a kind is reached.
type kindInfo struct {
	resource   schema.GroupVersionResource
	namespaced bool
}

// kinds follows every kind that can be listed, watched and deleted.
type kinds struct {
	env    *controller.Env
	meta   metadata.Interface
	handle func(k schema.GroupVersionKind, r schema.GroupVersionResource) cache.ResourceEventHandler
	now    chan struct{}

	mu       sync.Mutex
	byKind   map[schema.GroupKind]map[string]kindInfo // by version
	followed map[schema.GroupVersionResource]followed
	synced   bool
}

type followed struct {
	informer cache.SharedIndexInformer
	stop     context.CancelFunc
}

// Run follows kinds until ctx ends.
func (k *kinds) Run(ctx context.Context) error {
	log := k.env.Log.WithName("garbage-collector")
	for {
		if err := k.sync(ctx, log); err != nil {
			log.Error(err, "Finding out what kinds there are failed in part, will try again")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-k.now:
			select {
			case <-ctx.Done():
				return nil
			case <-k.env.Clock.After(soon):
			}
		case <-k.env.Clock.After(rediscover):
		}
	}
}

// ask has the kinds looked at again soon.
func (k *kinds) ask() {
	select {
	case k.now <- struct{}{}:
	default:
	}
}

// sync follows new kinds and lets those go that are no longer served. A group that does not answer now
// keeps what is followed of it.
func (k *kinds) sync(ctx context.Context, log logr.Logger) error {
	_, all, err := k.env.Client.Discovery().ServerGroupsAndResources()
	failed, partial := discovery.GroupDiscoveryFailedErrorGroups(err)
	if err != nil && !partial {
		return fmt.Errorf("discovery: %w", err)
	}
	wanted, byKind := deletable(all)
	k.mu.Lock()
	for kind, versions := range k.byKind { // of groups that failed
		for version, info := range versions {
			if _, f := failed[schema.GroupVersion{Group: kind.Group, Version: version}]; f {
				if byKind[kind] == nil {
					byKind[kind] = map[string]kindInfo{}
				}
				byKind[kind][version] = info
			}
		}
	}
	k.byKind = byKind
	for resource, f := range k.followed {
		_, unknown := failed[resource.GroupVersion()]
		if _, ok := wanted[resource]; !ok && !unknown {
			f.stop()
			delete(k.followed, resource)
		}
	}
	var fresh []cache.SharedIndexInformer
	for resource, kind := range wanted {
		if _, ok := k.followed[resource]; ok {
			continue
		}
		informer, err := k.follow(ctx, kind, resource)
		if err != nil {
			log.Error(err, "Following a kind failed", "resource", resource)
			continue
		}
		fresh = append(fresh, informer)
	}
	k.synced = true
	k.mu.Unlock()
	for _, i := range fresh {
		go i.Run(ctx.Done())
	}
	return err
}

// deletable picks of each kind the preferred version, which comes first.
func deletable(all []*metav1.APIResourceList) (map[schema.GroupVersionResource]schema.GroupVersionKind, map[schema.GroupKind]map[string]kindInfo) {
	wanted := map[schema.GroupVersionResource]schema.GroupVersionKind{}
	byKind := map[schema.GroupKind]map[string]kindInfo{}
	taken := map[schema.GroupResource]bool{}
	for _, list := range all {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range list.APIResources {
			if slices.Contains([]byte(r.Name), '/') {
				continue
			}
			resource, kind := gv.WithResource(r.Name), gv.WithKind(r.Kind)
			if byKind[kind.GroupKind()] == nil {
				byKind[kind.GroupKind()] = map[string]kindInfo{}
			}
			byKind[kind.GroupKind()][gv.Version] = kindInfo{resource, r.Namespaced}
			has := func(verb string) bool { return slices.Contains(r.Verbs, verb) }
			if taken[resource.GroupResource()] || ignored(resource.GroupResource()) || !has("list") || !has("watch") || !has("delete") {
				continue
			}
			taken[resource.GroupResource()] = true
			wanted[resource] = kind
		}
	}
	return wanted, byKind
}

// ignored: events come and go in numbers and own nothing.
func ignored(r schema.GroupResource) bool {
	return r.Resource == "events" && (r.Group == "" || r.Group == "events.k8s.io")
}

func (k *kinds) follow(ctx context.Context, kind schema.GroupVersionKind, resource schema.GroupVersionResource) (cache.SharedIndexInformer, error) {
	informer := metadatainformer.NewFilteredMetadataInformer(k.meta, resource, "", 0, cache.Indexers{}, nil).Informer()
	if err := informer.SetTransform(trim); err != nil {
		return nil, err
	}
	if _, err := informer.AddEventHandler(k.handle(kind, resource)); err != nil {
		return nil, err
	}
	sub, stop := context.WithCancel(ctx)
	k.followed[resource] = followed{informer, stop}
	return stoppable{informer, sub}, nil
}

// stoppable is an informer with an end of its own.
type stoppable struct {
	cache.SharedIndexInformer
	ctx context.Context
}

// Run follows until the kind is let go.
func (s stoppable) Run(<-chan struct{}) { s.SharedIndexInformer.Run(s.ctx.Done()) }

// trim keeps what the graph is made of.
func trim(obj any) (any, error) {
	o, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return obj, nil
	}
	return &metav1.PartialObjectMetadata{TypeMeta: o.TypeMeta, ObjectMeta: metav1.ObjectMeta{
		Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion,
		OwnerReferences: o.OwnerReferences, Finalizers: o.Finalizers, DeletionTimestamp: o.DeletionTimestamp,
	}}, nil
}

// hasSynced: all kinds that are known have been seen once, or cannot be. A kind that never answers must not
// keep the others from being collected, so that only those count that were there at the start.
func (k *kinds) hasSynced() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.synced {
		return false
	}
	for r, f := range k.followed {
		if builtIn(r.Group) && !f.informer.HasSynced() {
			return false
		}
	}
	return true
}

// builtIn: groups of the apiserver's own have no dots, or end in .k8s.io, or are the few old names.
func builtIn(group string) bool {
	return !slices.Contains([]byte(group), '.') || len(group) > 7 && group[len(group)-7:] == ".k8s.io" && group != "metrics.k8s.io"
}

// find says how a kind is reached.
func (k *kinds) find(kind schema.GroupVersionKind) (kindInfo, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	versions := k.byKind[kind.GroupKind()]
	if info, ok := versions[kind.Version]; ok {
		return info, nil
	}
	return kindInfo{}, &meta.NoKindMatchError{GroupKind: kind.GroupKind(), SearchedVersions: []string{kind.Version}}
}
