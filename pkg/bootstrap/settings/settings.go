// Package settings is everything that ctl init and ctl join can be told, by flags or by a file with
// kubeadm's kinds, with defaults and checks. It does nothing with it.
package settings

import (
	"net"
	"net/netip"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sampan-project/sampan/api/kubeadm"
	"github.com/sampan-project/sampan/pkg/bootstrap/layout"
	"github.com/sampan-project/sampan/pkg/daemon"
	"github.com/sampan-project/sampan/pkg/pki"
)

// Version is the version of the API that a cluster serves.
const Version = daemon.Version

// Pod networks that init knows how to install.
const (
	Flannel = "flannel"
	Bridge  = "bridge"
	None    = "none"
)

// DefaultGroup is the group of nodes that join with a token.
const DefaultGroup = "system:bootstrappers:kubeadm:default-node-token"

// Settings are complete once Complete has answered nil.
type Settings struct {
	layout.Layout

	ConfigFile      string
	SkipPhases      []string
	IgnorePreflight []string

	Node
	Networks
	Etcd

	Advertise     string // this apiserver's address
	Port          int
	Endpoint      string // host:port by which all reach the apiservers
	ExtraSANs     []string
	CertDir       string
	ClusterName   string
	Version       string
	KeyAlgorithm  string
	CAValidity    time.Duration
	CertValidity  time.Duration
	TaintControl  bool
	ImageDir      string
	Repository    string
	BinDir        string // where our own daemons are
	NoProxy       bool
	NoDNS         bool
	APIServerArgs []kubeadm.Arg
	ManagerArgs   []kubeadm.Arg
	SchedulerArgs []kubeadm.Arg
	KubeletFile   []byte // a KubeletConfiguration that goes over ours
	ProxyFile     []byte // a KubeProxyConfiguration that goes over ours

	Token      string
	TokenTTL   time.Duration
	ExtraToken []kubeadm.BootstrapToken

	Discovery
}

// Node is what this machine is to the cluster.
type Node struct {
	NodeName     string
	NodeIP       string
	CRISocket    string
	Taints       []corev1.Taint
	NoTaints     bool // the file says that there are none
	KubeletArgs  []kubeadm.Arg
	CgroupRoot   string
	CgroupDriver string // empty: systemd where it runs, else cgroupfs
}

// Networks are the cluster's.
type Networks struct {
	PodNetwork  string // flannel, bridge or none
	PodCIDR     string
	ServiceCIDR string
	DNSDomain   string
}

// Etcd is where the data is.
type Etcd struct {
	DataDir   string // of the etcd in the apiserver
	Endpoints []string
	CAFile    string
	CertFile  string
	KeyFile   string
}

// External tells whether etcd runs elsewhere.
func (e Etcd) External() bool { return len(e.Endpoints) > 0 }

// Discovery is how a joining machine comes to trust the cluster.
type Discovery struct {
	Server         string // host:port
	DiscoveryToken string
	CAHashes       []string
	SkipCACheck    bool
	DiscoveryFile  string
	TLSToken       string
}

// New are the defaults, kubeadm's but for the pod network, for which kubeadm has none.
func New() *Settings {
	return &Settings{
		Node:     Node{CRISocket: "unix://" + layout.ContainerdSocket},
		Networks: Networks{PodNetwork: Flannel, PodCIDR: "10.244.0.0/16", ServiceCIDR: "10.96.0.0/12", DNSDomain: "cluster.local"},
		Etcd:     Etcd{DataDir: layout.EtcdDir},
		Port:     6443, CertDir: layout.PKIDir, ClusterName: "kubernetes", Version: Version, KeyAlgorithm: string(pki.RSA2048),
		CAValidity: pki.CAValidity, CertValidity: pki.LeafValidity, TaintControl: true, Repository: "sampan.io", TokenTTL: 24 * time.Hour,
	}
}

// Socket is the file of the container runtime's socket.
func (s *Settings) Socket() string {
	u := s.CRISocket
	if len(u) > 7 && u[:7] == "unix://" {
		return u[7:]
	}
	return u
}

// URL is how nodes reach the apiserver.
func (s *Settings) URL() string { return "https://" + s.Endpoint }

// LocalURL is how this machine reaches its own apiserver.
func (s *Settings) LocalURL() string {
	return "https://" + net.JoinHostPort(s.Advertise, strconv.Itoa(s.Port))
}

// DNSAddress is the tenth address of the services' network, by which every pod knows DNS.
func (s *Settings) DNSAddress() string { return nth(s.ServiceCIDR, 10) }

// APIAddress is the first address of the services' network, the apiserver's own.
func (s *Settings) APIAddress() string { return nth(s.ServiceCIDR, 1) }

func nth(cidr string, n int) string {
	p, err := netip.ParsePrefix(firstOf(cidr))
	if err != nil {
		return "" // Complete has refused it
	}
	a := p.Masked().Addr()
	for range n {
		a = a.Next()
	}
	return a.String()
}
