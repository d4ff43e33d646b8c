package kubelet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listerscorev1 "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/sampan-project/sampan/pkg/daemon"
	"github.com/sampan-project/sampan/pkg/kubelet/cri"
	"github.com/sampan-project/sampan/pkg/kubelet/dns"
	"github.com/sampan-project/sampan/pkg/kubelet/environment"
	"github.com/sampan-project/sampan/pkg/kubelet/runtime"
	"github.com/sampan-project/sampan/pkg/kubelet/source"
	"github.com/sampan-project/sampan/pkg/kubelet/volume"
)

// surroundings are what a container finds around it.
type surroundings struct{ *kubelet }

func (s *surroundings) network(p *corev1.Pod, warn func(reason, message string)) (runtime.Network, error) {
	cfg := &s.cfg.Kubelet
	resolver, warnings, err := dns.Config(p, dns.Node{
		ClusterDNS: cfg.ClusterDNS, ClusterDomain: cfg.ClusterDomain, ResolvConf: *cfg.ResolverConfig, HostIPs: s.hostIPs(),
	})
	if err != nil {
		return runtime.Network{}, err
	}
	for _, w := range warnings {
		if warn != nil {
			warn(w.Reason, w.Message)
		}
	}
	hostname, domain, err := dns.Hostname(p, cfg.ClusterDomain)
	if err != nil {
		return runtime.Network{}, err
	}
	kernel, err := dns.KernelHostname(p, hostname, domain)
	if err != nil {
		return runtime.Network{}, err
	}
	return runtime.Network{DNS: resolver, Hostname: kernel}, nil
}

// servicesWait is how long the first container waits for the list of services.
const servicesWait = 5 * time.Second

func (s *surroundings) environment(ctx context.Context, p *corev1.Pod, c *corev1.Container) ([]*cri.KeyValue, error) {
	in := environment.Input{
		Pod: p, Container: c, Objects: s.objects, Allocatable: s.node.Allocatable(), EnvFile: s.volumes.EnvFile(p),
		Warn: func(reason, message string) {
			s.recorder.about(p, c.Name, corev1.EventTypeWarning, reason, message)
		},
	}
	// The apiserver may be one of the node's static pods: none of them waits for it.
	if s.services != nil && (!source.IsStatic(p) || s.services.synced()) {
		var err error
		if in.Services, err = s.services.of(ctx, p.Namespace); err != nil {
			return nil, err
		}
	}
	return environment.Build(ctx, in)
}

func (s *surroundings) expand(command, args []string, env []*cri.KeyValue) ([]string, []string) {
	return environment.Expand(command, args, env)
}

// files are /etc/hosts and the termination log.
func (s *surroundings) files(p *corev1.Pod, c *corev1.Container, podDir string) ([]*cri.Mount, error) {
	var out []*cri.Mount
	hostname, domain, err := dns.Hostname(p, s.cfg.Kubelet.ClusterDomain)
	if err != nil {
		return nil, err
	}
	var nodeFile []byte
	if p.Spec.HostNetwork {
		if nodeFile, err = os.ReadFile("/etc/hosts"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("reading the node's hosts file: %w", err)
		}
	}
	ips := make([]string, 0, len(p.Status.PodIPs))
	for _, ip := range p.Status.PodIPs {
		ips = append(ips, ip.IP)
	}
	hosts, err := environment.HostsMount(podDir, c, environment.HostsFile(p, hostname, domain, ips, nodeFile))
	if err != nil {
		return nil, err
	}
	if hosts != nil {
		out = append(out, hosts)
	}
	var random [4]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fmt.Errorf("drawing a name for the termination log: %w", err)
	}
	log, err := environment.TerminationLog(podDir, c, random)
	if err != nil {
		return nil, err
	}
	if log != nil {
		out = append(out, log)
	}
	return out, nil
}

// handler asks the apiserver how the runtime calls a RuntimeClass.
func (s *surroundings) handler(ctx context.Context, class string) (string, error) {
	if s.client == nil {
		return "", fmt.Errorf("the RuntimeClass %q is not known without an apiserver", class)
	}
	rc, err := s.client.NodeV1().RuntimeClasses().Get(ctx, class, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("looking up the RuntimeClass %q: %w", class, err)
	}
	return rc.Handler, nil
}

// recursiveReadOnly says whether the runtime can make all that is mounted below a pod's mounts read-only. What cannot
// be asked counts as no.
func (s *surroundings) recursiveReadOnly(ctx context.Context, p *corev1.Pod) bool {
	handler := ""
	if class := p.Spec.RuntimeClassName; class != nil && *class != "" {
		var err error
		if handler, err = s.handler(ctx, *class); err != nil {
			s.log.Error(err, "Asking what a pod's runtime can do", "pod", p.Namespace+"/"+p.Name)
			return false
		}
	}
	return s.node.RecursiveReadOnly(handler)
}

// services are the cluster's, as far as pods are told of them.
type services struct {
	lister listerscorev1.ServiceLister
	synced cache.InformerSynced
}

func followServices(ctx context.Context, client kubernetes.Interface) *services {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(daemon.DropManagedFields))
	s := factory.Core().V1().Services()
	out := &services{lister: s.Lister(), synced: s.Informer().HasSynced}
	factory.Start(ctx.Done())
	return out
}

// of are the services that a pod of a namespace is told of.
func (s *services) of(ctx context.Context, namespace string) ([]*corev1.Service, error) {
	ctx, cancel := context.WithTimeout(ctx, servicesWait)
	defer cancel()
	if !s.synced() && !cache.WaitForCacheSync(ctx.Done(), s.synced) {
		return nil, errors.New("services have not yet been read at least once, cannot construct envvars")
	}
	list, err := s.lister.Services(namespace).List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("listing services: %w", err)
	}
	if namespace != metav1.NamespaceDefault {
		if master, err := s.lister.Services(metav1.NamespaceDefault).Get("kubernetes"); err == nil {
			list = append(list, master)
		}
	}
	return list, nil
}

// tokenSource answers requests for tokens, in a way that a kubelet without an apiserver can too.
func (k *kubelet) tokenSource() volume.Tokens {
	if k.tokens == nil {
		return noTokens{}
	}
	return k.tokens
}

type noTokens struct{}

func (noTokens) Token(context.Context, string, string, *authenticationv1.TokenRequest) (*authenticationv1.TokenRequest, error) {
	return nil, errors.New("there are no service account tokens without an apiserver")
}

func (noTokens) RefreshAt(string, string, *authenticationv1.TokenRequest) time.Time {
	return time.Time{}
}

func (noTokens) Forget(types.UID) {}
