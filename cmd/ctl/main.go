// Command ctl is the client of a cluster, and makes clusters. Called as kubectl, it is kubectl.
package main

import (
	"os"

	"github.com/sampan-project/sampan/pkg/ctl"
)

func main() { os.Exit(ctl.Main(os.Args)) }
