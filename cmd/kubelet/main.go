// Command kubelet runs a node's pods.
package main

import (
	"github.com/sampan-project/sampan/pkg/daemon"
	"github.com/sampan-project/sampan/pkg/kubelet"
)

func main() { daemon.Main(kubelet.Command()) }
