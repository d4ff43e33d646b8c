package e2e

import (
	"context"
	"crypto/x509"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sampan-project/sampan/pkg/pki"
	"github.com/sampan-project/sampan/test/cluster"
)

// keeper runs etcd, and runs it again when it was killed, as its unit would.
type keeper struct {
	stop context.CancelFunc
	done sync.WaitGroup
}

const etcdURL = "https://127.0.0.1:12379"

// startEtcd starts an etcd with certificates of its own, and gives the flags by which a cluster uses it.
func startEtcd(t *testing.T, root string) (*keeper, []string) {
	t.Helper()
	// /var/lib/etcd of the host stays free for the cluster's own; the files must be readable in static pods.
	dir, err := os.MkdirTemp("/var/tmp", "sampan-etcd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	now := time.Now()
	ca, err := pki.NewCA(pki.CertSpec{CommonName: "etcd-ca", Algorithm: pki.ECDSAP256}, now)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(dir, "pki", name) }
	for name, spec := range map[string]pki.CertSpec{
		"server": {CommonName: "etcd", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}},
		"client": {CommonName: "kube-apiserver-etcd-client", Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
	} {
		spec.Algorithm = pki.ECDSAP256
		pair, err := ca.Sign(spec, now)
		if err != nil {
			t.Fatal(err)
		}
		if err := pair.WriteFiles(file(name+".crt"), file(name+".key")); err != nil {
			t.Fatal(err)
		}
	}
	if err := ca.WriteFiles(file("ca.crt"), file("ca.key")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	k := &keeper{stop: cancel}
	k.done.Go(func() {
		for ctx.Err() == nil {
			cmd := exec.CommandContext(ctx, filepath.Join(root, "bin", "etcd"), "--name=e2e", "--data-dir="+filepath.Join(dir, "data"),
				"--listen-client-urls="+etcdURL, "--advertise-client-urls="+etcdURL, "--listen-peer-urls=http://127.0.0.1:12380",
				"--initial-advertise-peer-urls=http://127.0.0.1:12380", "--initial-cluster=e2e=http://127.0.0.1:12380",
				"--cert-file="+file("server.crt"), "--key-file="+file("server.key"), "--client-cert-auth", "--trusted-ca-file="+file("ca.crt"), "--log-level=error")
			_ = cmd.Run() // it ends when it is killed, which is what it is here for
		}
	})
	t.Cleanup(func() { cancel(); k.done.Wait() })
	return k, []string{"--etcd-servers=" + etcdURL, "--etcd-cafile=" + file("ca.crt"), "--etcd-certfile=" + file("client.crt"), "--etcd-keyfile=" + file("client.key")}
}

// TestClusterWithAnEtcdOfItsOwn kills etcd under a running workload: it comes back, the workload never
// stops answering, and nothing written is lost.
func TestClusterWithAnEtcdOfItsOwn(t *testing.T) {
	before, err := cluster.Survey()
	if err != nil {
		t.Fatal(err)
	}
	out := &cluster.Tee{Line: func(l string) { t.Log(l) }}
	t.Run("Cluster", func(t *testing.T) {
		_, flags := startEtcd(t, cluster.Root())
		c, err := cluster.Up(t.Context(), out, flags...)
		if err != nil {
			downAfterFailure(t, c)
			t.Fatal(err)
		}
		defer func() {
			if err := c.Down(context.WithoutCancel(t.Context()), out); err != nil {
				t.Errorf("make down: %v", err)
			}
		}()
		s := &suite{Cluster: c, kubectlPath: filepath.Join(c.Root, "out", "tools", "kubectl")}
		if !t.Run("Steps", func(t *testing.T) { killedEtcd(t, s) }) {
			s.describe(t)
		}
	})
	after, err := cluster.Survey()
	if err != nil {
		t.Fatal(err)
	}
	for _, left := range after.Left(before) {
		t.Errorf("after make down: %s", left)
	}
}

func killedEtcd(t *testing.T, s *suite) {
	ready(t, s)
	exampleReachable(t, s)
	l, w := startLoad(t), startWriter(t, s)
	for range 3 {
		killAndReturn(t, "etcd")
		eventually(t, soon, "the API is ready after etcd was killed", func(ctx context.Context) error {
			return s.Client.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
		})
		s.works(t)
	}
	l.end(t)
	w.end(t, s)
}
