package watchcheck

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const token = "watch-check"

// program finds one that make build or make test-tools has made.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", name))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("%v; make build test-tools", err)
	}
	return path
}

func port(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// run starts a program that ends with the test.
func run(t *testing.T, path string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(path, args...)
	output := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		if t.Failed() {
			text := output.Bytes()
			t.Logf("%s ended with:\n%s", filepath.Base(path), text[max(0, len(text)-4000):])
		}
	})
	return cmd
}

// etcd is one that the servers use, and a client of it beside them.
type etcd struct {
	*clientv3.Client
	url  string
	args []string
	cmd  *exec.Cmd
}

// startEtcd runs an etcd, on a disk that is none where no flag says otherwise, and opens it.
func startEtcd(t *testing.T, flags ...string) *etcd {
	t.Helper()
	peer := fmt.Sprintf("http://127.0.0.1:%d", port(t))
	e := &etcd{url: fmt.Sprintf("http://127.0.0.1:%d", port(t))}
	e.args = append([]string{"--name=e", "--data-dir=" + t.TempDir(), "--listen-client-urls=" + e.url, "--advertise-client-urls=" + e.url,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=e=" + peer, "--log-level=error", "--unsafe-no-fsync"}, flags...)
	e.Client = dialEtcd(t, e.url)
	e.start(t)
	return e
}

func dialEtcd(t *testing.T, url string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{url}, Logger: zap.NewNop(), MaxCallRecvMsgSize: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// start runs the etcd, anew where it has ended, and waits until it answers.
func (e *etcd) start(t *testing.T) {
	t.Helper()
	e.cmd = run(t, program(t, "etcd"), e.args...)
	until(t, "etcd answers", func() bool {
		_, err := e.revision(t.Context())
		return err == nil
	})
}

func (e *etcd) revision(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	r, err := e.Get(ctx, "x")
	if err != nil {
		return 0, err
	}
	return r.Header.Revision, nil
}

// fleet is the apiservers on one etcd.
type fleet struct {
	args    [][]string
	urls    []string
	servers []*exec.Cmd
	admin   *Client

	mu      sync.Mutex
	outages []Outage
}

// startFleet runs n servers with the same flags.
func startFleet(t *testing.T, n int, flags ...string) *fleet {
	t.Helper()
	f := newFleet(t, n, flags...)
	for i := range n {
		f.start(t, i)
	}
	return f
}

// newFleet is n servers that are yet to be started.
func newFleet(t *testing.T, n int, flags ...string) *fleet {
	t.Helper()
	f := &fleet{servers: make([]*exec.Cmd, n)}
	dir := t.TempDir()
	tokens := filepath.Join(dir, "tokens.csv")
	if err := os.WriteFile(tokens, []byte(token+",admin,1,system:masters\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		p := port(t)
		f.urls = append(f.urls, fmt.Sprintf("https://127.0.0.1:%d", p))
		f.args = append(f.args, append([]string{
			"--cert-dir=" + filepath.Join(dir, fmt.Sprint(i)), "--bind-address=127.0.0.1", "--advertise-address=192.0.2.1",
			fmt.Sprintf("--secure-port=%d", p), "--service-cluster-ip-range=10.96.0.0/16", "--service-account-issuer=https://kubernetes.default.svc",
			"--token-auth-file=" + tokens, "--event-ttl=3s",
		}, flags...))
	}
	f.admin = NewClient(f.urls, token, true, false)
	return f
}

// start runs a server and waits until it is ready.
func (f *fleet) start(t *testing.T, i int) {
	f.servers[i] = run(t, program(t, "apiserver"), f.args[i]...)
	until(t, "server is ready", func() bool {
		code, _, _ := f.admin.Do(t.Context(), i, http.MethodGet, "/readyz", "", nil) // no answer is code 0
		return code == http.StatusOK
	})
}

// until waits for what comes soon and cannot be waited for otherwise.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("not within two minutes: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// restart ends a server by a signal and starts it again; away is how long it was not ready.
func (f *fleet) restart(t *testing.T, i int, signal syscall.Signal) (away time.Duration) {
	o := Outage{Server: i, From: time.Now()}
	f.mu.Lock()
	f.outages = append(f.outages, Outage{Server: i, From: o.From, To: o.From.Add(time.Hour)})
	f.mu.Unlock()
	if err := f.servers[i].Process.Signal(signal); err != nil {
		t.Error(err)
	}
	_ = f.servers[i].Wait() // it was killed
	f.start(t, i)
	o.To = time.Now()
	f.mu.Lock()
	f.outages[len(f.outages)-1] = o
	f.mu.Unlock()
	away = o.To.Sub(o.From)
	t.Logf("server %d was away for %v after %v", i, away, signal)
	return away
}

// readyInTime judges how long the API was away each time that its server was killed: 10 s at most. On a shared machine
// something else may have its turn meanwhile, so one time has to hold that, and the others three times as much.
func readyInTime(t *testing.T, away ...time.Duration) {
	t.Helper()
	if slices.Min(away) > 10*time.Second || slices.Max(away) > 30*time.Second {
		t.Errorf("after kills the API was ready again in %v, want 10s", away)
	}
}

// load is writers at work.
type load struct {
	ledger  *Ledger
	begun   time.Time
	stop    context.CancelFunc
	writers sync.WaitGroup
}

// startLoad has writers write as often a second, together, as they can and may.
func (f *fleet) startLoad(t *testing.T, writers, perSecond int) *load {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &load{ledger: &Ledger{}, begun: time.Now(), stop: stop}
	t.Cleanup(l.end)
	turns := Turns(ctx, perSecond)
	for i := range writers {
		l.writers.Go(func() {
			w := &Writer{Client: NewClient(f.urls, token, true, false), Ledger: l.ledger, Name: fmt.Sprintf("w%d", i), Random: rand.New(rand.NewPCG(uint64(i), 2))} //nolint:gosec // nothing is guessed here
			w.Run(ctx, turns)
		})
	}
	return l
}

// goOn waits until so many further writes were acknowledged.
func (l *load) goOn(t *testing.T, writes int) {
	t.Helper()
	want := l.ledger.Len() + writes
	until(t, "writes are acknowledged", func() bool { return l.ledger.Len() >= want })
}

// end ends the writing when what was begun has an answer.
func (l *load) end() {
	l.stop()
	l.writers.Wait()
}

// must asks server 0 for what cannot fail.
func (f *fleet) must(t *testing.T, method, path, media string, object any) {
	t.Helper()
	if code, answer, err := f.admin.Do(t.Context(), 0, method, path, media, object); err != nil || code/100 != 2 {
		t.Fatalf("%s %s: %d %s %v", method, path, code, answer, err)
	}
}

// furnish makes what the writers need: namespaces, the accounts of pods, and a kind of our own.
func (f *fleet) furnish(t *testing.T) {
	t.Helper()
	for _, n := range Namespaces {
		f.must(t, http.MethodPost, "/api/v1/namespaces", formatJSON, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"`+n+`"}}`)
		f.must(t, http.MethodPost, "/api/v1/namespaces/"+n+"/serviceaccounts", formatJSON, `{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}}`)
	}
	f.must(t, http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", formatJSON, `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",
		"metadata":{"name":"widgets.example.com"},"spec":{"group":"example.com","scope":"Namespaced","names":{"plural":"widgets","singular":"widget","kind":"Widget","listKind":"WidgetList"},
		"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}`)
	for i := range f.urls {
		until(t, "the new kind is served", func() bool {
			code, _, _ := f.admin.Do(t.Context(), i, http.MethodGet, "/apis/example.com/v1/widgets", "", nil) // no answer is code 0
			return code == http.StatusOK
		})
	}
}
