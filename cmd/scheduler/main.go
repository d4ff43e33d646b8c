// Command scheduler gives every pod a node.
package main

import (
	"github.com/sampan-project/sampan/pkg/daemon"
	"github.com/sampan-project/sampan/pkg/scheduler"
)

func main() { daemon.Main(scheduler.Command()) }
