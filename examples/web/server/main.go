// Command server is the example's web server: it answers with the name of its pod and the text of a ConfigMap.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = `web answers with the name of its pod and the text of a ConfigMap. It is configured by its environment:

  LISTEN    where it listens (:8080)
  POD_NAME  the name that it answers with (the host's)
  GREETING  a line that it answers with
  PAGE      a file whose text follows, read anew for each request (/etc/web/page.txt)
  DRAIN     how long requests are still answered once it is told to end (5s)
`

func main() {
	flag.Usage = func() { fmt.Fprint(flag.CommandLine.Output(), usage) }
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "web:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	s := server{pod: os.Getenv("POD_NAME"), greeting: os.Getenv("GREETING"), page: or(os.Getenv("PAGE"), "/etc/web/page.txt")}
	if s.pod == "" {
		name, err := os.Hostname()
		if err != nil {
			return err
		}
		s.pod = name
	}
	drain, err := time.ParseDuration(or(os.Getenv("DRAIN"), "5s"))
	if err != nil {
		return fmt.Errorf("DRAIN: %w: write a duration such as 5s", err)
	}
	listener, err := net.Listen("tcp", or(os.Getenv("LISTEN"), ":8080"))
	if err != nil {
		return err
	}
	fmt.Printf("%s serves on %s\n", s.pod, listener.Addr())
	return s.serve(ctx, listener, drain)
}

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
