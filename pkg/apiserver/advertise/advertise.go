// Package advertise keeps what the cluster knows of its API servers: the default network of services, the
// Service kubernetes in the namespace default, the Endpoints and EndpointSlice that lead to every server
// that is alive, and the lease of each server's identity. Servers tell that they are by leases under
// /registry/masterleases/, as kube-apiserver does.
package advertise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

var (
	services  = schema.GroupResource{Resource: "services"}
	endpoints = schema.GroupResource{Resource: "endpoints"}
	slicesOf  = schema.GroupResource{Group: discoveryv1.GroupName, Resource: "endpointslices"}
	networks  = schema.GroupResource{Group: networkingv1.GroupName, Resource: "servicecidrs"}
	leases    = schema.GroupResource{Resource: "masterleases"}
)

const (
	name       = "kubernetes" // of the service, its endpoints, and the default network
	portName   = "https"
	port       = 443
	skipMirror = "endpointslice.kubernetes.io/skip-mirror"
	// every is how often a server says that it is alive; the others believe it for leaseTTL.
	every    = 10 * time.Second
	leaseTTL = 15 * time.Second
	// farewell is how long leaving may take.
	farewell = 5 * time.Second
)

// Config is what a server says of itself.
type Config struct {
	Access   resource.Access
	Networks []netip.Prefix // of services, the default one first
	Address  netip.Addr     // at which others reach this server
	Port     int
	Host     string // the name of the host on which this server runs
	Process  string // tells this process from every other one on any host
	Clock    clock.WithTicker
	Log      logr.Logger
}

// Advertiser keeps the objects.
type Advertiser struct {
	Config
	holder string // of the lease of this server's identity; another process is another
	seen   map[string]sighting
}

// New makes an Advertiser.
func New(c Config) *Advertiser {
	return &Advertiser{Config: c, holder: identityOf(c.Host) + "_" + c.Process}
}

// Leases declares the objects by which servers tell each other that they are alive. They are not served.
func Leases() *resource.Resource {
	return resource.Define(resource.Definition[*corev1.Endpoints]{
		Kind:          corev1.SchemeGroupVersion.WithKind("Endpoints"),
		Plural:        leases.Resource,
		Singular:      "masterlease",
		ClusterScoped: true,
		Internal:      true,
		Prefix:        "masterleases",
		// kube-apiserver leaves the object without a name; here it is found by it.
		Default: func(e *corev1.Endpoints) {
			if e.Name == "" && len(e.Subsets) > 0 && len(e.Subsets[0].Addresses) > 0 {
				e.Name = e.Subsets[0].Addresses[0].IP
			}
		},
		// Each renewal must be written, to begin its time anew: it raises the generation.
		Prepare: func(_ context.Context, e, old *corev1.Endpoints) {
			if old != nil {
				e.Generation = old.Generation + 1
			}
		},
		TTL: func(*corev1.Endpoints) time.Duration { return leaseTTL },
	})
}

// EnsureNetwork makes the default network of services where there is none, and declares it ready. Addresses
// can be given from then on.
func (a *Advertiser) EnsureNetwork(ctx context.Context) error {
	have, err := a.Access.GetLive(ctx, networks, "", name)
	if apierrors.IsNotFound(err) {
		c := &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}}
		for _, p := range a.Networks {
			c.Spec.CIDRs = append(c.Spec.CIDRs, p.String())
		}
		if have, err = a.Access.Create(ctx, networks, c); apierrors.IsAlreadyExists(err) {
			have, err = a.Access.GetLive(ctx, networks, "", name)
		}
	}
	if err != nil {
		return fmt.Errorf("making the default ServiceCIDR: %w", err)
	}
	c := have.(*networkingv1.ServiceCIDR)
	if c.DeletionTimestamp != nil || hasReady(c) {
		return nil
	}
	_, err = a.Access.Update(ctx, networks, "status", "", name, func(o resource.Object) error {
		c := o.(*networkingv1.ServiceCIDR)
		if hasReady(c) {
			return nil
		}
		c.Status.Conditions = append(c.Status.Conditions, metav1.Condition{
			Type: networkingv1.ServiceCIDRConditionReady, Status: metav1.ConditionTrue,
			Message: "Kubernetes default Service CIDR is ready", LastTransitionTime: metav1.NewTime(a.Clock.Now()),
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("declaring the default ServiceCIDR ready: %w", err)
	}
	return nil
}

func hasReady(c *networkingv1.ServiceCIDR) bool {
	return slices.ContainsFunc(c.Status.Conditions, func(c metav1.Condition) bool { return c.Type == networkingv1.ServiceCIDRConditionReady })
}

// ErrAddress is that the endpoints of the Service kubernetes may not name an address, as one of loopback.
var ErrAddress = errors.New("the Service kubernetes cannot lead to the address of this server")

// ErrLease is that the lease could not be written that tells other servers of this one.
var ErrLease = errors.New("other servers are not told of this one")

// Reconcile says that this server is alive, and makes all objects that lead to it say what is.
func (a *Advertiser) Reconcile(ctx context.Context) error {
	if err := a.EnsureNetwork(ctx); err != nil {
		return err
	}
	if err := a.service(ctx); err != nil {
		return err
	}
	if err := a.renew(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrLease, err)
	}
	alive, err := a.alive(ctx)
	if err != nil {
		return err
	}
	if len(alive) == 0 {
		return errors.New("no lease of any API server is found, though this one's was just renewed; the endpoints stay as they are")
	}
	err = a.publish(ctx, alive)
	if apierrors.IsInvalid(err) {
		return fmt.Errorf("%w: %w", ErrAddress, err)
	}
	return err
}

// Run keeps the objects until ctx ends, and then takes this server out of them.
func (a *Advertiser) Run(ctx context.Context) {
	t := a.Clock.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C():
			if err := errors.Join(a.Reconcile(ctx), a.Identify(ctx)); err != nil && ctx.Err() == nil {
				a.Log.Error(err, "Keeping the Service kubernetes and this server's identity; will be tried again", "after", every)
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
			defer cancel()
			if err := a.Withdraw(last); err != nil {
				a.Log.Error(err, "Taking this server out of the endpoints of the Service kubernetes; others will when its lease ends")
			}
			return
		}
	}
}

// Withdraw takes this server out of the endpoints.
func (a *Advertiser) Withdraw(ctx context.Context) error {
	if err := a.Access.Delete(ctx, leases, "", a.Address.String(), nil); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("giving up the lease of %s: %w", a.Address, err)
	}
	alive, err := a.alive(ctx)
	if err != nil {
		return err
	}
	return a.publish(ctx, slices.DeleteFunc(alive, func(ip netip.Addr) bool { return ip == a.Address }))
}

// service makes the Service, and puts right what others have changed of what leads to the servers.
func (a *Advertiser) service(ctx context.Context) error {
	ports := []corev1.ServicePort{{Name: portName, Protocol: corev1.ProtocolTCP, Port: port, TargetPort: intstr.FromInt(a.Port)}}
	have, err := a.Access.Get(ctx, services, metav1.NamespaceDefault, name)
	if apierrors.IsNotFound(err) {
		single := corev1.IPFamilyPolicySingleStack
		_, err = a.Access.Create(ctx, services, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name,
				Labels: map[string]string{"provider": "kubernetes", "component": "apiserver"}},
			Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeClusterIP, ClusterIP: a.Networks[0].Addr().Next().String(), IPFamilyPolicy: &single,
				SessionAffinity: corev1.ServiceAffinityNone, Ports: ports,
			},
		})
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("making the Service kubernetes: %w", err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the Service kubernetes: %w", err)
	}
	if s := have.(*corev1.Service); equality.Semantic.DeepEqual(s.Spec.Ports, ports) && s.Spec.Type == corev1.ServiceTypeClusterIP {
		return nil
	}
	_, err = a.Access.Update(ctx, services, "", metav1.NamespaceDefault, name, func(o resource.Object) error {
		s := o.(*corev1.Service)
		s.Spec.Type, s.Spec.Ports = corev1.ServiceTypeClusterIP, ports
		return nil
	})
	if err != nil {
		return fmt.Errorf("putting the Service kubernetes right: %w", err)
	}
	return nil
}

// renew writes this server's lease.
func (a *Advertiser) renew(ctx context.Context) error {
	ip := a.Address.String()
	subsets := []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: ip}}}}
	err := a.put(ctx, leases, &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: ip}}, func(o resource.Object) error {
		o.(*corev1.Endpoints).Subsets = subsets
		return nil
	})
	if err != nil {
		return fmt.Errorf("renewing the lease of %s: %w", ip, err)
	}
	return nil
}

// put changes an object, made of the empty one where there is none.
func (a *Advertiser) put(ctx context.Context, r schema.GroupResource, empty resource.Object, change func(resource.Object) error) error {
	for range 2 {
		_, err := a.Access.Update(ctx, r, "", empty.GetNamespace(), empty.GetName(), change)
		if apierrors.IsNotFound(err) {
			made := empty.DeepCopyObject().(resource.Object)
			if err := change(made); err != nil {
				return err
			}
			_, err = a.Access.Create(ctx, r, made)
		}
		if !apierrors.IsAlreadyExists(err) {
			return err
		}
		// Made just now, by another server that has this address or this host.
	}
	return nil
}

// alive are the servers whose leases hold, in order.
func (a *Advertiser) alive(ctx context.Context) ([]netip.Addr, error) {
	all, err := a.Access.List(ctx, leases, "")
	if err != nil {
		return nil, fmt.Errorf("listing the leases of API servers: %w", err)
	}
	// A list may be a moment behind the lease that this server just took.
	switch own, err := a.Access.GetLive(ctx, leases, "", a.Address.String()); {
	case err == nil:
		all = append(slices.Clip(all), own)
	case !apierrors.IsNotFound(err):
		return nil, fmt.Errorf("reading the lease of %v: %w", a.Address, err)
	}
	var list []netip.Addr
	for _, o := range all {
		e := o.(*corev1.Endpoints)
		for _, s := range e.Subsets {
			for _, addr := range s.Addresses {
				if ip, err := netip.ParseAddr(addr.IP); err == nil {
					list = append(list, ip)
				}
			}
		}
	}
	slices.SortFunc(list, func(x, y netip.Addr) int { return cmp.Compare(x.String(), y.String()) })
	return slices.Compact(list), nil
}

// publish writes endpoints and slice, where they say something else.
func (a *Advertiser) publish(ctx context.Context, alive []netip.Addr) error {
	e := a.endpoints(alive)
	err := a.write(ctx, endpoints, e, func(o resource.Object) bool {
		have := o.(*corev1.Endpoints)
		same := equality.Semantic.DeepEqual(have.Subsets, e.Subsets) && have.Labels[skipMirror] == "true"
		have.Subsets = e.Subsets
		metav1.SetMetaDataLabel(&have.ObjectMeta, skipMirror, "true")
		return !same
	})
	if err != nil {
		return err
	}
	s := a.slice(alive)
	return a.write(ctx, slicesOf, s, func(o resource.Object) bool {
		have := o.(*discoveryv1.EndpointSlice)
		same := equality.Semantic.DeepEqual(have.Endpoints, s.Endpoints) && equality.Semantic.DeepEqual(have.Ports, s.Ports) &&
			have.Labels[discoveryv1.LabelServiceName] == name
		have.Endpoints, have.Ports = s.Endpoints, s.Ports
		metav1.SetMetaDataLabel(&have.ObjectMeta, discoveryv1.LabelServiceName, name)
		return !same
	})
}

func (a *Advertiser) endpoints(alive []netip.Addr) *corev1.Endpoints {
	e := &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name, Labels: map[string]string{skipMirror: "true"}}}
	if len(alive) == 0 {
		return e
	}
	s := corev1.EndpointSubset{Ports: []corev1.EndpointPort{{Name: portName, Port: int32(a.Port), Protocol: corev1.ProtocolTCP}}}
	for _, ip := range alive {
		s.Addresses = append(s.Addresses, corev1.EndpointAddress{IP: ip.String()})
	}
	e.Subsets = []corev1.EndpointSubset{s}
	return e
}

func (a *Advertiser) slice(alive []netip.Addr) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name,
			Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{},
	}
	if a.Address.Is6() {
		s.AddressType = discoveryv1.AddressTypeIPv6
	}
	ready := true
	for _, ip := range alive {
		if ip.Is6() == a.Address.Is6() {
			s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{ip.String()}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}})
		}
	}
	if len(s.Endpoints) > 0 {
		named, number, tcp := portName, int32(a.Port), corev1.ProtocolTCP
		s.Ports = []discoveryv1.EndpointPort{{Name: &named, Port: &number, Protocol: &tcp}}
	}
	return s
}

// errSame ends an update that has nothing to write.
var errSame = errors.New("unchanged")

// write makes an object, or changes it where change says that there is something to change.
func (a *Advertiser) write(ctx context.Context, r schema.GroupResource, want resource.Object, change func(resource.Object) bool) error {
	have, err := a.Access.Get(ctx, r, want.GetNamespace(), want.GetName())
	if err == nil && !change(have.DeepCopyObject().(resource.Object)) {
		return nil
	}
	_, err = a.Access.Update(ctx, r, "", want.GetNamespace(), want.GetName(), func(o resource.Object) error {
		if !change(o) {
			return errSame
		}
		return nil
	})
	if apierrors.IsNotFound(err) {
		_, err = a.Access.Create(ctx, r, want)
	}
	if err != nil && !errors.Is(err, errSame) && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("writing the %s of the Service kubernetes: %w", r, err)
	}
	return nil
}
