// Command proxy carries connections to services to their backends, on every node.
package main

import (
	"github.com/sampan-project/sampan/pkg/daemon"
	"github.com/sampan-project/sampan/pkg/proxy"
)

func main() { daemon.Main(proxy.Command()) }
