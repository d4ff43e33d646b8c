// Package cluster makes real clusters for tests: the host itself as the first node, and further hosts as
// network and mount namespaces, joined by a bridge. Everything is what users have: make up, ctl join,
// containerd, the kernel's rules. It needs root.
package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// The bridge between the hosts, and the first node's address on it.
const (
	Bridge  = "sampan-hosts"
	Address = "10.250.0.1"
)

// AdminKubeconfig is where `make up` leaves the administrator's credentials.
const AdminKubeconfig = "/etc/kubernetes/admin.conf"

// Cluster is one that runs.
type Cluster struct {
	Client *kubernetes.Clientset
	Config *rest.Config
	Root   string // of the repository
	hosts  []*Host
}

// Root is the repository's root: tests run in the folder of their package, below it.
func Root() string {
	dir, err := os.Getwd()
	for err == nil && dir != "/" {
		if _, err := os.Stat(filepath.Join(dir, "Makefile")); err == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	return "."
}

// Up makes the bridge and starts a cluster on it by `make up`. What it prints goes to out as well.
func Up(ctx context.Context, out io.Writer, flags ...string) (*Cluster, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("a cluster needs root: run the tests as root")
	}
	if _, err := os.Stat(AdminKubeconfig); err == nil {
		return nil, fmt.Errorf("this host has a cluster already (%s exists): end it with `make down` first", AdminKubeconfig)
	}
	if err := makeBridge(); err != nil {
		return nil, err
	}
	flags = append([]string{"--apiserver-advertise-address=" + Address, "--node-ip=" + Address, "--node-name=node0"}, flags...)
	if err := Make(ctx, out, "up", "INIT="+strings.Join(flags, " ")); err != nil {
		return nil, err
	}
	c := &Cluster{Root: Root()}
	var err error
	if c.Config, err = clientcmd.BuildConfigFromFlags("", AdminKubeconfig); err != nil {
		return nil, err
	}
	c.Config.QPS = -1
	c.Client, err = kubernetes.NewForConfig(c.Config)
	return c, err
}

// Down removes the hosts, the cluster and the bridge.
func (c *Cluster) Down(ctx context.Context, out io.Writer) error {
	var first error
	note := func(err error) {
		if first == nil {
			first = err
		}
	}
	for _, h := range c.hosts {
		note(h.Remove(ctx))
	}
	note(Make(ctx, out, "down"))
	note(run("ip", "link", "del", Bridge))
	return first
}

// Make runs a target of the repository's Makefile.
func Make(ctx context.Context, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, "make", append([]string{"-s", "-C", Root()}, args...)...)
	// What make's parent was told (-j, -n) is not for this one.
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=")
	var tail bytes.Buffer
	both := io.MultiWriter(out, &tail)
	cmd.Stdout, cmd.Stderr = both, both
	if err := cmd.Run(); err != nil {
		text := tail.String()
		return fmt.Errorf("make %s: %w\n%s", args[0], err, text[max(0, len(text)-3000):])
	}
	return nil
}

func makeBridge() error {
	if _, err := os.Stat("/sys/class/net/" + Bridge); err == nil {
		_ = run("ip", "link", "del", Bridge)
	}
	for _, line := range []string{
		"ip link add " + Bridge + " type bridge",
		"ip addr add " + Address + "/24 dev " + Bridge,
		"ip link set " + Bridge + " up",
	} {
		if err := run(strings.Fields(line)...); err != nil {
			return err
		}
	}
	return nil
}

func run(words ...string) error {
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(words, " "), err, out)
	}
	return nil
}

// Eventually waits until holds answers nil, asking again after each of its answers and a short pause. It
// gives the last answer when ctx ends; one that ctx has cut short tells nothing, and does not take its place.
func Eventually(ctx context.Context, holds func(context.Context) error) error {
	const pause = 50 * time.Millisecond
	tick := time.NewTicker(pause)
	defer tick.Stop()
	var last error
	for {
		err := holds(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it did not come to pass in time: %w", last)
		case <-tick.C:
		}
	}
}

// Tee collects what is written and passes it on line by line.
type Tee struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	Line func(string)
}

// Write implements io.Writer.
func (t *Tee) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p)
	for {
		line, err := t.buf.ReadString('\n')
		if err != nil {
			t.buf.WriteString(line)
			return len(p), nil
		}
		t.Line(strings.TrimRight(line, "\n"))
	}
}

// RemoveHost resets a host's node and ends the host.
func (c *Cluster) RemoveHost(ctx context.Context, h *Host) error {
	c.hosts = slices.DeleteFunc(c.hosts, func(o *Host) bool { return o == h })
	return h.Remove(ctx)
}
