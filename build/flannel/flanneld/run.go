package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flannel-io/flannel/pkg/backend"
	"github.com/flannel-io/flannel/pkg/ip"
	"github.com/flannel-io/flannel/pkg/ipmatch"
	"github.com/flannel-io/flannel/pkg/subnet"
	"github.com/flannel-io/flannel/pkg/subnet/kube"
	"github.com/flannel-io/flannel/pkg/trafficmngr/nftables"
	"k8s.io/klog/v2"
)

// run connects this node and keeps it connected until the context ends. Routes and rules stay then: pods go
// on reaching each other while flanneld is replaced.
func run(ctx context.Context, o options) error {
	ctx, cancel := context.WithCancel(ctx)
	var ready atomic.Bool
	var work sync.WaitGroup
	defer func() { cancel(); work.Wait() }()
	if o.healthzPort != 0 {
		if err := serveHealth(ctx, net.JoinHostPort(o.healthzIP, strconv.Itoa(o.healthzPort)), &ready, &work); err != nil {
			return err
		}
	}
	manager, err := kube.NewSubnetManager(ctx, o.apiURL, o.kubeconfig, o.annotationPrefix, o.netConf, o.setNetworkUnavailable)
	if err != nil {
		return fmt.Errorf("reading this node's subnet from the apiserver: %w", err)
	}
	config, err := manager.GetNetworkConfig(ctx)
	if err != nil {
		return fmt.Errorf("reading %s: %w", o.netConf, err)
	}
	if err := supported(config); err != nil {
		return fmt.Errorf("%s: %w", o.netConf, err)
	}
	network, err := register(ctx, o, manager, config, &work)
	if err != nil {
		return err
	}
	if err := filter(ctx, o, config, network); err != nil {
		return err
	}
	lease := network.Lease()
	if err := manager.HandleSubnetFile(o.subnetFile, config, o.masquerade, lease.Subnet, lease.IPv6Subnet, network.MTU()); err != nil {
		return fmt.Errorf("telling the network plugin about this node's subnet: %w", err)
	}
	work.Go(func() { network.Run(ctx) })
	if err := manager.CompleteLease(ctx, lease, &work); err != nil {
		return fmt.Errorf("telling the apiserver that the network is up: %w", err)
	}
	ready.Store(true)
	klog.InfoS("The node is connected", "backend", config.BackendType, "subnet", lease.Subnet.String())
	<-ctx.Done()
	return nil
}

func supported(config *subnet.Config) error {
	if !config.EnableNFTables {
		return errors.New("this build makes its rules with nftables: set \"EnableNFTables\": true")
	}
	return nil
}

// register makes the chosen backend connect this node by the interface that leads to the others.
func register(ctx context.Context, o options, manager subnet.Manager, config *subnet.Config, work *sync.WaitGroup) (backend.Network, error) {
	iface, err := outside(ctx, o, manager, config)
	if err != nil {
		return nil, fmt.Errorf("finding the interface that leads to the other nodes: %w: name it with --iface", err)
	}
	chosen, err := backend.NewManager(ctx, manager, iface).GetBackend(config.BackendType)
	if err != nil {
		return nil, fmt.Errorf("starting the backend %s: %w", config.BackendType, err)
	}
	network, err := chosen.RegisterNetwork(ctx, work, config)
	if err != nil {
		return nil, fmt.Errorf("connecting the node by %s: %w", config.BackendType, err)
	}
	return network, nil
}

func outside(ctx context.Context, o options, manager subnet.Manager, config *subnet.Config) (*backend.ExternalInterface, error) {
	family, err := ipmatch.GetIPFamily(config.EnableIPv4, config.EnableIPv6)
	if err != nil {
		return nil, err
	}
	public := ipmatch.PublicIPOpts{PublicIP: o.publicIP, PublicIPv6: o.publicIPv6}
	v4, v6 := manager.GetStoredPublicIP(ctx) // what an administrator wrote on the node comes first
	if v4 != "" {
		public.PublicIP = v4
	}
	if v6 != "" {
		public.PublicIPv6 = v6
	}
	if len(o.interfaces) == 0 {
		return ipmatch.LookupExtIface(cmp.Or(public.PublicIP, public.PublicIPv6), "", "", family, public)
	}
	var missing []error
	for _, name := range o.interfaces {
		found, err := ipmatch.LookupExtIface(name, "", "", family, public)
		if err == nil {
			return found, nil
		}
		missing = append(missing, err)
	}
	return nil, errors.Join(missing...)
}

// filter makes the rules that let the network's packets through and hide its addresses from outside.
func filter(ctx context.Context, o options, config *subnet.Config, network backend.Network) error {
	const resync = 5 // seconds; nftables' rules need none
	var rules nftables.NFTablesManager
	if err := rules.Init(ctx); err != nil {
		return err
	}
	if o.masquerade {
		err := rules.SetupAndEnsureMasqRules(ctx, config.Network, ip.IP4Net{}, ip.IP4Net{}, config.IPv6Network, ip.IP6Net{}, ip.IP6Net{},
			network.Lease(), resync, o.randomiseNone)
		if err != nil {
			return err
		}
	}
	if o.forward {
		rules.SetupAndEnsureForwardRules(ctx, config.Network, config.IPv6Network, resync)
	}
	return nil
}

// serveHealth says that flanneld lives, and whether the node is connected.
func serveHealth(ctx context.Context, address string, ready *atomic.Bool, work *sync.WaitGroup) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("serving health: %w: choose another --healthz-port", err)
	}
	server := &http.Server{Handler: health(ready), ReadHeaderTimeout: 10 * time.Second}
	work.Go(func() { _ = server.Serve(listener) }) // ends with the context
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return nil
}

func health(ready *atomic.Bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			http.Error(w, "the node is not yet connected", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}
