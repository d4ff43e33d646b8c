// Package host is the narrow way to the machine that init, join and reset run on: kernel settings, network
// interfaces, mounts, processes, cgroups, systemd. It decides nothing.
package host

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Run runs a program and answers what it printed. Its complaint becomes the error's text.
func Run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(stderr.String())
		if said == "" {
			said = strings.TrimSpace(stdout.String())
		}
		if lines := strings.Split(said, "\n"); len(lines) > 3 {
			said = strings.Join(lines[len(lines)-3:], "; ")
		}
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, said)
	}
	return stdout.String(), nil
}

// Program finds a program in PATH and in the directories of the system's own programs, which the PATH of
// an ordinary user leaves out. It answers "" where there is none.
func Program(name string) string {
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"} {
		p := filepath.Join(dir, name)
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return p
		}
	}
	return ""
}

// Systemd tells whether systemd runs this machine.
func Systemd() bool {
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// Sysctl reads a kernel setting by its path below /proc/sys. ok is false where the kernel does not have it.
func Sysctl(name string) (value string, ok bool) {
	data, err := os.ReadFile(filepath.Join("/proc/sys", name))
	return strings.TrimSpace(string(data)), err == nil
}

// SetSysctl writes a kernel setting.
func SetSysctl(name, value string) error {
	if have, ok := Sysctl(name); ok && have == value {
		return nil
	}
	if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644); err != nil {
		return fmt.Errorf("setting %s to %s: %w", strings.ReplaceAll(name, "/", "."), value, err)
	}
	return nil
}

// Tables lists the tables of nftables, as "inet name"; nothing where nft is missing.
func Tables(ctx context.Context) ([]string, error) {
	nft := Program("nft")
	if nft == "" {
		return []string{}, nil
	}
	out, err := Run(ctx, nft, "list", "tables")
	if err != nil {
		return nil, err
	}
	tables := []string{}
	for line := range strings.Lines(out) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "table "); ok {
			tables = append(tables, name)
		}
	}
	return tables, nil
}

// DeleteTable deletes a table of nftables, named as Tables names it.
func DeleteTable(ctx context.Context, table string) error {
	_, err := Run(ctx, Program("nft"), append([]string{"delete", "table"}, strings.Fields(table)...)...)
	return err
}

// EmptyTable tells whether a table holds no rule, as iptables leaves it behind.
func EmptyTable(ctx context.Context, table string) (bool, error) {
	out, err := Run(ctx, Program("nft"), append([]string{"list", "table"}, strings.Fields(table)...)...)
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if line == "" || line == "}" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "table ") || strings.HasPrefix(line, "chain ") {
			continue
		}
		if strings.HasPrefix(line, "type ") && strings.HasSuffix(line, "policy accept;") {
			continue
		}
		return false, nil
	}
	return true, nil
}

// MayLowerOOMScore tells whether programs that are started here may be better protected from the kernel's
// memory killer than this one is, which takes a privilege that containers often lack.
func MayLowerOOMScore() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return true // the kernel will tell
	}
	return data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}
