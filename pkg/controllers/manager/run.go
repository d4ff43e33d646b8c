package manager

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/controller"
	"github.com/sampan-project/sampan/pkg/controllers"
	"github.com/sampan-project/sampan/pkg/daemon"
)

// Command is the controller-manager's command line.
func Command() *cobra.Command {
	return daemon.Command("controller-manager", "Moves the cluster from what it is to what it should be", `The controller-manager runs the controllers: loops that compare what the apiserver says should be with what is,
and take the next step. One of several replicas works at a time.`, DefaultConfig(), Run)
}

// Run works until ctx ends or leadership is lost.
func Run(ctx context.Context, cfg *Config) error {
	list, err := selected(controllers.All(), cfg.Controllers)
	if err != nil {
		return err
	}
	log, err := cfg.Logging.Logger(os.Stderr)
	if err != nil {
		return err
	}
	if flags := cfg.withoutEffect(); len(flags) > 0 {
		log.Info("Flags without effect here", "flags", strings.Join(flags, " "))
	}
	config, err := daemon.ClientConfig(cfg.Kubeconfig, "kube-controller-manager/sampan")
	if err != nil {
		return err
	}
	if cfg.Master != "" {
		config.Host = cfg.Master
	}
	cfg.Server = config.TLSClientConfig
	client, err := daemon.Connect(ctx, config)
	if err != nil {
		return err
	}
	registry := daemon.NewMetrics()
	metrics := controller.NewQueueMetrics(registry)
	var health daemon.Health
	health.Add(daemon.Healthz, cfg.LeaderElection.Checks()...)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := cfg.Serving.Start(ctx, log, client, &health, registry); err != nil {
		return err
	}
	return cfg.LeaderElection.Run(ctx, client, func(ctx context.Context) error {
		return work(ctx, &manager{cfg: cfg, log: log, rest: config, client: client, metrics: metrics, health: &health, clock: clock.RealClock{}}, list)
	})
}

type manager struct {
	cfg     *Config
	log     logr.Logger
	rest    *rest.Config
	client  kubernetes.Interface
	metrics *controller.QueueMetrics
	health  *daemon.Health
	clock   clock.WithTicker
}

// started has /healthz name a controller that runs; it has no health of its own.
func (m *manager) started(d controllers.Descriptor) {
	m.health.Add(daemon.Healthz, daemon.Check{Name: d.Name, Check: daemon.Ping.Check})
}

// work runs the controllers, all on one set of caches.
func work(ctx context.Context, m *manager, list []controllers.Descriptor) error {
	factory := informers.NewSharedInformerFactoryWithOptions(m.client, 0, informers.WithTransform(controller.Trim))
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&corev1client.EventSinkImpl{Interface: m.client.CoreV1().Events("")})
	defer broadcaster.Shutdown()
	var all controller.Group
	for _, d := range list {
		config := m.rest
		if m.cfg.AccountPerControl && d.Account != "" {
			config = asAccount(m.rest, m.client, "kube-system", d.Account, m.clock)
		}
		env, err := m.env(config, d, factory, broadcaster)
		if err != nil {
			return err
		}
		runner, err := d.New(env, &m.cfg.Config)
		if err != nil {
			return fmt.Errorf("starting %s: %w", d.Name, err)
		}
		if runner == nil {
			m.log.V(1).Info("Not configured, not started", "controller", d.Name)
			continue
		}
		all = append(all, runner)
		m.started(d)
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	m.log.Info("Controllers started", "count", len(all))
	return all.Run(ctx)
}

func (m *manager) env(config *rest.Config, d controllers.Descriptor, factory informers.SharedInformerFactory, broadcaster record.EventBroadcaster) (*controller.Env, error) {
	config = rest.CopyConfig(config)
	config.UserAgent += "/" + cmp.Or(d.Account, d.Name)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making the client of %s: %w", d.Name, err)
	}
	meta, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making the metadata client of %s: %w", d.Name, err)
	}
	return &controller.Env{
		Client: client, Metadata: meta, Informers: factory, Clock: m.clock, Log: m.log, Metrics: m.metrics,
		Events: func(component string) record.EventRecorder {
			return broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: component})
		},
	}, nil
}
