// Command limits measures what no API server could do better on this machine, with the same client, bytes and
// concurrency: a plain HTTP server that answers from memory, puts straight into etcd, and a server that does nothing but
// put into etcd what it is sent. And it measures how far large lists make a server grow.
//
//	limits serve -from https://127.0.0.1:6443 -token T -listen 127.0.0.1:7443
//	limits puts -etcd http://127.0.0.1:2379 -like /registry/pods/apibench/pod-0 -n 5000 -c 16
//	limits through -etcd http://127.0.0.1:2379 -listen 127.0.0.1:7443
//	limits lists -server https://127.0.0.1:6443 -token T -pid PID -n 1000
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	commands := map[string]func(args []string) error{"serve": serve, "puts": puts, "through": through, "lists": lists}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fail(fmt.Errorf("say serve, puts, through or lists"))
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "limits:", err)
	os.Exit(1)
}

// flags are those of one command, which answer mistakes themselves.
func flags(command string) *flag.FlagSet { return flag.NewFlagSet("limits "+command, flag.ExitOnError) }
