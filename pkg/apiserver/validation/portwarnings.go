package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// placedPort is a port and where it stands.
type placedPort struct {
	corev1.ContainerPort
	at *field.Path
}

// mostPortPairs is how many pairs of one pod's ports are compared. Their number grows with the square of that of the
// ports, of which a request can hold more than a hundred thousand.
const mostPortPairs = 10_000

// ports warns of ports that get in each other's way: the containers of a pod share one network, and its
// services find ports by their names.
func (w *warner) ports(path *field.Path, s *corev1.PodSpec) {
	var all []placedPort
	eachContainer(path, s, func(at containerAt, c *corev1.Container) {
		for i, p := range c.Ports {
			all = append(all, placedPort{p, at.path().Child("ports").Index(i)})
		}
	})
	type socket struct {
		protocol corev1.Protocol
		port     int32
	}
	same, left := map[socket][]placedPort{}, mostPortPairs
	for _, p := range all {
		if p.HostIP != "" && p.HostPort == 0 {
			w.say(p.at, "hostIP set without hostPort: %+v", p.ContainerPort)
		}
		s := socket{p.Protocol, p.ContainerPort.ContainerPort}
		for _, before := range same[s][:min(left, len(same[s]))] {
			w.samePort(p, before)
		}
		left -= min(left, len(same[s]))
		same[s] = append(same[s], p)
	}
	named := map[string]*field.Path{}
	for _, p := range all {
		if first, taken := named[p.Name]; taken {
			w.say(p.at, "duplicate port name %q with %s, services and probes that select ports by name will use %s", p.Name, first, first)
		} else if p.Name != "" {
			named[p.Name] = p.at
		}
	}
}

func (w *warner) samePort(p, before placedPort) {
	switch {
	case p.HostPort == before.HostPort && p.HostIP == before.HostIP:
		w.say(p.at, "duplicate port definition with %s", before.at)
	case p.HostPort == 0 || before.HostPort == 0:
		w.say(p.at, "overlapping port definition with %s", before.at)
	case p.HostPort == before.HostPort && (p.HostIP == "" || before.HostIP == ""):
		w.say(p.at, "dangerously ambiguous port definition with %s", before.at)
	}
}
