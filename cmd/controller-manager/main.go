// Command controller-manager moves the cluster from what it is to what it should be.
package main

import (
	"github.com/sampan-project/sampan/pkg/controllers/manager"
	"github.com/sampan-project/sampan/pkg/daemon"
)

func main() { daemon.Main(manager.Command()) }
