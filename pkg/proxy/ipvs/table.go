package ipvs

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// Table makes the kernel hold a Plan. Not safe for use by several goroutines.
type Table struct {
	server    Server
	scheduler string // IPVS's name of the way to choose: "rr"
}

// NewTable works on a server. scheduler "" is round robin.
func NewTable(s Server, scheduler string) *Table {
	scheduler = cmp.Or(scheduler, "rr")
	return &Table{server: s, scheduler: scheduler}
}

// Sync makes the kernel hold exactly the plan, and answers how many backends still finish their open
// connections: they take no new ones, and a later Sync removes them. It goes on past single errors and
// answers them all.
func (t *Table) Sync(p Plan) (draining int, err error) {
	have, err := t.server.Addresses()
	if err != nil {
		return 0, err
	}
	var errs []error
	for a := range p.Addresses {
		if !have[a] {
			errs = append(errs, t.server.AddAddress(a))
		}
	}
	live, err := t.server.Virtual()
	if err != nil {
		return 0, errors.Join(append(errs, err)...)
	}
	for key, want := range p.Virtual {
		l, exists := live[key]
		if !exists || l.Affinity != want.Affinity || l.Scheduler != t.scheduler {
			if err := t.server.SetVirtual(key, t.scheduler, want.Affinity, !exists); err != nil {
				errs = append(errs, fmt.Errorf("virtual service %s:%d: %w", key.Address, key.Port, err))
				continue
			}
		}
		n, err := t.backends(key, want, l)
		draining += n
		errs = append(errs, err)
	}
	for key := range live {
		if _, wanted := p.Virtual[key]; !wanted {
			errs = append(errs, t.server.RemoveVirtual(key))
		}
	}
	for a := range have {
		if !p.Addresses[a] {
			errs = append(errs, t.server.RemoveAddress(a))
		}
	}
	return draining, errors.Join(errs...)
}

// backends brings one virtual service's backends into line.
func (t *Table) backends(key Key, want Virtual, live Live) (draining int, err error) {
	var errs []error
	for b := range want.Backends {
		l, exists := live.Backends[b]
		if !exists || l.Weight != 1 {
			errs = append(errs, t.server.SetBackend(key, b, 1, !exists))
		}
	}
	for b, l := range live.Backends {
		switch {
		case want.Backends[b]:
		case l.Connections == 0 || key.Protocol == corev1.ProtocolUDP:
			errs = append(errs, t.server.RemoveBackend(key, b))
		default:
			draining++
			if l.Weight != 0 {
				errs = append(errs, t.server.SetBackend(key, b, 0, false))
			}
		}
	}
	return draining, errors.Join(errs...)
}

// Cleanup removes every virtual service and the device.
func (t *Table) Cleanup() error {
	live, err := t.server.Virtual()
	if err != nil {
		return err
	}
	var errs []error
	for key := range live {
		errs = append(errs, t.server.RemoveVirtual(key))
	}
	return errors.Join(append(errs, t.server.RemoveInterface())...)
}

// Fake is a Server in memory.
type Fake struct {
	Services map[Key]Live
	Held     map[netip.Addr]bool
}

// NewFake is an empty kernel.
func NewFake() *Fake { return &Fake{Services: map[Key]Live{}, Held: map[netip.Addr]bool{}} }

var errMissing = errors.New("no such virtual service or real server")

func (f *Fake) Virtual() (map[Key]Live, error) {
	out := map[Key]Live{}
	for k, l := range f.Services {
		c := Live{Affinity: l.Affinity, Scheduler: l.Scheduler, Backends: map[netip.AddrPort]LiveBackend{}}
		maps.Copy(c.Backends, l.Backends)
		out[k] = c
	}
	return out, nil
}

func (f *Fake) SetVirtual(k Key, scheduler string, affinity uint32, isNew bool) error {
	l, exists := f.Services[k]
	if exists == isNew {
		return errMissing
	}
	if l.Backends == nil {
		l.Backends = map[netip.AddrPort]LiveBackend{}
	}
	l.Scheduler, l.Affinity = scheduler, affinity
	f.Services[k] = l
	return nil
}

func (f *Fake) RemoveVirtual(k Key) error {
	if _, ok := f.Services[k]; !ok {
		return errMissing
	}
	delete(f.Services, k)
	return nil
}

func (f *Fake) SetBackend(k Key, b netip.AddrPort, weight uint32, isNew bool) error {
	l, ok := f.Services[k]
	lb, exists := l.Backends[b]
	if !ok || exists == isNew {
		return errMissing
	}
	lb.Weight = weight
	l.Backends[b] = lb
	return nil
}

func (f *Fake) RemoveBackend(k Key, b netip.AddrPort) error {
	if _, ok := f.Services[k].Backends[b]; !ok {
		return errMissing
	}
	delete(f.Services[k].Backends, b)
	return nil
}

func (f *Fake) Addresses() (map[netip.Addr]bool, error) {
	out := map[netip.Addr]bool{}
	for a := range f.Held {
		out[a] = true
	}
	return out, nil
}

func (f *Fake) AddAddress(a netip.Addr) error    { f.Held[a] = true; return nil }
func (f *Fake) RemoveAddress(a netip.Addr) error { delete(f.Held, a); return nil }
func (f *Fake) RemoveInterface() error           { f.Held = map[netip.Addr]bool{}; return nil }
