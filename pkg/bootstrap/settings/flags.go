package settings

import (
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/sampan-project/sampan/api/kubeadm"
)

// AddShared registers the flags that init and join both have.
func (s *Settings) AddShared(fs *pflag.FlagSet) {
	fs.StringVar(&s.ConfigFile, "config", "", "file with kubeadm's kinds (kubeadm.k8s.io/v1beta4); flags go before it")
	fs.StringVar(&s.Root, "rootfs", "", "write files below this directory instead of /")
	fs.StringSliceVar(&s.SkipPhases, "skip-phases", nil, "phases not to run")
	fs.StringSliceVar(&s.IgnorePreflight, "ignore-preflight-errors", nil, "checks whose failure is only a warning; 'all' for every one")
	fs.StringVar(&s.NodeName, "node-name", "", "name of this node; by default the host's")
	fs.StringVar(&s.NodeIP, "node-ip", "", "address of this node; by default that of the default route")
	fs.StringVar(&s.CRISocket, "cri-socket", s.CRISocket, "socket of the container runtime")
	fs.StringVar(&s.CgroupRoot, "cgroup-root", "", "cgroup below which the pods' cgroups are made")
	fs.StringVar(&s.CgroupDriver, "cgroup-driver", "", "cgroupfs or systemd; by default systemd where it runs")
	fs.StringVar(&s.ImageDir, "image-dir", "", "directory with the image archives to import; by default out/images or share/sampan/images beside ctl")
	fs.StringVar(&s.BinDir, "bin-dir", "", "directory of the daemons' programs; by default ctl's own")
}

// AddInit registers init's flags.
func (s *Settings) AddInit(fs *pflag.FlagSet) {
	s.AddShared(fs)
	fs.StringVar(&s.Advertise, "apiserver-advertise-address", "", "address at which others reach this apiserver; by default that of the default route")
	fs.IntVar(&s.Port, "apiserver-bind-port", s.Port, "port of the apiserver")
	fs.StringSliceVar(&s.ExtraSANs, "apiserver-cert-extra-sans", nil, "further names and addresses in the apiserver's certificate")
	fs.StringVar(&s.Endpoint, "control-plane-endpoint", "", "stable name or address (and port) of the control plane; by default this apiserver's")
	fs.StringVar(&s.CertDir, "cert-dir", s.CertDir, "where certificates are kept")
	fs.StringVar(&s.PodCIDR, "pod-network-cidr", s.PodCIDR, "network of the pods; every node gets a part of it")
	fs.StringVar(&s.PodNetwork, "pod-network-addon", s.PodNetwork, "pod network to install: flannel, bridge (one node only), or none, to install another")
	fs.StringVar(&s.ServiceCIDR, "service-cidr", s.ServiceCIDR, "network of the services")
	fs.StringVar(&s.DNSDomain, "service-dns-domain", s.DNSDomain, "domain of the services")
	fs.StringVar(&s.Repository, "image-repository", s.Repository, "repository of the control plane's images")
	fs.StringVar(&s.Version, "kubernetes-version", s.Version, "version of the API; this program makes "+Version)
	fs.BoolVar(&s.TaintControl, "taint-control-plane", s.TaintControl, "keep ordinary pods off this node; false for a cluster of one node")
	fs.StringVar(&s.DataDir, "data-dir", s.DataDir, "where the etcd in the apiserver keeps its data")
	fs.StringSliceVar(&s.Endpoints, "etcd-servers", nil, "etcd cluster to use instead of the etcd in the apiserver")
	fs.StringVar(&s.CAFile, "etcd-cafile", "", "authority of the etcd cluster's certificates")
	fs.StringVar(&s.CertFile, "etcd-certfile", "", "client certificate for the etcd cluster")
	fs.StringVar(&s.KeyFile, "etcd-keyfile", "", "key of --etcd-certfile")
	fs.StringVar(&s.Token, "token", "", "bootstrap token to make; by default a random one")
	fs.DurationVar(&s.TokenTTL, "token-ttl", s.TokenTTL, "life of the bootstrap token; 0 for ever")
}

// AddJoin registers join's flags.
func (s *Settings) AddJoin(fs *pflag.FlagSet) {
	s.AddShared(fs)
	fs.StringVar(&s.Token, "token", "", "bootstrap token for both discovery and the first certificate")
	fs.StringVar(&s.DiscoveryToken, "discovery-token", "", "token that signed the cluster's description")
	fs.StringSliceVar(&s.CAHashes, "discovery-token-ca-cert-hash", nil, "sha256:HEX of the public key of the cluster's certificate authority")
	fs.BoolVar(&s.SkipCACheck, "discovery-token-unsafe-skip-ca-verification", false, "trust the token alone")
	fs.StringVar(&s.DiscoveryFile, "discovery-file", "", "kubeconfig file that describes the cluster")
	fs.StringVar(&s.TLSToken, "tls-bootstrap-token", "", "token for the first certificate")
}

// Load reads --config into the settings; flags of fs that were given stay as they are.
func (s *Settings) Load(fs *pflag.FlagSet) error {
	if s.ConfigFile == "" {
		return nil
	}
	data, err := os.ReadFile(s.ConfigFile)
	if err != nil {
		return fmt.Errorf("the file named with --config cannot be read: %w", err)
	}
	file, err := kubeadm.Decode(data)
	if err != nil {
		return fmt.Errorf("%s is not usable: %w", s.ConfigFile, err)
	}
	given := map[*pflag.Flag][]string{}
	fs.Visit(func(f *pflag.Flag) {
		if list, ok := f.Value.(pflag.SliceValue); ok {
			given[f] = list.GetSlice()
		} else {
			given[f] = []string{f.Value.String()}
		}
	})
	s.apply(file)
	for f, values := range given {
		if list, ok := f.Value.(pflag.SliceValue); ok {
			err = list.Replace(values)
		} else {
			err = f.Value.Set(values[0])
		}
		if err != nil {
			return fmt.Errorf("--%s: %w", f.Name, err)
		}
	}
	return nil
}
