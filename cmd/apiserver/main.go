// Command apiserver serves the Kubernetes API.
package main

import (
	"github.com/sampan-project/sampan/pkg/apiserver"
	"github.com/sampan-project/sampan/pkg/daemon"
)

func main() { daemon.Main(apiserver.Command()) }
