package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/daemon"
	"github.com/sampan-project/sampan/pkg/scheduler/plugins"
)

// Command is the scheduler's command line.
func Command() *cobra.Command {
	return daemon.Command("scheduler", "Gives every pod a node", `The scheduler watches for pods that have no node, finds the best node for each (filter, score,
reserve, permit, bind) and binds it. One of several replicas works at a time.`, DefaultConfig(), Run)
}

// Run schedules until ctx ends or leadership is lost.
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
	rest, err := daemon.ClientConfig(cfg.Kubeconfig, "kube-scheduler/sampan")
	if err != nil {
		return err
	}
	client, err := daemon.Connect(ctx, rest)
	if err != nil {
		return err
	}
	profiles, err := cfg.buildProfiles(binder(client))
	if err != nil {
		return err
	}
	registry := daemon.NewMetrics()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var learning atomic.Bool
	health := cfg.health(ctx, &learning)
	if err := cfg.Serving.Start(ctx, log, client, health, registry); err != nil {
		return err
	}
	return cfg.LeaderElection.Run(ctx, client, func(ctx context.Context) error {
		learning.Store(true)
		broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()})
		defer broadcaster.Shutdown()
		if err := broadcaster.StartRecordingToSinkWithContext(ctx); err != nil {
			return fmt.Errorf("starting to record events: %w", err)
		}
		s := New(Options{
			Profiles: profiles, Percent: cfg.Percent, InitialBackoff: cfg.InitialBackoff, MaxBackoff: cfg.MaxBackoff,
			Clock: clock.RealClock{}, Rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), Log: log,
			Events: recorders(broadcaster, profiles), Status: statusWriter(client), Metrics: NewMetrics(registry),
		})
		s.metrics.observeQueue(registry, s.queue)
		if err := follow(ctx, client, s); err != nil {
			return err
		}
		learning.Store(false)
		return s.Run(ctx)
	})
}

// health are kube-scheduler's checks: it is not ready while it learns what the cluster has, nor when it ends. One that
// waits to lead has nothing to learn yet.
func (c *Config) health(ctx context.Context, learning *atomic.Bool) *daemon.Health {
	h := &daemon.Health{}
	h.Add(daemon.Healthz, c.LeaderElection.Checks()...)
	h.AddReady(c.LeaderElection.Checks()...)
	h.AddReady(daemon.Check{Name: "shutdown", Check: func(context.Context) error {
		if ctx.Err() != nil {
			return errors.New("process is shutting down")
		}
		return nil
	}}, daemon.Check{Name: "sched-handler-sync", Check: func(context.Context) error {
		if learning.Load() {
			return errors.New("handlers are not fully synchronized")
		}
		return nil
	}})
	return h
}

// recorders gives each profile's events its schedulerName as their reporter.
func recorders(b events.EventBroadcaster, profiles []plugins.Profile) func(string) events.EventRecorder {
	byName := map[string]events.EventRecorder{}
	for _, p := range profiles {
		byName[p.SchedulerName] = b.NewRecorder(scheme.Scheme, p.SchedulerName)
	}
	return func(name string) events.EventRecorder { return byName[name] }
}

// binder writes bindings through the pods/binding subresource.
func binder(client kubernetes.Interface) plugins.Binder {
	return func(ctx context.Context, b *corev1.Binding) error {
		return client.CoreV1().Pods(b.Namespace).Bind(ctx, b, metav1.CreateOptions{})
	}
}

// statusWriter patches the pod's PodScheduled condition alone, so that it needs no resourceVersion.
func statusWriter(client kubernetes.Interface) StatusWriter {
	return func(ctx context.Context, pod *corev1.Pod, c corev1.PodCondition) error {
		patch, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"uid": pod.UID},
			"status":   map[string]any{"conditions": []corev1.PodCondition{c}},
		})
		if err != nil {
			return fmt.Errorf("encoding a pod condition: %w", err)
		}
		_, err = client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		return err
	}
}

// follow feeds the scheduler from informers and returns when it has seen the whole cluster once. Finished
// pods are left out at the source.
func follow(ctx context.Context, client kubernetes.Interface, s *Scheduler) error {
	running := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(daemon.DropManagedFields),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.AndSelectors(
				fields.OneTermNotEqualSelector("status.phase", string(corev1.PodSucceeded)),
				fields.OneTermNotEqualSelector("status.phase", string(corev1.PodFailed))).String()
		}))
	all := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(daemon.DropManagedFields))
	nodes, err := all.Core().V1().Nodes().Informer().AddEventHandler(daemon.Handler(s.SetNode, s.RemoveNode))
	if err != nil {
		return fmt.Errorf("following nodes: %w", err)
	}
	pods, err := running.Core().V1().Pods().Informer().AddEventHandler(daemon.Handler(s.SetPod, s.RemovePod))
	if err != nil {
		return fmt.Errorf("following pods: %w", err)
	}
	all.Start(ctx.Done())
	running.Start(ctx.Done())
	if !toolscache.WaitForCacheSync(ctx.Done(), nodes.HasSynced, pods.HasSynced) {
		return ctx.Err()
	}
	return nil
}
