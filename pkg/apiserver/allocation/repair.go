package allocation

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

const (
	// repairEvery is how often what services hold is compared with what is taken.
	repairEvery = 3 * time.Minute
	// leakRounds is in how many comparisons a port must belong to nobody before it is freed: a service
	// may be about to be written.
	leakRounds = 3
	// addressGrace is how old an address of no service must be for the same reason.
	addressGrace = time.Minute
)

// leaks counts the rounds in which a port belonged to nobody.
type leaks map[int]int

// note counts and answers those that may be freed.
func (l leaks) note(orphans []int) (next leaks, free []int) {
	next = leaks{}
	for _, port := range orphans {
		if n := l[port] + 1; n < leakRounds {
			next[port] = n
		} else {
			free = append(free, port)
		}
	}
	return next, free
}

// RepairAlways repairs from time to time, until ctx ends.
func (a *Allocator) RepairAlways(ctx context.Context, c clock.WithTicker) {
	t := c.NewTicker(repairEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C():
			if err := a.Repair(ctx); err != nil && ctx.Err() == nil {
				a.Log.Error(err, "Repairing the addresses and ports of services; will be tried again")
			}
		}
	}
}

// Repair takes what services hold and nobody has taken, as after a restore of etcd or the loss of an object,
// and frees what no service holds.
func (a *Allocator) Repair(ctx context.Context) error {
	all, err := a.Access.List(ctx, serviceResource, "")
	if errors.Is(err, resource.ErrNotServed) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listing services: %w", err)
	}
	services := make([]*corev1.Service, len(all))
	for i, o := range all {
		services[i] = o.(*corev1.Service)
	}
	return errors.Join(a.repairIPs(ctx, services), a.repairPorts(ctx, services))
}

func (a *Allocator) repairIPs(ctx context.Context, services []*corev1.Service) error {
	var errs []error
	for _, s := range services {
		for _, text := range addressesOf(s) {
			ip, err := netip.ParseAddr(text)
			if err != nil {
				errs = append(errs, fmt.Errorf("service %s/%s has the address %q: %w", s.Namespace, s.Name, text, err))
				continue
			}
			errs = append(errs, a.repairIP(ctx, s, ip))
		}
	}
	addresses, err := a.Access.List(ctx, addressResource, "")
	if err != nil {
		return errors.Join(append(errs, fmt.Errorf("listing addresses: %w", err))...)
	}
	for _, o := range addresses {
		ip := o.(*networkingv1.IPAddress)
		if ip.Labels[networkingv1.LabelManagedBy] != managedBy || a.Now().Sub(ip.CreationTimestamp.Time) < addressGrace ||
			slices.ContainsFunc(services, func(s *corev1.Service) bool { return holds(s, ip) && slices.Contains(s.Spec.ClusterIPs, ip.Name) }) {
			continue
		}
		err := a.Access.Delete(ctx, addressResource, "", ip.Name, metav1.NewPreconditionDeleteOptions(string(ip.UID)))
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			errs = append(errs, fmt.Errorf("freeing the address %s: %w", ip.Name, err))
		}
	}
	return errors.Join(errs...)
}

// repairIP takes a service's address again. Where another one holds it, that is told: both were given it,
// and only their owners can say which of them shall be made anew.
func (a *Allocator) repairIP(ctx context.Context, s *corev1.Service, ip netip.Addr) error {
	o, err := a.Access.Get(ctx, addressResource, "", ip.String())
	if apierrors.IsNotFound(err) {
		// The service in the cache may be gone; what is taken for it is freed again by a later round.
		_, err = a.Access.Create(ctx, addressResource, addressObject(s, ip))
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	}
	if err != nil {
		return err
	}
	if !holds(s, o.(*networkingv1.IPAddress)) {
		a.Log.Info("A service's address is taken by another; recreate the service to give it a new one",
			"address", ip, "namespace", s.Namespace, "name", s.Name)
	}
	return nil
}

func (a *Allocator) repairPorts(ctx context.Context, services []*corev1.Service) error {
	var held []int
	for _, s := range services {
		held = append(held, nodePorts(&s.Spec)...)
		if p := s.Spec.HealthCheckNodePort; p != 0 {
			held = append(held, int(p))
		}
	}
	var next leaks
	err := a.changePorts(ctx, func(data []byte) ([]byte, error) {
		p := readPorts(a.NodePorts, data)
		var orphans []int
		for port := p.First; port < p.First+p.Size; port++ {
			if p.has(port) && !slices.Contains(held, port) {
				orphans = append(orphans, port)
			}
		}
		var free []int
		next, free = a.leaked.note(orphans)
		p.free(free)
		changed := len(free) > 0
		for _, port := range held {
			if p.contains(port) && !p.has(port) {
				changed = true
				_ = p.take(port)
			}
		}
		if !changed && data != nil {
			return nil, errNothing
		}
		return p.bytes(), nil
	})
	if err != nil {
		return fmt.Errorf("repairing node ports: %w", err)
	}
	a.leaked = next
	return nil
}
