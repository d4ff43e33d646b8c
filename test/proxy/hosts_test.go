// Package proxy tests the proxy's kernel paths with real packets: hosts are network namespaces, joined
// to one node whose kernel holds the rules. It needs root.
package proxy

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// host is a network namespace with one link to the node.
type host struct {
	t    *testing.T
	name string
	ip   netip.Addr
}

func command(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(line)
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// in runs f on a thread of its own that lives in a namespace. The thread is not given back: it would
// carry the namespace on.
func in(t *testing.T, namespace string, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		file, err := os.Open("/run/netns/" + namespace)
		if err == nil {
			err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
			_ = file.Close()
		}
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatalf("entering the namespace %s: %v", namespace, err)
	}
}

const node = "sampan-px-node"

// network makes a node and n hosts, host i at 10.244.i.2 behind the node's 10.244.i.1, and removes
// them when the test ends.
func network(t *testing.T, n int) []*host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces: run it as root")
	}
	command(t, "ip netns add "+node)
	t.Cleanup(func() { command(t, "ip netns del "+node) })
	command(t, "ip -n "+node+" link set lo up")
	command(t, "ip netns exec "+node+" sysctl -qw net.ipv4.ip_forward=1")
	hosts := make([]*host, n)
	for i := range hosts {
		h := &host{t: t, name: fmt.Sprintf("sampan-px-h%d", i), ip: netip.AddrFrom4([4]byte{10, 244, byte(i), 2})}
		hosts[i] = h
		command(t, "ip netns add "+h.name)
		t.Cleanup(func() { command(t, "ip netns del "+h.name) })
		link := fmt.Sprintf("px%d", i)
		command(t, fmt.Sprintf("ip -n %s link add %s type veth peer name eth0 netns %s", node, link, h.name))
		command(t, fmt.Sprintf("ip -n %s addr add 10.244.%d.1/24 dev %s", node, i, link))
		command(t, fmt.Sprintf("ip -n %s link set %s up", node, link))
		command(t, fmt.Sprintf("ip -n %s addr add %s/24 dev eth0", h.name, h.ip))
		command(t, fmt.Sprintf("ip -n %s link set eth0 up", h.name))
		command(t, fmt.Sprintf("ip -n %s link set lo up", h.name))
		command(t, fmt.Sprintf("ip -n %s route add default via 10.244.%d.1", h.name, i))
	}
	command(t, "ip -n "+node+" route add default via "+hosts[0].ip.String()) // the way out, which every node has
	return hosts
}

// serve answers every TCP connection and UDP packet at a port with the host's name and the client's address.
func (h *host) serve(port int) {
	h.t.Helper()
	var tcp net.Listener
	var udp net.PacketConn
	var err1, err2 error
	in(h.t, h.name, func() {
		tcp, err1 = net.Listen("tcp4", fmt.Sprintf(":%d", port))
		udp, err2 = net.ListenPacket("udp4", fmt.Sprintf(":%d", port))
	})
	if err1 != nil || err2 != nil {
		h.t.Fatal(err1, err2)
	}
	h.t.Cleanup(func() { _ = tcp.Close(); _ = udp.Close() })
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			fmt.Fprintf(c, "%s %s\n", h.name, c.RemoteAddr().(*net.TCPAddr).IP)
			_ = c.Close()
		}
	}()
	go func() {
		buffer := make([]byte, 100)
		for {
			_, from, err := udp.ReadFrom(buffer)
			if err != nil {
				return
			}
			_, _ = udp.WriteTo(fmt.Appendf(nil, "%s %s\n", h.name, from.(*net.UDPAddr).IP), from)
		}
	}()
}

// ask connects from a namespace and gives the answering host and the address that it saw.
func ask(t *testing.T, from, protocol, address string) (host, seen string, err error) {
	t.Helper()
	var c net.Conn
	in(t, from, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		c, err = (&net.Dialer{}).DialContext(ctx, protocol, address)
	})
	if err != nil {
		return "", "", err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(3 * time.Second))
	if protocol == "udp4" {
		if _, err := c.Write([]byte("?")); err != nil {
			return "", "", err
		}
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return "", "", err
	}
	host, seen, _ = strings.Cut(strings.TrimSpace(line), " ")
	return host, seen, nil
}

// answers asks n times and counts who answered.
func answers(t *testing.T, from, protocol, address string, n int) map[string]int {
	t.Helper()
	count := map[string]int{}
	for range n {
		host, _, err := ask(t, from, protocol, address)
		if err != nil {
			t.Fatalf("%s from %s: %v", address, from, err)
		}
		count[host]++
	}
	return count
}
