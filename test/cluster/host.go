package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Host is a further host on this machine: a network namespace with a link to the bridge, and mount and host
// name namespaces in which every folder that a node writes into is its own.
type Host struct {
	Name    string
	Address string
	link    string // end of its cable on the bridge
	dir     string // what is its own lies below
	root    string // of the repository
	holder  *exec.Cmd
}

// private are the folders that each host has for itself. /run is one of memory, as on any host.
var private = []string{"/etc/kubernetes", "/etc/cni", "/etc/containerd", "/opt", "/var/lib/kubelet", "/var/lib/containerd", "/var/lib/cni", "/var/log", "/var/lib/sampan"}

// NewHost starts a host with an address on the bridge, 10.250.0.N+1.
func (c *Cluster) NewHost(n int) (*Host, error) {
	h := &Host{Name: "node" + strconv.Itoa(n), Address: fmt.Sprintf("10.250.0.%d", n+1), link: "sampan-h" + strconv.Itoa(n), root: c.Root}
	var err error
	if h.dir, err = os.MkdirTemp("/var/tmp", "sampan-"+h.Name+"-"); err != nil {
		return nil, err
	}
	script := []string{"set -e", "mount --make-rprivate /"}
	for i, p := range private {
		own := filepath.Join(h.dir, strconv.Itoa(i))
		script = append(script, "mkdir -p "+own+" "+p, "mount --bind "+own+" "+p)
	}
	script = append(script,
		"mount -t tmpfs -o mode=0755 tmpfs /run", "mkdir -p /run/lock /run/netns",
		"mount --make-rshared /", "hostname "+h.Name, "ip link set lo up",
		"echo ready", "exec sleep infinity")
	h.holder = exec.Command("unshare", "--net", "--mount", "--uts", "--ipc", "sh", "-c", strings.Join(script, "\n"))
	var complaints bytes.Buffer
	h.holder.Stderr = &complaints
	out, err := h.holder.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.holder.Start(); err != nil {
		return nil, err
	}
	c.hosts = append(c.hosts, h)
	ready := make([]byte, len("ready\n"))
	if _, err := out.Read(ready); err != nil {
		return nil, fmt.Errorf("starting the host %s: %w\n%s", h.Name, err, complaints.String())
	}
	return h, h.connect()
}

func (h *Host) connect() error {
	pid := strconv.Itoa(h.holder.Process.Pid)
	for _, line := range []string{
		"ip link add " + h.link + " type veth peer name eth0 netns " + pid,
		"ip link set " + h.link + " master " + Bridge + " up",
		"nsenter -t " + pid + " -n ip addr add " + h.Address + "/24 dev eth0",
		"nsenter -t " + pid + " -n ip link set eth0 up",
		"nsenter -t " + pid + " -n ip route add default via " + Address,
	} {
		if err := run(strings.Fields(line)...); err != nil {
			return err
		}
	}
	return nil
}

// Command runs a program on the host.
func (h *Host) Command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"-t", strconv.Itoa(h.holder.Process.Pid), "-n", "-m", "-u", "-i", "--"}, args...)...)
}

// Run runs a program on the host and gives what it prints.
func (h *Host) Run(ctx context.Context, args ...string) (string, error) {
	out, err := h.Command(ctx, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("on %s: %s: %w\n%s", h.Name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// Join makes the host a node of the cluster, as an administrator does: with the command that the first
// node prints.
func (c *Cluster) Join(ctx context.Context, h *Host) error {
	out, err := exec.CommandContext(ctx, filepath.Join(c.Root, "bin", "ctl"), "token", "create", "--print-join-command", "--kubeconfig", AdminKubeconfig).CombinedOutput()
	if err != nil {
		return fmt.Errorf("making a token to join with: %w\n%s", err, out)
	}
	words := strings.Fields(strings.TrimSpace(string(out)))
	if len(words) < 3 || words[1] != "join" {
		return fmt.Errorf("ctl token create --print-join-command printed no command: %s", out)
	}
	args := append([]string{filepath.Join(c.Root, "bin", "ctl")}, words[1:]...)
	args = append(args, "--node-name="+h.Name, "--node-ip="+h.Address, "--cgroup-root=/sampan-"+h.Name)
	_, err = h.Run(ctx, args...)
	return err
}

// Disconnect takes the host's cable off the bridge; Connect puts it back.
func (h *Host) Disconnect() error { return run("ip", "link", "set", h.link, "down") }

// Connect puts the cable back.
func (h *Host) Connect() error { return run("ip", "link", "set", h.link, "up") }

// Remove resets the node and ends the host.
func (h *Host) Remove(ctx context.Context) error {
	_, err := h.Run(ctx, filepath.Join(h.root, "bin", "ctl"), "reset", "--force", "--cgroup-root=/sampan-"+h.Name)
	if killed := h.holder.Process.Kill(); err == nil {
		err = killed
	}
	_ = h.holder.Wait() // it was killed
	_ = run("ip", "link", "del", h.link)
	if removed := os.RemoveAll(h.dir); err == nil {
		err = removed
	}
	return err
}
