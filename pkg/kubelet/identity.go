package kubelet

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/kubernetes"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"

	"github.com/sampan-project/sampan/pkg/daemon"
	"github.com/sampan-project/sampan/pkg/kubelet/certificate"
	"github.com/sampan-project/sampan/pkg/kubelet/server"
	"github.com/sampan-project/sampan/pkg/kubelet/stats"
)

// connect makes the client of the apiserver, asking for an identity first where there is none yet. Without
// a kubeconfig the kubelet stands alone.
func (k *kubelet) connect(ctx context.Context) error {
	if k.cfg.Kubeconfig == "" {
		k.log.Info("No --kubeconfig is given: only static pods run")
		return nil
	}
	identity, err := certificate.NewClient(ctx, certificate.ClientConfig{
		NodeName: k.name, Kubeconfig: k.cfg.Kubeconfig, BootstrapKubeconfig: k.cfg.BootstrapKubeconfig, CertDir: k.cfg.CertDir,
		Rotate: k.cfg.Kubelet.RotateCertificates, UserAgent: "kubelet/sampan", Clock: k.clock, Log: k.log,
	})
	if err != nil {
		return err
	}
	rest := identity.REST()
	rest.ContentType = "application/vnd.kubernetes.protobuf"
	rest.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	rest.QPS = -1 // the apiserver has its own limits
	if k.client, err = kubernetes.NewForConfig(rest); err != nil {
		return fmt.Errorf("making the client of the apiserver: %w", err)
	}
	k.identity = identity
	return nil
}

// auth says who may use the kubelet's port.
func (k *kubelet) auth() (*daemon.Delegated, error) {
	cfg := &k.cfg.Kubelet
	auth := &daemon.Delegated{
		Client: k.client, Anonymous: *cfg.Authentication.Anonymous.Enabled, NoTokens: !*cfg.Authentication.Webhook.Enabled,
		AllowAll: cfg.Authorization.Mode == kubeletv1beta1.KubeletAuthorizationModeAlwaysAllow, Clock: k.clock,
		TokenTTL:   cfg.Authentication.Webhook.CacheTTL.Duration,
		AllowedTTL: cfg.Authorization.Webhook.CacheAuthorizedTTL.Duration,
		DeniedTTL:  cfg.Authorization.Webhook.CacheUnauthorizedTTL.Duration,
	}
	if file := cfg.Authentication.X509.ClientCAFile; file != "" {
		authorities, err := daemon.NewAuthorities(file)
		if err != nil {
			return nil, err
		}
		auth.ClientCAs = authorities.Pool
	}
	return auth, nil
}

// serving makes the kubelet's own port, nil where it is switched off.
func (k *kubelet) serving() (*server.Server, *certificate.Serving, error) {
	cfg := &k.cfg.Kubelet
	if !*cfg.EnableServer {
		return nil, nil, nil
	}
	cert, err := certificate.NewServing(certificate.ServingConfig{
		NodeName: k.name, Hostname: k.name, IPs: k.ips, CertDir: k.cfg.CertDir, CertFile: cfg.TLSCertFile, KeyFile: cfg.TLSPrivateKeyFile,
		Request: cfg.ServerTLSBootstrap && k.client != nil, Client: k.client, Clock: k.clock,
	})
	if err != nil {
		return nil, nil, err
	}
	auth, err := k.auth()
	if err != nil {
		return nil, nil, err
	}
	version, suites, err := k.cfg.TLS()
	if err != nil {
		return nil, nil, err
	}
	health := &daemon.Health{}
	health.AddLive(daemon.Ping, daemon.Check{Name: "syncloop", Check: k.engine.Healthy})
	registry := daemon.NewMetrics()
	registry.MustRegister(&podMetrics{k.engine})
	probes := prometheus.NewRegistry()
	probes.MustRegister(k.probes.Collectors()...)
	if *cfg.EnableProfilingHandler && cfg.EnableContentionProfiling {
		daemon.ProfileContention()
	}
	logs := ""
	if *cfg.EnableSystemLogHandler {
		logs = "/var/log"
	}
	return server.New(server.Config{
		Address: cfg.Address, Port: int(cfg.Port), HealthAddress: cfg.HealthzBindAddress, HealthPort: int(*cfg.HealthzPort),
		Certificate: cert.GetCertificate, MinTLS: version, Ciphers: suites, Auth: auth, NodeName: k.name, Host: k.engine, Runtime: k.cri,
		Stats: stats.New(stats.Config{
			NodeName: k.name, Runtime: k.cri, Pods: k.engine.Pods, RootDir: k.cfg.RootDir, StartedAt: k.clock.Now(), Clock: k.clock, Log: k.log,
		}),
		Health: health, Metrics: registry, ProbeMetrics: probes, LogDir: logs,
		Pages: daemon.ZPages("kubelet", k.cfg.Flags(), k.clock, []string{
			"/attach", "/configz", "/containerLogs", "/exec", "/flagz", "/healthz", "/logs", "/metrics", "/pods", "/portForward", "/run", "/runningpods", "/stats",
		}),
		Configuration: cfg, Profiling: *cfg.EnableProfilingHandler,
		NoDebugging: !*cfg.EnableDebuggingHandlers, StreamIdle: cfg.StreamingConnectionIdleTimeout.Duration, Clock: k.clock, Log: k.log,
	}), cert, nil
}
