package settings

import (
	"slices"

	"github.com/sampan-project/sampan/api/kubeadm"
)

// set lets what a file says take the place of a default.
func set[T comparable](to *T, from T) {
	var zero T
	if from != zero {
		*to = from
	}
}

func (s *Settings) apply(f *kubeadm.File) {
	if f.Init != nil {
		s.applyInit(f.Init)
	}
	if f.Cluster != nil {
		s.ApplyCluster(f.Cluster)
	}
	if f.Join != nil {
		s.applyJoin(f.Join)
	}
	s.KubeletFile, s.ProxyFile = f.Kubelet, f.Proxy
}

func (s *Settings) applyNode(n *kubeadm.NodeRegistration) {
	set(&s.NodeName, n.Name)
	set(&s.CRISocket, n.CRISocket)
	s.Taints, s.NoTaints = n.Taints, n.Taints != nil && len(n.Taints) == 0
	s.KubeletArgs = n.KubeletExtraArgs
	s.IgnorePreflight = append(s.IgnorePreflight, n.IgnorePreflight...)
}

func (s *Settings) applyInit(c *kubeadm.InitConfiguration) {
	s.applyNode(&c.NodeRegistration)
	set(&s.Advertise, c.LocalAPIEndpoint.AdvertiseAddress)
	set(&s.Port, c.LocalAPIEndpoint.BindPort)
	s.SkipPhases = append(s.SkipPhases, c.SkipPhases...)
	if len(c.BootstrapTokens) > 0 {
		first := c.BootstrapTokens[0]
		s.Token = first.Token
		if first.TTL != nil {
			s.TokenTTL = first.TTL.Duration
		}
		s.ExtraToken = c.BootstrapTokens[1:]
	}
}

// ApplyCluster takes what a cluster agrees on.
func (s *Settings) ApplyCluster(c *kubeadm.ClusterConfiguration) {
	if e := c.Etcd.External; e != nil {
		s.Etcd = Etcd{Endpoints: e.Endpoints, CAFile: e.CAFile, CertFile: e.CertFile, KeyFile: e.KeyFile}
	}
	if c.Etcd.Local != nil {
		set(&s.DataDir, c.Etcd.Local.DataDir)
	}
	set(&s.ServiceCIDR, c.Networking.ServiceSubnet)
	set(&s.PodCIDR, c.Networking.PodSubnet)
	set(&s.DNSDomain, c.Networking.DNSDomain)
	set(&s.Version, c.KubernetesVersion)
	set(&s.Endpoint, c.ControlPlaneEndpoint)
	set(&s.CertDir, c.CertificatesDir)
	set(&s.Repository, c.ImageRepository)
	set(&s.ClusterName, c.ClusterName)
	set(&s.KeyAlgorithm, c.EncryptionAlgorithm)
	if c.CertificateValidityPeriod != nil {
		s.CertValidity = c.CertificateValidityPeriod.Duration
	}
	if c.CACertificateValidityPeriod != nil {
		s.CAValidity = c.CACertificateValidityPeriod.Duration
	}
	s.ExtraSANs = append(s.ExtraSANs, c.APIServer.CertSANs...)
	s.APIServerArgs = slices.Concat(s.APIServerArgs, c.APIServer.ExtraArgs)
	s.ManagerArgs = slices.Concat(s.ManagerArgs, c.ControllerManager.ExtraArgs)
	s.SchedulerArgs = slices.Concat(s.SchedulerArgs, c.Scheduler.ExtraArgs)
	s.NoProxy, s.NoDNS = c.Proxy.Disabled, c.DNS.Disabled
}

func (s *Settings) applyJoin(c *kubeadm.JoinConfiguration) {
	s.applyNode(&c.NodeRegistration)
	s.SkipPhases = append(s.SkipPhases, c.SkipPhases...)
	if t := c.Discovery.BootstrapToken; t != nil {
		s.DiscoveryToken, s.CAHashes, s.SkipCACheck = t.Token, t.CACertHashes, t.UnsafeSkipCAVerification
		set(&s.Server, t.APIServerEndpoint)
	}
	if f := c.Discovery.File; f != nil {
		s.DiscoveryFile = f.KubeConfigPath
	}
	set(&s.TLSToken, c.Discovery.TLSBootstrapToken)
}

// Cluster is what all members agree on, as the ConfigMap kubeadm-config keeps it.
func (s *Settings) Cluster() *kubeadm.ClusterConfiguration {
	c := &kubeadm.ClusterConfiguration{
		Networking:        kubeadm.Networking{ServiceSubnet: s.ServiceCIDR, PodSubnet: s.PodCIDR, DNSDomain: s.DNSDomain},
		KubernetesVersion: s.Version, ControlPlaneEndpoint: s.Endpoint, CertificatesDir: s.CertDir, ImageRepository: s.Repository,
		ClusterName: s.ClusterName, EncryptionAlgorithm: s.KeyAlgorithm,
		APIServer:         kubeadm.APIServer{Component: kubeadm.Component{ExtraArgs: s.APIServerArgs}, CertSANs: s.ExtraSANs},
		ControllerManager: kubeadm.Component{ExtraArgs: s.ManagerArgs}, Scheduler: kubeadm.Component{ExtraArgs: s.SchedulerArgs},
		Proxy: kubeadm.AddOn{Disabled: s.NoProxy}, DNS: kubeadm.AddOn{Disabled: s.NoDNS},
	}
	c.APIVersion, c.Kind = kubeadm.APIVersion, kubeadm.KindCluster
	if s.External() {
		c.Etcd.External = &kubeadm.ExternalEtcd{Endpoints: s.Endpoints, CAFile: s.CAFile, CertFile: s.CertFile, KeyFile: s.KeyFile}
	} else {
		c.Etcd.Local = &kubeadm.LocalEtcd{DataDir: s.DataDir}
	}
	return c
}
