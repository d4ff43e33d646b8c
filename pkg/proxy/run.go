package proxy

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/daemon"
)

// Command is the proxy's command line.
func Command() *cobra.Command {
	return daemon.Command("proxy", "Carries connections to services to their backends", `The proxy runs on every node. It watches Services and EndpointSlices and keeps the node's kernel
(IPVS or nftables) in step, so that connections to a service's address reach one of its backends.`, DefaultConfig(), Run)
}

// Run proxies until ctx ends. The rules stay when it does, so that a restart cuts no connection.
func Run(ctx context.Context, cfg *Config) error {
	if err := cfg.load(); err != nil {
		return err
	}
	log, err := cfg.Logging.Logger(os.Stderr)
	if err != nil {
		return err
	}
	if len(cfg.unheeded) > 0 {
		log.Info("Fields of the file --config without effect here", "fields", strings.Join(cfg.unheeded, " "))
	}
	if cfg.Cleanup {
		return Cleanup(ctx, cfg)
	}
	options, err := cfg.options()
	if err != nil {
		return err
	}
	if cfg.Node == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("this host's name is unknown (give one with --hostname-override): %w", err)
		}
		cfg.Node = strings.ToLower(host)
	}
	kernel, err := OpenKernel(cfg.Mode, options, cfg.Scheduler, log)
	if err != nil {
		return err
	}
	if err := setting("net/ipv4/ip_forward", "1"); err != nil {
		return err
	}
	rest, err := daemon.ClientConfig(cfg.Kubeconfig, "kube-proxy/sampan")
	if err != nil {
		return err
	}
	client, err := daemon.Connect(ctx, rest)
	if err != nil {
		return err
	}
	registry := daemon.NewMetrics()
	p := New(Options{
		Kernel: kernel, DropStale: dropStale, Node: cfg.Node, Clock: clock.RealClock{}, Log: log,
		Metrics: NewMetrics(registry), Pause: cfg.MinSyncPeriod, Repeat: cfg.SyncPeriod,
	})
	if err := serve(ctx, cfg, p, registry, log); err != nil {
		return err
	}
	if err := follow(ctx, client, p); err != nil {
		return err
	}
	health := &serviceHealth{proxy: p, log: log, open: map[uint16]openPort{}}
	p.onSync = func() { health.update(ctx) }
	return p.Run(ctx)
}

// serve answers at the addresses of health and metrics that are configured.
func serve(ctx context.Context, cfg *Config, p *Proxy, registry *prometheus.Registry, log logr.Logger) error {
	if cfg.HealthAddress != "" {
		if err := serveHTTP(ctx, cfg.HealthAddress, healthHandler(p), log); err != nil {
			return fmt.Errorf("--healthz-bind-address: %w", err)
		}
	}
	if cfg.MetricsAddress != "" {
		if err := serveHTTP(ctx, cfg.MetricsAddress, metricsHandler(cfg, registry), log); err != nil {
			return fmt.Errorf("--metrics-bind-address: %w", err)
		}
	}
	return nil
}

// metricsHandler answers at the address of metrics.
func metricsHandler(cfg *Config, registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	for _, page := range daemon.ZPages("kube-proxy", cfg.flags, clock.RealClock{}, []string{"/flagz", "/healthz", "/metrics", "/proxyMode"}) {
		mux.Handle("/"+page.Name(), page)
	}
	text := func(path, answer string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.Header().Set("X-Content-Type-Options", "nosniff")
			fmt.Fprint(w, answer)
		})
	}
	if cfg.Profiling {
		mux.HandleFunc(daemon.ProfilesPath, daemon.Profiles)
		mux.HandleFunc(daemon.ProfilesPath+"/", daemon.Profiles)
	}
	text("/proxyMode", string(cfg.Mode))
	text("/healthz", "ok")
	return mux
}

// follow feeds the proxy from informers and returns when it has seen every service and slice once.
// Headless services' slices are left out at the source.
func follow(ctx context.Context, client kubernetes.Interface, p *Proxy) error {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(daemon.DropManagedFields),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.LabelSelector = "!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name"
		}))
	services, err := factory.Core().V1().Services().Informer().AddEventHandler(daemon.Handler(p.SetService, p.RemoveService))
	if err != nil {
		return fmt.Errorf("following services: %w", err)
	}
	slices, err := factory.Discovery().V1().EndpointSlices().Informer().AddEventHandler(daemon.Handler(p.SetSlice, p.RemoveSlice))
	if err != nil {
		return fmt.Errorf("following endpoint slices: %w", err)
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), services.HasSynced, slices.HasSynced) {
		return ctx.Err()
	}
	return nil
}
