package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// install puts the plugin onto the node, and then the configuration that names it: a runtime that found the
// configuration without the plugin would fail pods.
func install(args []string) error {
	flags := flag.NewFlagSet("install", flag.ContinueOnError)
	bin := flags.String("bin-dir", "/opt/cni/bin", "directory of the node's network plugins")
	conf := flags.String("conf", "", "network configuration to install, if any")
	to := flags.String("to", "/etc/cni/net.d/10-flannel.conflist", "file to install the network configuration as")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: install takes only flags", flags.Arg(0))
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := replace(self, filepath.Join(*bin, "flannel"), 0o755); err != nil {
		return fmt.Errorf("installing the plugin: %w", err)
	}
	if *conf == "" {
		return nil
	}
	if err := replace(*conf, *to, 0o644); err != nil {
		return fmt.Errorf("installing the network configuration: %w", err)
	}
	return nil
}

// replace copies a file over another in one step: a runtime may be running or reading the old one.
func replace(from, to string, mode os.FileMode) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(to), ".flannel-*.tmp") // an ending that runtimes do not read
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // after the rename there is nothing to remove
	_, err = temporary.Write(content)
	if err := errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), to)
}
