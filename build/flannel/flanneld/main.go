// Command flanneld is flannel's daemon, put together from flannel's own packages: it connects the pods of this
// node with those of all others, for a cluster that keeps the nodes' subnets in its API.
//
// It differs from the usual program in what it leaves out, so that its image needs nothing but nft: subnets
// kept in etcd, rules by iptables, and the network backends for one cloud's routes, IPsec and user space. The
// flags that it has are named as there.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"k8s.io/klog/v2"

	// Each registers itself with the package backend, by the name that the configuration chooses it with.
	_ "github.com/flannel-io/flannel/pkg/backend/alloc"
	_ "github.com/flannel-io/flannel/pkg/backend/hostgw"
	_ "github.com/flannel-io/flannel/pkg/backend/ipip"
	_ "github.com/flannel-io/flannel/pkg/backend/vxlan"
	_ "github.com/flannel-io/flannel/pkg/backend/wireguard"
)

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
		defer stop()
		err = run(ctx, o)
	}
	klog.Flush()
	if err != nil {
		fmt.Fprintln(os.Stderr, "flanneld:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	kubeconfig, apiURL, annotationPrefix string
	netConf, subnetFile                  string
	interfaces                           names
	publicIP, publicIPv6                 string
	masquerade, randomiseNone            bool
	forward, setNetworkUnavailable       bool
	healthzIP                            string
	healthzPort                          int
}

// names is a flag that may be given several times.
type names []string

func (n *names) String() string     { return strings.Join(*n, ",") }
func (n *names) Set(s string) error { *n = append(*n, s); return nil }

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("flanneld", flag.ContinueOnError)
	klogFlags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(klogFlags)
	f.Var(klogFlags.Lookup("v").Value, "v", "how much to log")
	inAPI := f.Bool("kube-subnet-mgr", true, "keep the nodes' subnets in the Kubernetes API; the only way this build knows")
	f.StringVar(&o.kubeconfig, "kubeconfig-file", "", "kubeconfig; not needed in a pod")
	f.StringVar(&o.apiURL, "kube-api-url", "", "URL of the apiserver; not needed in a pod")
	f.StringVar(&o.annotationPrefix, "kube-annotation-prefix", "flannel.alpha.coreos.com", "prefix of the annotations on nodes")
	f.StringVar(&o.netConf, "net-config-path", "/etc/kube-flannel/net-conf.json", "network configuration")
	f.StringVar(&o.subnetFile, "subnet-file", "/run/flannel/subnet.env", "file to write for the network plugin")
	f.Var(&o.interfaces, "iface", "interface, or its address, that leads to the other nodes; the first that exists of several; by default that of the default route")
	f.StringVar(&o.publicIP, "public-ip", "", "address that other nodes reach this one by, if it is not the interface's")
	f.StringVar(&o.publicIPv6, "public-ipv6", "", "the same for IPv6")
	f.BoolVar(&o.masquerade, "ip-masq", false, "hide pods' addresses from what is outside the network")
	f.BoolVar(&o.randomiseNone, "ip-masq-fully-random-disable", false, "do not choose the ports of hidden connections at random")
	f.BoolVar(&o.forward, "iptables-forward-rules", true, "accept forwarded packets of the network")
	f.BoolVar(&o.setNetworkUnavailable, "set-node-network-unavailable", true, "tell the node's condition NetworkUnavailable when the network is up")
	f.StringVar(&o.healthzIP, "healthz-ip", "0.0.0.0", "address to serve /healthz and /readyz on")
	f.IntVar(&o.healthzPort, "healthz-port", 0, "port to serve /healthz and /readyz on; 0 serves neither")
	if err := f.Parse(args); err != nil {
		return options{}, err
	}
	if f.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q: flanneld takes only flags", f.Arg(0))
	}
	if !*inAPI {
		return options{}, errors.New("--kube-subnet-mgr=false: this build keeps subnets only in the Kubernetes API")
	}
	return o, nil
}
