// Package allocation gives services their cluster addresses and node ports.
//
// An address is taken by creating an IPAddress object of its name, so etcd itself decides between servers;
// node ports are bits of one RangeAllocation object. What a service shall get is decided by pure functions;
// the Allocator carries it out.
package allocation

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/storage"
)

var (
	addressResource   = schema.GroupResource{Group: networkingv1.GroupName, Resource: "ipaddresses"}
	networkResource   = schema.GroupResource{Group: networkingv1.GroupName, Resource: "servicecidrs"}
	serviceResource   = schema.GroupResource{Resource: "services"}
	endpointsResource = schema.GroupResource{Resource: "endpoints"}
	rangeResource     = schema.GroupResource{Resource: "rangeallocations"}
)

const (
	// rangeName is where the node ports are kept: /registry/ranges/servicenodeports.
	rangeName = "servicenodeports"
	// managedBy marks addresses that the allocator made.
	managedBy = "ipallocator.k8s.io"
)

// Config is what an Allocator works with.
type Config struct {
	Access resource.Access
	// Families of the cluster, the default one first.
	Families  []corev1.IPFamily
	NodePorts PortRange
	// Random answers a number below n.
	Random func(n uint64) uint64
	Now    func() time.Time
	Log    logr.Logger
}

// Allocator gives addresses and ports to services, and takes them back.
type Allocator struct {
	Config
	mu     sync.Mutex // spares writers in this process conflicts over the one object
	leaked leaks
}

// New makes an Allocator.
func New(c Config) *Allocator { return &Allocator{Config: c} }

// Families are those of networks, each once, in order.
func Families(networks []netip.Prefix) []corev1.IPFamily {
	var list []corev1.IPFamily
	for _, n := range networks {
		if f := familyOf(n.Addr()); !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	return list
}

// NodePorts declares the object in which taken node ports are kept. It is not served. kube-apiserver stores it without
// any metadata; here it is found by its name.
func NodePorts() *resource.Resource {
	bare := resource.Definition[*corev1.RangeAllocation]{
		Kind:          corev1.SchemeGroupVersion.WithKind("RangeAllocation"),
		Plural:        rangeResource.Resource,
		ClusterScoped: true,
		Internal:      true,
		Prefix:        "ranges",
	}
	codec := resource.NewCodec(resource.Define(bare))
	named := bare
	named.Stored = &resource.Stored[*corev1.RangeAllocation]{
		Encode: func(r *corev1.RangeAllocation) ([]byte, error) {
			return codec.Encode(&corev1.RangeAllocation{Range: r.Range, Data: r.Data})
		},
		Decode: func(value []byte) (*corev1.RangeAllocation, error) {
			o, err := codec.Decode(value, 0)
			if err != nil {
				return nil, err
			}
			r := o.(*corev1.RangeAllocation)
			r.Name = rangeName
			return r, nil
		},
	}
	return resource.Define(named)
}

// Allocate is the hook of services; see resource.Definition.
func (a *Allocator) Allocate(ctx context.Context, s, old *corev1.Service, dryRun bool) (undo, release func(), err error) {
	if old != nil {
		keepAllocated(s, old)
	}
	joinClusterIPs(s, old)
	if err := refuse(s, settleFamilies(s, old, a.Families)); err != nil {
		return nil, nil, err
	}
	ctx = context.WithoutCancel(ctx) // what was begun is finished, or undone
	taken, freed, err := a.allocateIPs(ctx, s, old, dryRun)
	if err != nil {
		a.giveBackIPs(ctx, s, taken)
		return nil, nil, err
	}
	p, err := a.allocatePorts(ctx, s, old, dryRun)
	if err != nil {
		a.giveBackIPs(ctx, s, taken)
		return nil, nil, err
	}
	if dryRun {
		return nil, nil, nil
	}
	undo = func() {
		a.giveBackIPs(ctx, s, taken)
		a.giveBackPorts(ctx, p.taken)
	}
	release = func() {
		a.giveBackIPs(ctx, s, freed)
		a.giveBackPorts(ctx, p.freed)
	}
	return undo, release, nil
}

// Deleted is the hook of services that have gone. The Endpoints of the same name go with them.
func (a *Allocator) Deleted(ctx context.Context, s *corev1.Service) {
	a.giveBackIPs(ctx, s, addressesOf(s))
	list := nodePorts(&s.Spec)
	if p := s.Spec.HealthCheckNodePort; p != 0 {
		list = append(list, int(p))
	}
	a.giveBackPorts(ctx, list)
	err := a.Access.Delete(ctx, endpointsResource, s.Namespace, s.Name, nil)
	if err != nil && !apierrors.IsNotFound(err) && !errors.Is(err, resource.ErrNotServed) {
		a.Log.Error(err, "Deleting the endpoints of a service that is gone", "namespace", s.Namespace, "name", s.Name)
	}
}

// allocatePorts plans and writes in one step: where another server was faster, it plans again.
func (a *Allocator) allocatePorts(ctx context.Context, s, old *corev1.Service, dryRun bool) (*plan, error) {
	if !hasNodePorts(&s.Spec) && (old == nil || !hasNodePorts(&old.Spec)) {
		return &plan{}, nil
	}
	if dryRun {
		var data []byte
		if o, err := a.Access.Get(ctx, rangeResource, "", rangeName); err == nil {
			data = o.(*corev1.RangeAllocation).Data
		}
		p := a.plan(data)
		return p, p.service(s, old)
	}
	var p *plan
	var spec corev1.ServiceSpec
	err := a.changePorts(ctx, func(data []byte) ([]byte, error) {
		p = a.plan(data)
		try := s.DeepCopy()
		if err := p.service(try, old); err != nil {
			return nil, err
		}
		spec = try.Spec
		if len(p.taken) == 0 {
			return nil, errNothing
		}
		return p.ports.bytes(), nil
	})
	if err != nil {
		return nil, err
	}
	s.Spec.Ports, s.Spec.HealthCheckNodePort = spec.Ports, spec.HealthCheckNodePort
	return p, nil
}

func (a *Allocator) plan(data []byte) *plan {
	return &plan{ports: readPorts(a.NodePorts, data), random: a.Random}
}

// errNothing ends a change that has nothing to write.
var errNothing = errors.New("nothing to change")

// changePorts changes which node ports are taken.
func (a *Allocator) changePorts(ctx context.Context, change func(data []byte) ([]byte, error)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		_, err := a.Access.Update(ctx, rangeResource, "", "", rangeName, func(o resource.Object) error {
			r := o.(*corev1.RangeAllocation)
			data, err := change(a.dataOf(r))
			r.Range, r.Data = a.NodePorts.String(), data
			return err
		})
		if apierrors.IsNotFound(err) {
			fresh := &corev1.RangeAllocation{ObjectMeta: metav1.ObjectMeta{Name: rangeName}, Range: a.NodePorts.String()}
			if _, err = a.Access.Create(ctx, rangeResource, fresh); err == nil || apierrors.IsAlreadyExists(err) {
				continue
			}
		}
		if errors.Is(err, errNothing) {
			return nil
		}
		return err
	}
}

// dataOf reads what an object says in terms of the range that the server has now.
func (a *Allocator) dataOf(r *corev1.RangeAllocation) []byte {
	stored, err := ParsePortRange(r.Range)
	if err != nil || stored == a.NodePorts {
		return r.Data
	}
	was, now := readPorts(stored, r.Data), readPorts(a.NodePorts, nil)
	for port := stored.First; port < stored.First+stored.Size; port++ {
		if was.has(port) && now.contains(port) {
			_ = now.take(port)
		}
	}
	return now.bytes()
}

// giveBackPorts may take the room that is kept for deletions, since a service on a full disk must not keep its ports when
// it goes. What is written is as long as what was there.
func (a *Allocator) giveBackPorts(ctx context.Context, list []int) {
	if len(list) == 0 {
		return
	}
	err := a.changePorts(storage.ForDeletion(ctx), func(data []byte) ([]byte, error) {
		p := readPorts(a.NodePorts, data)
		p.free(list)
		return p.bytes(), nil
	})
	if err != nil {
		a.Log.Error(err, "Giving back node ports; they will be repaired later", "ports", list)
	}
}
