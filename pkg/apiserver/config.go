package apiserver

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sampan-project/sampan/pkg/apiserver/guard"
	"github.com/sampan-project/sampan/pkg/apiserver/storage"
	"github.com/sampan-project/sampan/pkg/daemon"
)

// Config is everything that the apiserver process can be told. Names and defaults of flags are
// kube-apiserver's; --data-dir is this project's own.
type Config struct {
	Etcd        storage.DialConfig
	EtcdPrefix  string
	Compaction  time.Duration
	DataDir     string
	EtcdListen  string
	BindAddress string
	Port        int
	Advertise   string
	CertDir     string
	CertFile    string
	KeyFile     string

	Guard *guard.Options

	ServiceCIDR     string
	NodePortRange   string
	AllowPrivileged bool
	EventTTL        time.Duration

	Kubelet        kubeletFlags
	MaxReads       int
	MaxWrites      int
	RequestTimeout time.Duration
	Profiling      bool
	Logging        daemon.Logging

	ignored *pflag.FlagSet // in which flags without effect are

	flags *pflag.FlagSet // by which it was filled in; may be nil
}

type kubeletFlags struct {
	CAFile, CertFile, KeyFile string
	AddressTypes              []string
	Timeout                   time.Duration
}

// DefaultConfig is kube-apiserver's.
func DefaultConfig() *Config {
	return &Config{
		EtcdPrefix: "/registry", DataDir: "/var/lib/etcd", Compaction: 5 * time.Minute, BindAddress: "0.0.0.0", Port: 6443,
		CertDir: "/var/run/kubernetes", Guard: guard.NewOptions(), ServiceCIDR: "10.0.0.0/24", NodePortRange: "30000-32767",
		MaxReads: 400, MaxWrites: 200, RequestTimeout: time.Minute, Profiling: true,
		EventTTL: time.Hour,
		Kubelet:  kubeletFlags{AddressTypes: []string{"Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP"}, Timeout: 5 * time.Second},
	}
}

// AddFlags registers the flags.
func (c *Config) AddFlags(fs *pflag.FlagSet) {
	c.flags = fs
	fs.StringSliceVar(&c.Etcd.Endpoints, "etcd-servers", nil, "etcd servers (scheme://host:port), separated by commas; without any, an etcd runs in this process")
	fs.StringVar(&c.Etcd.CAFile, "etcd-cafile", "", "authority that signed the certificates of etcd")
	fs.StringVar(&c.Etcd.CertFile, "etcd-certfile", "", "client certificate for etcd")
	fs.StringVar(&c.Etcd.KeyFile, "etcd-keyfile", "", "key of --etcd-certfile")
	fs.StringVar(&c.EtcdPrefix, "etcd-prefix", c.EtcdPrefix, "prefix of all keys in etcd")
	fs.DurationVar(&c.Compaction, "etcd-compaction-interval", c.Compaction, "how often old revisions are forgotten; 0 for never")
	fs.StringVar(&c.DataDir, "data-dir", c.DataDir, "where the etcd in this process keeps its data, when there are no --etcd-servers")
	fs.StringVar(&c.EtcdListen, "etcd-listen", "", "address (host:port), best on loopback, at which the etcd in this process answers tools; by default it listens nowhere")
	fs.StringVar(&c.BindAddress, "bind-address", c.BindAddress, "address to listen on")
	fs.IntVar(&c.Port, "secure-port", c.Port, "HTTPS port; it cannot be switched off with 0")
	fs.StringVar(&c.Advertise, "advertise-address", "", "address at which other members of the cluster reach this server; by default that of the default route")
	fs.StringVar(&c.CertDir, "cert-dir", c.CertDir, "where a self-made serving certificate is kept when none is given")
	fs.StringVar(&c.CertFile, "tls-cert-file", "", "serving certificate")
	fs.StringVar(&c.KeyFile, "tls-private-key-file", "", "key of --tls-cert-file")
	c.Guard.AddFlags(fs)
	fs.StringVar(&c.ServiceCIDR, "service-cluster-ip-range", c.ServiceCIDR, "networks of service addresses, at most one for each IP family, separated by a comma")
	fs.StringVar(&c.NodePortRange, "service-node-port-range", c.NodePortRange, "ports for services of type NodePort")
	fs.BoolVar(&c.AllowPrivileged, "allow-privileged", false, "let pods have privileged containers")
	fs.DurationVar(&c.EventTTL, "event-ttl", c.EventTTL, "how long events are kept")
	fs.StringVar(&c.Kubelet.CAFile, "kubelet-certificate-authority", "", "authority that signed the kubelets' serving certificates; without one they are not checked")
	fs.StringVar(&c.Kubelet.CertFile, "kubelet-client-certificate", "", "client certificate for kubelets")
	fs.StringVar(&c.Kubelet.KeyFile, "kubelet-client-key", "", "key of --kubelet-client-certificate")
	fs.StringSliceVar(&c.Kubelet.AddressTypes, "kubelet-preferred-address-types", c.Kubelet.AddressTypes, "kinds of node addresses to reach kubelets at, in order")
	fs.DurationVar(&c.Kubelet.Timeout, "kubelet-timeout", c.Kubelet.Timeout, "how long to wait for a kubelet")
	fs.IntVar(&c.MaxReads, "max-requests-inflight", c.MaxReads, "reads served at once; further ones get 429")
	fs.IntVar(&c.MaxWrites, "max-mutating-requests-inflight", c.MaxWrites, "writes served at once; further ones get 429")
	fs.DurationVar(&c.RequestTimeout, "request-timeout", c.RequestTimeout, "how long a request may take that is no watch")
	fs.BoolVar(&c.Profiling, "profiling", c.Profiling, "serve profiles of the process under /debug/pprof/")
	c.Logging.AddFlags(fs)
	c.addIgnoredFlags(fs)
}

// complete checks what flags say together and fills in what follows from it.
func (c *Config) complete() error {
	if c.Port == 0 {
		return fmt.Errorf("--secure-port is 0: the server has no other port")
	}
	if strings.Trim(c.EtcdPrefix, "/") != "registry" {
		return fmt.Errorf("--etcd-prefix is %q: only /registry is supported", c.EtcdPrefix)
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return fmt.Errorf("--tls-cert-file and --tls-private-key-file go together")
	}
	if c.Advertise == "" {
		a, err := ownAddress()
		if err != nil {
			return err
		}
		c.Advertise = a
	}
	if _, err := netip.ParseAddr(c.Advertise); err != nil {
		return fmt.Errorf("--advertise-address is %q: give an IP address", c.Advertise)
	}
	return nil
}

// serviceNetworks reads --service-cluster-ip-range.
func (c *Config) serviceNetworks() (out []netip.Prefix, err error) {
	for s := range strings.SplitSeq(c.ServiceCIDR, ",") {
		p, err := netip.ParsePrefix(strings.TrimSpace(s))
		if err != nil {
			return nil, fmt.Errorf("--service-cluster-ip-range is %q: give networks like 10.96.0.0/16", c.ServiceCIDR)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// ownAddress is the address that the default route leaves by; no packet is sent to find it.
func ownAddress() (string, error) {
	conn, err := net.Dial("udp", "192.0.2.1:9")
	if err == nil {
		defer func() { _ = conn.Close() }()
		return conn.LocalAddr().(*net.UDPAddr).IP.String(), nil
	}
	return "127.0.0.1", nil
}
