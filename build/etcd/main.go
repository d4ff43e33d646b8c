// Command etcd is the etcd server, unchanged: for clusters whose etcd is not embedded in the apiserver.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
