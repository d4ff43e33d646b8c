// Package apiserver is the one door of a cluster: here storage, rules, verbs and guards are put together into
// a server of the Kubernetes API. What each of them does stands in the packages below.
package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/advertise"
	"github.com/sampan-project/sampan/pkg/apiserver/allocation"
	"github.com/sampan-project/sampan/pkg/apiserver/apiservices"
	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/bootstrapobjects"
	"github.com/sampan-project/sampan/pkg/apiserver/discovery"
	"github.com/sampan-project/sampan/pkg/apiserver/endpoint"
	"github.com/sampan-project/sampan/pkg/apiserver/flowstatus"
	"github.com/sampan-project/sampan/pkg/apiserver/guard"
	"github.com/sampan-project/sampan/pkg/apiserver/h2"
	"github.com/sampan-project/sampan/pkg/apiserver/kinds"
	"github.com/sampan-project/sampan/pkg/apiserver/openapi"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/resources"
	"github.com/sampan-project/sampan/pkg/apiserver/serviceaccount"
	"github.com/sampan-project/sampan/pkg/apiserver/storage"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
	"github.com/sampan-project/sampan/pkg/daemon"
)

// root is the prefix of every key.
const root = "/registry/"

// drainFor is how long requests that run when the server is told to stop may go on.
const drainFor = 10 * time.Second

// garbage is when garbage is collected. Most of what an apiserver has in use are bytes without pointers, which cost
// the collector nothing; what the choice costs and saves stands in docs/performance.md.
var garbage = daemon.Garbage{Percent: 50, Room: 32 << 20, Often: time.Second}

// Command is the apiserver's command line.
func Command() *cobra.Command {
	cfg := DefaultConfig()
	cmd := &cobra.Command{
		Use:   "apiserver",
		Short: "Serves the Kubernetes API",
		Long: `The apiserver is the one door to the cluster: it authenticates, authorizes, admits and validates
every request, and keeps all objects in etcd, one of its own under --data-dir or that of --etcd-servers.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := cfg.Logging.Logger(os.Stderr)
			if err != nil {
				return err
			}
			for _, w := range cfg.warnings() {
				log.Info(w)
			}
			garbage.Keep(clock.RealClock{})
			return Run(cmd.Context(), cfg, log)
		},
	}
	cfg.AddFlags(cmd.Flags())
	return cmd
}

// Run serves until ctx ends.
func Run(ctx context.Context, cfg *Config, log logr.Logger) error {
	s, err := New(ctx, cfg, log)
	if err != nil {
		return err
	}
	return s.Serve(ctx)
}

// Server is one apiserver. New takes its port and opens its storage, Serve answers.
type Server struct {
	cfg      *Config
	log      logr.Logger
	clock    clock.WithTicker
	listener net.Listener
	tls      *tls.Config
	etcd     storage.Interface
	closing  func() // stops what follows the cluster, before the storage closes

	cache     *watchcache.Cache
	registry  *resource.Registry
	endpoint  *endpoint.Handler
	discovery *discovery.Handler
	openapi   *openapi.Handler
	guard     *guard.Guard
	health    daemon.Health
	metrics   *resettable
	served    *servedMetrics
	networks  []netip.Prefix

	allocator  *allocation.Allocator
	advertiser *advertise.Advertiser

	apiServices *apiservices.Keeper

	booted atomic.Bool
	ready  chan struct{}
}

// New takes the port, opens the storage and reads it. What it started ends with ctx; where it answers an
// error nothing is left running.
func New(ctx context.Context, cfg *Config, log logr.Logger) (_ *Server, err error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: log, clock: clock.RealClock{}, metrics: &resettable{Registry: daemon.NewMetrics()}, ready: make(chan struct{})}
	if s.networks, err = cfg.serviceNetworks(); err != nil {
		return nil, err
	}
	if err := s.listen(); err != nil {
		return nil, err
	}
	ctx, s.closing = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if err := s.assemble(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Address is where the server listens.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Ready is closed once everything that must exist in a cluster was made.
func (s *Server) Ready() <-chan struct{} { return s.ready }

func (s *Server) close() {
	s.closing()
	_ = s.listener.Close()
	if s.etcd != nil {
		if err := s.etcd.Close(); err != nil {
			s.log.Error(err, "Closing etcd")
		}
	}
}

// listen takes the port first: a second server must not touch the data of the first.
func (s *Server) listen() error {
	address := net.JoinHostPort(s.cfg.BindAddress, strconv.Itoa(s.cfg.Port))
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("the port is not to be had (is another server running there? --secure-port and --bind-address choose another): %w", err)
	}
	s.listener = l
	if s.tls, err = s.cfg.serving(l.Addr(), s.networks, s.clock.Now()); err != nil {
		_ = l.Close()
		return err
	}
	return nil
}

// open connects to etcd, or starts one in the process, and reads it.
func (s *Server) open(ctx context.Context) error {
	var etcd *storage.Etcd
	var err error
	if len(s.cfg.Etcd.Endpoints) > 0 {
		etcd, err = storage.Dial(s.cfg.Etcd, s.log)
	} else {
		etcd, err = storage.Embedded(ctx, s.cfg.DataDir, s.cfg.EtcdListen, s.log)
	}
	if err != nil {
		return err
	}
	s.etcd = etcd
	if s.cfg.Compaction > 0 {
		go etcd.CompactEvery(ctx, s.cfg.Compaction)
	}
	s.cache = watchcache.New(watchcache.Config{Store: etcd, Root: root, Clock: s.clock, Log: s.log})
	return nil
}

// assemble puts the parts together: resources, who may do what, and what the paths are.
func (s *Server) assemble(ctx context.Context) error {
	s.registry = resource.NewRegistry(s.etcd, s.cache, s.clock)
	s.endpoint = endpoint.NewHandler()
	if err := s.network(); err != nil {
		return err
	}
	types := openapi.NewBuiltInTypes(kinds.Scheme())
	add := func(r *resource.Resource) {
		store := s.registry.Add(r, types.Of(r))
		if r.Internal {
			return
		}
		s.endpoint.Add(endpoint.NewServed(store, nil, s.clock))
		for i := range r.Views {
			s.endpoint.Add(endpoint.NewServed(store, &r.Views[i], s.clock))
		}
	}
	tokens, permission := &serviceaccount.Requests{}, &authz.Later{}
	add(allocation.NodePorts())
	add(advertise.Leases())
	streams, err := s.streams()
	if err != nil {
		return err
	}
	for _, r := range resources.All(resources.Deps{
		Access: s.registry, Clock: s.clock, Allocator: s.allocator, EventTTL: s.cfg.EventTTL, Tokens: tokens, Authorizer: permission, ResourceOf: s.registry.ResourceOf, Components: s.components(),
		AllowPrivileged: s.cfg.AllowPrivileged,
		PodStreams:      streams.Pods(), NodeStreams: streams.Nodes(), ServiceStreams: streams.Services(),
	}) {
		add(r)
	}
	go func() {
		if err := s.cache.Run(ctx); err != nil && ctx.Err() == nil {
			s.log.Error(err, "Following etcd ended")
		}
	}()
	select {
	case <-s.cache.Synced():
	case <-ctx.Done():
		return ctx.Err()
	}
	s.guard, err = guard.New(ctx, guard.Config{
		Options: s.cfg.Guard, Access: s.registry, Kinds: s.registry, Tokens: tokens, CertDir: s.cfg.CertDir, ExternalURL: "https://" + s.externalAddress(),
		Metrics: s.metrics, Now: s.clock.Now, Log: s.log,
	})
	if err != nil {
		return err
	}
	permission.Authorizer = s.guard.Authz
	for _, r := range s.guard.Resources() {
		add(r)
	}
	s.endpoint.Admission = s.guard.Admission
	if err := s.describe(); err != nil {
		return err
	}
	return s.customResources(ctx)
}

// describe sets up discovery, OpenAPI, metrics and health.
func (s *Server) describe() error {
	var versions []schema.GroupVersion
	for _, v := range s.endpoint.All() {
		versions = append(versions, v.Kind.GroupVersion())
	}
	priorities, err := bootstrapobjects.GroupPriorities(versions)
	if err != nil {
		return err
	}
	var locals []apiservices.Local
	for _, p := range priorities {
		locals = append(locals, apiservices.Local(p))
	}
	s.apiServices = apiservices.New(apiservices.Config{
		Access: s.registry, Locals: locals, Clock: s.clock, Log: s.log.WithName("apiservices"),
		Changed: func() { s.discovery.Changed() },
	})
	s.discovery = discovery.New(s.endpoint.All, s.apiServices.GroupPriority, s.externalAddress())
	s.openapi = openapi.New(s.endpoint.All, kinds.Scheme(), s.clock.Now())
	s.served = newServedMetrics(s.metrics, s.endpoint.Find, s.clock)
	s.metrics.MustRegister(newStored(s.endpoint.All, s.etcd.Size, s.log))
	s.health.AddLive(daemon.Ping, daemon.Check{Name: "etcd", Check: s.etcd.Healthy})
	s.health.AddReady(daemon.Check{Name: "poststarthook/bootstrap", Check: func(context.Context) error {
		if !s.booted.Load() {
			return errors.New("not finished")
		}
		return nil
	}})
	return nil
}

// externalAddress is where others reach this server.
func (s *Server) externalAddress() string {
	_, port, _ := net.SplitHostPort(s.Address())
	return net.JoinHostPort(s.cfg.Advertise, port)
}

// Serve answers requests until ctx ends, lets those that run finish, and closes the storage.
func (s *Server) Serve(ctx context.Context) error {
	defer s.close()
	stopping, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	server := newHTTPServer(s.handler(stopping))
	server.TLSConfig, server.ErrorLog = s.tls, daemon.QuietLog(s.log)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		s.log.Info("Serving", "address", s.Address())
		if err := server.ServeTLS(s.listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving: %w", err)
		}
		return nil
	})
	g.Go(func() error { return s.boot(gctx) })
	g.Go(func() error { s.keepNetwork(gctx); return nil })
	g.Go(s.onceBooted(gctx, s.apiServices.Run))
	g.Go(s.onceBooted(gctx, func(ctx context.Context) error {
		return flowstatus.Keep(ctx, s.registry, s.clock.Now, s.log.WithName("flowstatus"))
	}))
	g.Go(func() error {
		<-gctx.Done()
		stop() // watches and streams end at once
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
		defer cancel()
		if err := server.Shutdown(drain); err != nil {
			return server.Close()
		}
		return nil
	})
	return g.Wait()
}

// newHTTPServer gives HTTP kube-apiserver's bounds. A connection has as many streams as clients assume before
// they are told; Go's server closes one on which far more than that are begun and given up.
func newHTTPServer(h http.Handler) *http.Server {
	const streams, buffer = 100, 256 << 10
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 32 * time.Second, IdleTimeout: 90 * time.Second, MaxHeaderBytes: 1 << 20,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: streams, MaxReceiveBufferPerStream: buffer, MaxReceiveBufferPerConnection: streams * buffer},
	}
	h2.Configure(s)
	return s
}

// onceBooted runs what looks at objects when those that must exist were made.
func (s *Server) onceBooted(ctx context.Context, run func(context.Context) error) func() error {
	return func() error {
		select {
		case <-s.ready:
			return run(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// boot makes what must exist, until it succeeds.
func (s *Server) boot(ctx context.Context) error {
	for {
		g, gctx := errgroup.WithContext(ctx)
		g.Go(func() error { return s.guard.Bootstrap(gctx) })
		g.Go(func() error { return s.apiServices.EnsureLocals(gctx) })
		g.Go(func() error { return s.bootNetwork(gctx) })
		err := g.Wait()
		if err == nil {
			s.booted.Store(true)
			close(s.ready)
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
		s.log.Error(err, "Making what a cluster begins with; will be tried again")
		select {
		case <-ctx.Done():
			return nil
		case <-s.clock.After(time.Second):
		}
	}
}
