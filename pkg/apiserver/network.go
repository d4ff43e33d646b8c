package apiserver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"

	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/sampan-project/sampan/pkg/apiserver/advertise"
	"github.com/sampan-project/sampan/pkg/apiserver/allocation"
)

// network sets up what gives services their addresses and ports, and what leads to this server.
func (s *Server) network() error {
	ports, err := allocation.ParsePortRange(s.cfg.NodePortRange)
	if err != nil {
		return fmt.Errorf("--service-node-port-range: %w", err)
	}
	s.allocator = allocation.New(allocation.Config{
		Access: s.registry, Families: allocation.Families(s.networks), NodePorts: ports,
		Random: rand.Uint64N, Now: s.clock.Now, Log: s.log.WithName("allocation"),
	})
	address, err := netip.ParseAddr(s.cfg.Advertise)
	if err != nil {
		return fmt.Errorf("--advertise-address: %w", err)
	}
	_, text, err := net.SplitHostPort(s.Address())
	if err != nil {
		return fmt.Errorf("reading the own address %q: %w", s.Address(), err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("reading the own port %q: %w", text, err)
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("reading the host's name: %w", err)
	}
	s.advertiser = advertise.New(advertise.Config{
		Access: s.registry, Networks: s.networks, Address: address, Port: port, Host: host, Process: string(uuid.NewUUID()), Clock: s.clock,
		Log: s.log.WithName("advertise"),
	})
	return nil
}

// bootNetwork makes what must exist before services can be used.
func (s *Server) bootNetwork(ctx context.Context) error {
	if err := s.advertiser.EnsureNetwork(ctx); err != nil {
		return err
	}
	if err := s.allocator.Repair(ctx); err != nil {
		// One service that is wrong must not keep the server from serving the others.
		s.log.Error(err, "Repairing the addresses and ports of services; will be tried again")
	}
	err := s.advertiser.Reconcile(ctx)
	if errors.Is(err, advertise.ErrAddress) {
		// Endpoints may not name every address: a server advertised at loopback, as test environments do it,
		// serves its clients, though no pod finds it through the Service.
		s.log.Error(err, "The Service kubernetes will not lead to this server; --advertise-address names another address")
	} else if errors.Is(err, advertise.ErrLease) {
		// An etcd without space takes no lease, and is still read and emptied through this server.
		s.log.Error(err, "The Service kubernetes may not lead to this server; will be tried again")
	} else if err != nil {
		return err
	}
	if err := s.advertiser.Identify(ctx); err != nil {
		// Not every host has a name that a label can hold, and the server is found without it.
		s.log.Error(err, "Telling this server's identity; will be tried again")
	}
	return nil
}

// keepNetwork goes on with it until ctx ends.
func (s *Server) keepNetwork(ctx context.Context) {
	select {
	case <-s.ready:
	case <-ctx.Done():
		return
	}
	go s.allocator.RepairAlways(ctx, s.clock)
	s.advertiser.Run(ctx)
}
