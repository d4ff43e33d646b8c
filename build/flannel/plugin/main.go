// Command flannel is the network plugin that connects a pod to flannel's network. A container runtime calls
// it by the rules of CNI. It does little itself: it joins its configuration with what flanneld says about this
// node in a file, and hands both to another plugin, bridge unless the configuration says otherwise.
//
// "flannel install" puts the plugin and a network configuration onto the node, from inside flannel's image.
package main

import (
	"fmt"
	"os"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/version"
)

func main() {
	if len(os.Args) > 1 {
		if err := command(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "flannel:", err)
			os.Exit(1)
		}
		return
	}
	skel.PluginMainFuncs(skel.CNIFuncs{Add: add, Del: del, Check: check},
		version.PluginSupports("0.3.0", "0.3.1", "0.4.0", "1.0.0"), "flannel: connects pods to flannel's network")
}

func command(args []string) error {
	if args[0] != "install" {
		return fmt.Errorf("unknown command %q: the only one is install; without any, a container runtime calls the plugin", args[0])
	}
	return install(args[1:])
}
