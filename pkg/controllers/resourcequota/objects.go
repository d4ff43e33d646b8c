package resourcequota

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/quota"
)

// rediscover is how soon the apiserver is asked again which resources there are, because a quota names one that
// was not there.
const rediscover = 10 * time.Second

// errNotYet: the objects of a resource have not been seen yet.
var errNotYet = errors.New("not all objects have been seen yet")

// errUnknown: a resource that is to be counted is not served.
var errUnknown = errors.New("not all resources are served")

// own are resources of which the process's informers know the whole objects.
var own = []schema.GroupResource{{Resource: "pods"}, {Resource: "services"}, {Resource: "persistentvolumeclaims"}}

// objects finds the objects that quotas count. Of resources that are only counted it follows metadata, and only
// of those that a quota names.
type objects struct {
	env   *controller.Env
	freed func(r schema.GroupResource, namespace string)

	running  sync.WaitGroup
	mu       sync.Mutex
	ctx      context.Context // of Run; nil before
	served   map[schema.GroupResource]schema.GroupVersionResource
	asked    time.Time // when served was found out
	followed map[schema.GroupResource]*followed
}

type followed struct {
	informer cache.SharedIndexInformer
	stop     context.CancelFunc
}

func newObjects(env *controller.Env, freed func(schema.GroupResource, string)) *objects {
	return &objects{env: env, freed: freed, followed: map[schema.GroupResource]*followed{}}
}

// Run lets resources be followed until ctx ends.
func (o *objects) Run(ctx context.Context) error {
	o.mu.Lock()
	o.ctx = ctx
	o.mu.Unlock()
	<-ctx.Done()
	o.running.Wait()
	return nil
}

// known answers which resources are served, having asked the apiserver where a quota names one that was not.
// errUnknown comes with it where one still is not.
func (o *objects) known(hard corev1.ResourceList) (func(schema.GroupResource) bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	is := func(r schema.GroupResource) bool {
		_, served := o.served[r]
		return served || slices.Contains(own, r)
	}
	missing := func() error {
		var err error
		quota.Counting(hard, func(r schema.GroupResource) bool {
			if !is(r) {
				err = errUnknown
			}
			return true
		})
		return err
	}
	if missing() == nil || !o.asked.IsZero() && o.env.Clock.Now().Sub(o.asked) < rediscover {
		return is, missing()
	}
	served, err := o.discover()
	if err != nil {
		return is, err
	}
	o.served, o.asked = served, o.env.Clock.Now()
	return is, missing()
}

// discover finds the resources of namespaces that can be counted, each in its preferred version.
func (o *objects) discover() (map[schema.GroupResource]schema.GroupVersionResource, error) {
	_, all, err := o.env.Client.Discovery().ServerGroupsAndResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	served := map[schema.GroupResource]schema.GroupVersionResource{}
	for _, list := range all {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range list.APIResources {
			resource := gv.WithResource(r.Name)
			_, taken := served[resource.GroupResource()]
			if taken || !r.Namespaced || strings.Contains(r.Name, "/") || !slices.Contains(r.Verbs, "list") || !slices.Contains(r.Verbs, "watch") {
				continue
			}
			served[resource.GroupResource()] = resource
		}
	}
	return served, nil
}

// list gives the objects of a namespace, of most resources no more than their names.
func (o *objects) list(ctx context.Context, r schema.GroupResource, namespace string) ([]runtime.Object, error) {
	core := o.env.Informers.Core().V1()
	switch r.String() {
	case "pods":
		return whole(core.Pods().Lister().Pods(namespace).List(labels.Everything()))
	case "services":
		return whole(core.Services().Lister().Services(namespace).List(labels.Everything()))
	case "persistentvolumeclaims":
		return whole(core.PersistentVolumeClaims().Lister().PersistentVolumeClaims(namespace).List(labels.Everything()))
	}
	informer, err := o.follow(r)
	if err != nil {
		return nil, err
	}
	if !informer.HasSynced() {
		return nil, errNotYet
	}
	if r == (schema.GroupResource{Group: resourcev1.GroupName, Resource: "resourceclaims"}) {
		list, err := o.env.Client.ResourceV1().ResourceClaims(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("listing claims of devices: %w", err)
		}
		var out []runtime.Object
		for i := range list.Items {
			out = append(out, &list.Items[i])
		}
		return out, nil
	}
	found, err := informer.GetIndexer().ByIndex(cache.NamespaceIndex, namespace)
	if err != nil {
		return nil, fmt.Errorf("reading the index of %s: %w", r, err)
	}
	var out []runtime.Object
	for _, f := range found {
		if obj, is := f.(runtime.Object); is {
			out = append(out, obj)
		}
	}
	return out, nil
}

func whole[T runtime.Object](list []T, err error) ([]runtime.Object, error) {
	out := make([]runtime.Object, 0, len(list))
	for _, obj := range list {
		out = append(out, obj)
	}
	return out, err
}

// follow gives the informer of a resource, which begins to run where it is new.
func (o *objects) follow(r schema.GroupResource) (cache.SharedIndexInformer, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f := o.followed[r]; f != nil {
		return f.informer, nil
	}
	resource, served := o.served[r]
	if !served || o.ctx == nil || o.ctx.Err() != nil {
		return nil, errNotYet
	}
	informer := metadatainformer.NewFilteredMetadataInformer(o.env.Metadata, resource, "", 0,
		cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}, nil).Informer()
	if err := informer.SetTransform(trim); err != nil {
		return nil, fmt.Errorf("following %s: %w", r, err)
	}
	tell := func(obj any) {
		if gone, is := obj.(cache.DeletedFinalStateUnknown); is {
			obj = gone.Obj
		}
		if m, is := obj.(metav1.Object); is {
			o.freed(r, m.GetNamespace())
		}
	}
	handler := cache.ResourceEventHandlerFuncs{DeleteFunc: tell}
	if _, err := informer.AddEventHandler(handler); err != nil {
		return nil, fmt.Errorf("following %s: %w", r, err)
	}
	ctx, stop := context.WithCancel(o.ctx)
	o.followed[r] = &followed{informer, stop}
	o.running.Go(func() { informer.RunWithContext(ctx) })
	return informer, nil
}

// keep stops following resources that are not wanted any more.
func (o *objects) keep(wanted func(schema.GroupResource) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for r, f := range o.followed {
		if !wanted(r) {
			f.stop()
			delete(o.followed, r)
		}
	}
}

// trim keeps an object's name.
func trim(obj any) (any, error) {
	o, is := obj.(*metav1.PartialObjectMetadata)
	if !is {
		return obj, nil
	}
	return &metav1.PartialObjectMetadata{TypeMeta: o.TypeMeta, ObjectMeta: metav1.ObjectMeta{
		Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion,
	}}, nil
}
