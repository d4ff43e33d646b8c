package kubelet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/kubelet/certificate"
	"github.com/sampan-project/sampan/pkg/kubelet/config"
	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/hook"
	"github.com/sampan-project/sampan/pkg/kubelet/image"
	"github.com/sampan-project/sampan/pkg/kubelet/logs"
	"github.com/sampan-project/sampan/pkg/kubelet/node"
	"github.com/sampan-project/sampan/pkg/kubelet/object"
	"github.com/sampan-project/sampan/pkg/kubelet/probe"
	"github.com/sampan-project/sampan/pkg/kubelet/runtime"
	"github.com/sampan-project/sampan/pkg/kubelet/source"
	"github.com/sampan-project/sampan/pkg/kubelet/status"
	"github.com/sampan-project/sampan/pkg/kubelet/token"
	"github.com/sampan-project/sampan/pkg/kubelet/volume"
)

// kubelet is the parts put together.
type kubelet struct {
	cfg         *config.Config
	name        string
	ips         []net.IP
	client      kubernetes.Interface // nil: static pods only
	identity    *certificate.Client  // nil like client
	cri         cri.Runtime
	runtimeName string
	clock       clock.WithTicker
	log         logr.Logger

	recorder *recorder
	node     *node.Manager
	objects  object.Objects
	register Registrar
	services *services
	volumes  *volume.Manager
	tokens   *token.Manager
	groups   *groups
	images   *image.Manager
	probes   *probe.Manager
	source   *source.Source
	engine   *Engine
}

// run has all parts work until ctx ends. The containers go on when it does.
func (k *kubelet) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := k.build(ctx); err != nil {
		return err
	}
	port, serving, err := k.serving()
	if err != nil {
		return err
	}
	rotator, err := k.rotator()
	if err != nil {
		return err
	}
	if err := k.engine.Adopt(ctx); err != nil {
		return err
	}
	parts := []func(context.Context){k.engine.Follow, k.engine.Tidy, k.source.Run, k.follow, k.node.Run, rotator.Run, k.awaitRegistration}
	if k.identity != nil {
		parts = append(parts, k.identity.Run)
	}
	if port != nil {
		parts = append(parts, serving.Run, func(ctx context.Context) {
			if err := port.Run(ctx); err != nil {
				cancel(err)
			}
		})
	}
	var all sync.WaitGroup
	for _, part := range parts {
		all.Go(func() { part(ctx) })
	}
	k.log.Info("The kubelet runs", "node", k.name)
	<-ctx.Done()
	all.Wait()
	k.engine.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// rotator keeps the containers' logs from growing without bounds.
func (k *kubelet) rotator() (*logs.Rotator, error) {
	size, err := resource.ParseQuantity(k.cfg.Kubelet.ContainerLogMaxSize)
	if err != nil {
		return nil, fmt.Errorf("containerLogMaxSize: %w", err)
	}
	return logs.NewRotator(logs.RotationConfig{
		Runtime: k.cri, MaxSize: size.Value(), MaxFiles: int(*k.cfg.Kubelet.ContainerLogMaxFiles),
		Interval: k.cfg.Kubelet.ContainerLogMonitorInterval.Duration, Clock: k.clock, Log: k.log,
	}), nil
}

// awaitRegistration has the static pods' mirrors made once there is a node for them.
func (k *kubelet) awaitRegistration(ctx context.Context) {
	ticker := k.clock.NewTicker(sourcesCheck)
	defer ticker.Stop()
	for !k.node.Registered() && k.client != nil {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
	}
	k.source.Poke()
}

// build makes the parts, from those that need none of the others upwards.
func (k *kubelet) build(ctx context.Context) error {
	k.recorder = newRecorder(ctx, k.client, k.name, k.log)
	k.objects, k.register = &object.Fixed{}, nobody{}
	if k.client != nil {
		watched := object.NewWatched(ctx, k.client, func(pods []types.UID) { k.engine.Refresh(pods) })
		k.objects, k.register = watched, watched
		k.services = followServices(ctx, k.client)
		k.tokens = token.New(k.client, k.clock)
	}
	var err error
	if k.node, err = k.newNode(); err != nil {
		return err
	}
	if k.groups, err = newGroups(k); err != nil {
		return err
	}
	limit, err := k.node.PodsLimit()
	if err != nil {
		return err
	}
	if err := k.groups.Setup(limit); err != nil {
		return err
	}
	k.volumes = volume.New(volume.Config{
		Root: k.podsDir(), Objects: k.objects, Tokens: k.tokenSource(), Allocatable: k.node.Allocatable, Clock: k.clock, Log: k.log,
		RecursiveReadOnly: func(p *corev1.Pod) bool { return (&surroundings{k}).recursiveReadOnly(ctx, p) },
	})
	if err := k.volumes.ShareRoot(); err != nil {
		return err
	}
	k.images = image.New(image.Config{Runtime: k.cri, Objects: k.objects, Clock: k.clock, Parallel: k.parallelPulls(), Event: k.recorder.about})
	k.probes = probe.New(probe.Config{
		Exec: k.exec, Clock: k.clock, Log: k.log, Event: k.recorder.about, Changed: func(uid types.UID) { k.engine.Wake(uid) },
	})
	manager := runtime.New(k.runtimeConfig())
	k.engine = NewEngine(ctx, EngineConfig{
		CRI: k.cri, Runtime: manager, Images: k.images, Status: status.New(ctx, k.client, k.clock, k.log),
		Volumes: k.volumes, Objects: k.register, Cgroups: k.groups, Probes: k.probes,
		Node: k.nodeObject, HostIPs: k.hostIPs, RuntimeName: k.runtimeName, MaxDead: int(k.cfg.MaxDeadPerContainer), MaxPods: int64(k.cfg.Kubelet.MaxPods), UnsafeSysctls: k.cfg.Kubelet.AllowedUnsafeSysctls,
		Gone:        func(p *corev1.Pod) { k.gone(p) },
		RoomChanged: k.roomChanged,
		Event:       k.recorder.about, Clock: k.clock, Log: k.log,
	})
	k.source = source.New(source.Config{
		Client: k.client, NodeName: k.name, StaticPath: k.cfg.Kubelet.StaticPodPath, StaticURL: k.cfg.Kubelet.StaticPodURL,
		StaticURLHeader: k.cfg.Kubelet.StaticPodURLHeader, FileCheck: k.cfg.Kubelet.FileCheckFrequency.Duration,
		URLCheck: k.cfg.Kubelet.HTTPCheckFrequency.Duration, Terminating: func(uid types.UID) bool { return k.engine.Has(uid) },
		Clock: k.clock, Log: k.log,
	})
	return nil
}

func (k *kubelet) runtimeConfig() runtime.Config {
	own := &surroundings{k}
	return runtime.Config{
		Runtime: k.cri, Images: k.images, Volumes: k.volumes, Cgroups: k.groups,
		Hooks:   &hook.Runner{Exec: k.exec, Clock: k.clock, Log: k.log, Event: k.recorder.about},
		Network: own.network, Environment: own.environment, Expand: own.expand, Files: own.files, Handler: own.handler,
		PodsDir: k.podsDir(), LogsDir: k.cfg.Kubelet.PodLogsDir, LinksDir: k.cfg.ContainerLogsDir,
		SeccompDir: filepath.Join(k.cfg.RootDir, "seccomp"), SeccompByDefault: *k.cfg.Kubelet.SeccompDefault,
		Made: func(uid types.UID, id string) { k.engine.Own(uid, id) }, Event: k.recorder.about, Clock: k.clock, Log: k.log,
	}
}

func (k *kubelet) podsDir() string { return filepath.Join(k.cfg.RootDir, "pods") }

func (k *kubelet) parallelPulls() int {
	switch {
	case *k.cfg.Kubelet.SerializeImagePulls:
		return 1
	case k.cfg.Kubelet.MaxParallelImagePulls != nil:
		return int(*k.cfg.Kubelet.MaxParallelImagePulls)
	}
	return 0
}

func (k *kubelet) hostIPs() []string {
	out := make([]string, len(k.ips))
	for i, ip := range k.ips {
		out[i] = ip.String()
	}
	return out
}

// exec runs a probe's or a hook's command.
func (k *kubelet) exec(ctx context.Context, id string, cmd []string, timeout time.Duration) ([]byte, int, error) {
	r, err := k.cri.ExecSync(ctx, id, cmd, timeout)
	if err != nil {
		return nil, 0, fmt.Errorf("running a command in the container: %w", err)
	}
	return append(r.GetStdout(), r.GetStderr()...), int(r.GetExitCode()), nil
}

// sourcesCheck is how soon after the last pod was told it is noticed that it was the last.
const sourcesCheck = 100 * time.Millisecond

// follow passes the sources' news to the engine, and ends what belongs to no pod once all of them were heard.
func (k *kubelet) follow(ctx context.Context) {
	ticker := k.clock.NewTicker(sourcesCheck)
	defer ticker.Stop()
	checks := ticker.C()
	for {
		select {
		case <-ctx.Done():
			return
		case u := <-k.source.Updates():
			k.take(u)
		case <-checks:
			if !k.source.Synced() || len(k.source.Updates()) > 0 {
				continue
			}
			ticker.Stop()
			checks = nil
			k.engine.EndOrphans(ctx)
		}
	}
}

func (k *kubelet) take(u source.Update) {
	if u.Deleted {
		k.engine.Delete(u.Pod)
		return
	}
	if !u.Static {
		k.engine.Status.Seen(u.Pod.UID, u.Pod)
	} else if m, ok := k.source.Mirror(u.Pod); ok {
		k.engine.Status.Seen(u.Pod.UID, m)
	} else {
		k.engine.Status.Seen(u.Pod.UID, nil)
	}
	k.engine.Set(u.Pod, u.Static)
}

// gone gives back what is held for a pod beside its containers.
func (k *kubelet) gone(p *corev1.Pod) {
	if k.tokens != nil {
		k.tokens.Forget(p.UID)
	}
	k.source.Poke()
}

// nobody is told of pods where no objects are to be had.
type nobody struct{}

func (nobody) Register(*corev1.Pod) {}

func (nobody) Unregister(types.UID) {}

func secondsOf(n int32) time.Duration { return time.Duration(n) * time.Second }
