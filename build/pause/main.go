// Command pause makes the pause program of one architecture from the assembly in build/pause/program.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
)

func main() {
	arch := flag.String("arch", runtime.GOARCH, "architecture that the program runs on: amd64 or arm64")
	out := flag.String("o", "pause", "file to write")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := write(ctx, *arch, *out); err != nil {
		fmt.Fprintln(os.Stderr, "pause:", err)
		os.Exit(1)
	}
}

func write(ctx context.Context, arch, out string) error {
	program, err := assemble(ctx, arch)
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, program, 0o755); err != nil {
		return err
	}
	return os.Chmod(out, 0o755) // an older file keeps its mode otherwise
}
