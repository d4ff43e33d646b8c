package allocation

import (
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Bounds of the band of node ports that is kept for ports that clients choose: a thirty-second of the range,
// but no less than 16 and no more than 128.
const (
	portBandShare = 32
	portBandMin   = 16
	portBandMax   = 128
)

// Refusals of one address or port.
var (
	errPortTaken = errors.New("provided port is already allocated")
	errIPTaken   = errors.New("provided IP is already allocated")
	errNetwork   = errors.New("the provided network does not match the current range")
	errFull      = errors.New("range is full")
)

// PortRange is the ports from First on.
type PortRange struct{ First, Size int }

// ParsePortRange reads "30000-32767", or "30000+2767" for as many beyond the first.
func ParsePortRange(text string) (PortRange, error) {
	wrong := func(err error) (PortRange, error) {
		return PortRange{}, fmt.Errorf("%q is no range of ports; write it like 30000-32767: %w", text, err)
	}
	low, high, dash := strings.Cut(text, "-")
	more := ""
	if !dash {
		var plus bool
		if low, more, plus = strings.Cut(text, "+"); !plus {
			high = low
		}
	}
	first, err := strconv.Atoi(strings.TrimSpace(low))
	if err != nil {
		return wrong(err)
	}
	last := first
	if more != "" {
		n, err := strconv.Atoi(strings.TrimSpace(more))
		if err != nil {
			return wrong(err)
		}
		last = first + n
	} else if last, err = strconv.Atoi(strings.TrimSpace(high)); err != nil {
		return wrong(err)
	}
	if first < 1 || last < first || last > 65535 {
		return wrong(errors.New("ports are 1 to 65535, the smaller first"))
	}
	return PortRange{First: first, Size: last - first + 1}, nil
}

func (r PortRange) String() string { return fmt.Sprintf("%d-%d", r.First, r.First+r.Size-1) }

func (r PortRange) contains(port int) bool { return port >= r.First && port < r.First+r.Size }

// ports is which ports of a range are taken. Its bytes are those of upstream's RangeAllocation: a big-endian
// number in which bit n stands for the nth port.
type ports struct {
	PortRange
	taken *big.Int
}

func readPorts(r PortRange, data []byte) *ports {
	return &ports{PortRange: r, taken: new(big.Int).SetBytes(data)}
}

func (p *ports) bytes() []byte { return p.taken.Bytes() }

func (p *ports) has(port int) bool {
	return p.contains(port) && p.taken.Bit(port-p.First) == 1
}

func (p *ports) take(port int) error {
	if !p.contains(port) {
		return fmt.Errorf("provided port is not in the valid range. The range of valid ports is %s", p.PortRange)
	}
	if p.has(port) {
		return errPortTaken
	}
	p.taken.SetBit(p.taken, port-p.First, 1)
	return nil
}

// next takes any port: one above the band for clients' choices while there is one.
func (p *ports) next(random func(n uint64) uint64) (int, error) {
	size := uint64(p.Size)
	kept := band(size, portBandShare, portBandMin, portBandMax)
	for _, part := range [][2]uint64{{kept, size}, {0, kept}} {
		for n := range scan(part[0], part[1], random) {
			if port := p.First + int(n); !p.has(port) {
				return port, p.take(port)
			}
		}
	}
	return 0, errFull
}

func (p *ports) free(list []int) {
	for _, port := range list {
		if p.contains(port) {
			p.taken.SetBit(p.taken, port-p.First, 0)
		}
	}
}

// plan is one service's way through the ports.
type plan struct {
	ports  *ports
	random func(n uint64) uint64
	taken  []int // by this plan
	freed  []int // when the write stands
}

func (p *plan) take(port int) error {
	if err := p.ports.take(port); err != nil {
		return err
	}
	p.taken = append(p.taken, port)
	return nil
}

func (p *plan) next() (int, error) {
	port, err := p.ports.next(p.random)
	if err != nil {
		return 0, err
	}
	p.taken = append(p.taken, port)
	return port, nil
}

// service gives a service the node ports that it needs, and notes those that it needs no more.
func (p *plan) service(s, old *corev1.Service) error {
	var was *corev1.ServiceSpec
	if old != nil {
		was = &old.Spec
	}
	if hasNodePorts(&s.Spec) {
		var err error
		if old == nil {
			err = p.create(s)
		} else {
			err = p.update(s, nodePorts(was))
		}
		if err != nil {
			return err
		}
	}
	if was != nil && hasNodePorts(was) {
		kept := nodePorts(&s.Spec)
		for _, port := range nodePorts(was) {
			if !hasNodePorts(&s.Spec) || !slices.Contains(kept, port) {
				p.freed = append(p.freed, port)
			}
		}
	}
	return p.health(s, was)
}

func nodePorts(s *corev1.ServiceSpec) []int {
	var list []int
	for _, port := range s.Ports {
		if port.NodePort != 0 {
			list = append(list, int(port.NodePort))
		}
	}
	return list
}

// wantsPorts says whether ports are given that were not asked for one by one.
func wantsPorts(s *corev1.ServiceSpec) bool {
	return s.Type == corev1.ServiceTypeNodePort ||
		s.Type == corev1.ServiceTypeLoadBalancer && (s.AllocateLoadBalancerNodePorts == nil || *s.AllocateLoadBalancerNodePorts)
}

// create lets ports of the same number (of different protocols) share one node port.
func (p *plan) create(s *corev1.Service) error {
	byPort := map[int32]int32{}
	for i := range s.Spec.Ports {
		port := &s.Spec.Ports[i]
		if port.NodePort == 0 && !wantsPorts(&s.Spec) {
			continue
		}
		shared := byPort[port.Port]
		if port.NodePort == 0 && shared == 0 {
			shared = askedFor(s.Spec.Ports[i:], port.Port)
			if shared != 0 {
				if err := p.take(int(shared)); err != nil {
					return refusePort(s, i, shared, err)
				}
				byPort[port.Port] = shared
			}
		}
		switch {
		case port.NodePort != 0 && port.NodePort == shared:
		case port.NodePort != 0:
			if err := p.take(int(port.NodePort)); err != nil {
				return refusePort(s, i, port.NodePort, err)
			}
			if shared == 0 {
				byPort[port.Port] = port.NodePort
			}
		case shared != 0:
			port.NodePort = shared
		default:
			n, err := p.next()
			if err != nil {
				return apierrors.NewInternalError(fmt.Errorf("failed to allocate a nodePort: %w", err))
			}
			port.NodePort = int32(n)
			byPort[port.Port] = port.NodePort
		}
	}
	return nil
}

// askedFor is the node port that the client chose for a port, 0 for none.
func askedFor(list []corev1.ServicePort, port int32) int32 {
	for _, p := range list {
		if p.Port == port && p.NodePort != 0 {
			return p.NodePort
		}
	}
	return 0
}

func refusePort(s *corev1.Service, i int, port int32, err error) error {
	return refuse(s, field.ErrorList{field.Invalid(field.NewPath("spec", "ports").Index(i).Child("nodePort"), port, err.Error())})
}

// update takes what is new; had are the node ports that the service holds.
func (p *plan) update(s *corev1.Service, had []int) error {
	type use struct {
		Protocol corev1.Protocol
		NodePort int32
	}
	seen := map[use]bool{}
	for i := range s.Spec.Ports {
		port := &s.Spec.Ports[i]
		switch {
		case port.NodePort == 0 && !wantsPorts(&s.Spec):
		case port.NodePort == 0:
			n, err := p.next()
			if err != nil {
				return apierrors.NewInternalError(fmt.Errorf("failed to allocate a nodePort: %w", err))
			}
			port.NodePort = int32(n)
		case !slices.Contains(had, int(port.NodePort)) && !slices.Contains(p.taken, int(port.NodePort)):
			if err := p.take(int(port.NodePort)); err != nil {
				return refusePort(s, i, port.NodePort, err)
			}
		}
		if u := (use{port.Protocol, port.NodePort}); u.NodePort != 0 && seen[u] {
			return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: http.StatusInternalServerError,
				Message: fmt.Sprintf("duplicate nodePort: %v", u)}}
		}
		seen[use{port.Protocol, port.NodePort}] = true
	}
	return nil
}

// health gives the port at which load balancers ask for a node's health. It never changes, which validation
// sees to.
func (p *plan) health(s *corev1.Service, was *corev1.ServiceSpec) error {
	before := was != nil && needsHealthCheck(was)
	switch now := needsHealthCheck(&s.Spec); {
	case now && before:
	case now && s.Spec.HealthCheckNodePort != 0:
		if err := p.take(int(s.Spec.HealthCheckNodePort)); err != nil {
			return apierrors.NewInternalError(fmt.Errorf("failed to allocate requested HealthCheck NodePort %v: %w", s.Spec.HealthCheckNodePort, err))
		}
	case now:
		n, err := p.next()
		if err != nil {
			return apierrors.NewInternalError(fmt.Errorf("failed to allocate a HealthCheck NodePort: %w", err))
		}
		s.Spec.HealthCheckNodePort = int32(n)
	case before && was.HealthCheckNodePort != 0:
		p.freed = append(p.freed, int(was.HealthCheckNodePort))
	}
	return nil
}
