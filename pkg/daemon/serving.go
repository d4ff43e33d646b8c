package daemon

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
)

// Serving is the configuration of a daemon's own HTTPS port: health for all, metrics and pages about the process for
// those whom the apiserver permits.
type Serving struct {
	BindAddress    string
	Port           int // 0: no port is opened
	CertFile       string
	KeyFile        string
	ClientCAFile   string
	Profiling      bool   // serve profiles
	Contention     bool   // with them, measure what goroutines block on
	authKubeconfig string // does nothing: the daemon's own client asks

	component string // upstream's name of the daemon
	flags     *pflag.FlagSet
}

// DefaultServing listens on every address.
func DefaultServing(component string, port int) Serving {
	return Serving{BindAddress: "0.0.0.0", Port: port, Profiling: true, component: component}
}

// AddFlags registers upstream's serving flags.
func (s *Serving) AddFlags(fs *pflag.FlagSet) {
	s.flags = fs
	fs.StringVar(&s.BindAddress, "bind-address", s.BindAddress, "address to serve health and metrics on")
	fs.IntVar(&s.Port, "secure-port", s.Port, "HTTPS port for health and metrics; 0 for none")
	fs.StringVar(&s.CertFile, "tls-cert-file", "", "serving certificate; without one, one is made and kept in memory")
	fs.StringVar(&s.KeyFile, "tls-private-key-file", "", "key of --tls-cert-file")
	fs.StringVar(&s.ClientCAFile, "client-ca-file", "", "certificates that sign client certificates accepted here")
	fs.BoolVar(&s.Profiling, "profiling", s.Profiling, "serve profiles of the process under /debug/pprof/")
	fs.BoolVar(&s.Contention, "contention-profiling", s.Contention, "measure what goroutines block on, with --profiling")
	fs.StringVar(&s.authKubeconfig, "authentication-kubeconfig", "", "accepted for compatibility; the daemon's own identity asks for token reviews")
	fs.StringVar(&s.authKubeconfig, "authorization-kubeconfig", "", "accepted for compatibility; the daemon's own identity asks for access reviews")
}

// NewMetrics makes a registry that holds the process's and Go's own measurements, and the version.
func NewMetrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	v := VersionInfo()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "kubernetes_build_info", Help: "1, with the version as labels.",
		ConstLabels: prometheus.Labels{
			"major": v.Major, "minor": v.Minor, "git_version": v.GitVersion, "git_commit": v.GitCommit, "git_tree_state": v.GitTreeState,
			"build_date": v.BuildDate, "go_version": v.GoVersion, "compiler": v.Compiler, "platform": v.Platform,
		},
	})
	build.Set(1)
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build)
	return r
}

// Start opens the port and serves until ctx ends. It returns once the port listens.
func (s *Serving) Start(ctx context.Context, log logr.Logger, client kubernetes.Interface, health *Health, metrics *prometheus.Registry) error {
	if s.authKubeconfig != "" {
		log.Info("--authentication-kubeconfig and --authorization-kubeconfig have no effect: the daemon's own identity asks for reviews")
	}
	if s.Port == 0 {
		return nil
	}
	cert, err := s.certificate()
	if err != nil {
		return err
	}
	auth := &Delegated{Client: client, Clock: clock.RealClock{}}
	if s.ClientCAFile != "" {
		authorities, err := NewAuthorities(s.ClientCAFile)
		if err != nil {
			return err
		}
		auth.ClientCAs = authorities.Pool
	}
	server := &http.Server{
		Handler: s.handler(auth, health, metrics), ReadHeaderTimeout: 32 * time.Second,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert},
		ErrorLog:  QuietLog(log),
	}
	if s.Profiling && s.Contention {
		ProfileContention()
	}
	address := net.JoinHostPort(s.BindAddress, strconv.Itoa(s.Port))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening on %s (choose another with --secure-port, or 0 for none): %w", address, err)
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() {
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			log.Error(err, "Health and metrics are no longer served", "address", address)
		}
	}()
	return nil
}

func (s *Serving) handler(auth *Delegated, health *Health, metrics *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	health.Install(mux)
	mux.Handle("/metrics", auth.Protect(promhttp.HandlerFor(metrics, promhttp.HandlerOpts{})))
	mux.Handle("/metrics/slis", auth.Protect(health.SLIs()))
	if s.Profiling {
		profiles := auth.Protect(http.HandlerFunc(Profiles))
		mux.Handle(ProfilesPath, profiles)
		mux.Handle(ProfilesPath+"/", profiles)
	}
	for _, page := range ZPages(s.component, s.flags, auth.Clock, []string{"/flagz", "/healthz", "/livez", "/metrics", "/readyz"}) {
		mux.Handle("/"+page.Name(), auth.Protect(page))
	}
	return mux
}

func (s *Serving) certificate() (tls.Certificate, error) {
	if s.CertFile == "" {
		return SelfSigned("localhost")
	}
	cert, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile)
	if err != nil {
		return cert, fmt.Errorf("reading the serving certificate (--tls-cert-file, --tls-private-key-file): %w", err)
	}
	return cert, nil
}

// SelfSigned makes a serving certificate for a host name that nobody vouches for, valid for a year. The
// key never leaves the process.
func SelfSigned(host string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a serving key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a serial number: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("signing the serving certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
