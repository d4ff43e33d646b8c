package storage_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/config"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/etcdhttp"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sampan-project/sampan/pkg/apiserver/storage"
	"github.com/sampan-project/sampan/pkg/apiserver/storage/storagetest"
)

// With these in its environment the test program is an etcd, for tests that kill one.
const (
	directoryVariable = "STORAGE_TEST_ETCD_DIRECTORY"
	addressVariable   = "STORAGE_TEST_ETCD_ADDRESS"
)

func TestMain(m *testing.M) {
	dir := os.Getenv(directoryVariable)
	if dir == "" {
		os.Exit(m.Run())
	}
	if _, err := storage.Embedded(context.Background(), dir, os.Getenv(addressVariable), logr.Discard()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the test has ended
}

// process starts an etcd that can be killed.
func process(t *testing.T, dir, address string) (kill func()) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), directoryVariable+"="+dir, addressVariable+"="+address)
	cmd.Stderr = os.Stderr
	if _, err = cmd.StdinPipe(); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	return kill
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func dial(t *testing.T, cfg storage.DialConfig) *storage.Etcd {
	t.Helper()
	e, err := storage.Dial(cfg, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func healthy(t *testing.T, e *storage.Etcd) {
	t.Helper()
	for until := time.Now().Add(time.Minute); ; {
		err := e.Healthy(t.Context())
		if err == nil {
			return
		}
		if time.Now().After(until) {
			t.Fatal(err)
		}
	}
}

// member is an etcd in this process that is reached over the network, alone or as one of a cluster.
type member struct {
	*etcdserver.EtcdServer
	close func()
}

// single starts an etcd that is alone.
func single(t *testing.T, address string, secure *tls.Config, change func(*config.ServerConfig)) {
	t.Helper()
	start(t, "one", address, map[string]string{"one": freeAddress(t)}, secure, change)
}

// start starts one of those whose addresses for each other are peers.
func start(t *testing.T, name, address string, peers map[string]string, secure *tls.Config, change func(*config.ServerConfig)) member {
	t.Helper()
	cfg := storage.EmbeddedConfig(t.TempDir(), zap.NewNop())
	cfg.Name, cfg.TickMs, cfg.ElectionTicks = name, 20, 10
	cfg.InitialPeerURLsMap = types.URLsMap{}
	for n, host := range peers {
		cfg.InitialPeerURLsMap[n] = types.URLs{url.URL{Scheme: "http", Host: host}}
	}
	cfg.PeerURLs, cfg.ClientURLs = cfg.InitialPeerURLsMap[name], types.URLs{url.URL{Scheme: "http", Host: address}}
	if change != nil {
		change(&cfg)
	}
	forPeers, err := net.Listen("tcp", peers[name])
	if err != nil {
		t.Fatal(err)
	}
	forClients, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s, err := etcdserver.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	web, rpc := &http.Server{Handler: etcdhttp.NewPeerHandler(zap.NewNop(), s)}, v3rpc.Server(s, secure, nil)
	go func() { _ = web.Serve(forPeers) }()
	go func() { _ = rpc.Serve(forClients) }()
	stop := sync.OnceFunc(func() {
		rpc.Stop()
		s.Stop()
		_ = web.Close()
	})
	t.Cleanup(stop)
	return member{s, stop}
}

func TestEtcdOverTheNetwork(t *testing.T) {
	address := freeAddress(t)
	single(t, address, nil, nil)
	storagetest.Run(t, dial(t, storage.DialConfig{Endpoints: []string{"http://" + address}}))
}

func TestEtcdWithTLS(t *testing.T) {
	cert, key := certificate(t)
	address := freeAddress(t)
	secure, err := (transport.TLSInfo{CertFile: cert, KeyFile: key, TrustedCAFile: cert, ClientCertAuth: true}).ServerConfig()
	if err != nil {
		t.Fatal(err)
	}
	single(t, address, secure, nil)
	storagetest.Run(t, dial(t, storage.DialConfig{Endpoints: []string{"https://" + address}, CAFile: cert, CertFile: cert, KeyFile: key}))
	anonymous := dial(t, storage.DialConfig{Endpoints: []string{"https://" + address}, CAFile: cert})
	if err := anonymous.Healthy(t.Context()); err == nil {
		t.Error("etcd answers without a client certificate")
	}
}

// certificate is one for servers and clients that vouches for itself.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "etcd"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	public, err := x509.CreateCertificate(rand.Reader, c, c, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestWhatEtcdRefusesForItsSize(t *testing.T) {
	address := freeAddress(t)
	single(t, address, nil, func(c *config.ServerConfig) { c.MaxRequestBytes = 100 << 10 })
	e := dial(t, storage.DialConfig{Endpoints: []string{address}})
	if _, err := e.Create(t.Context(), "/registry/large", make([]byte, 200<<10), 0); !errors.Is(err, storage.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestPagesLargerThanFourMebibytes(t *testing.T) {
	address := freeAddress(t)
	single(t, address, nil, nil)
	e := dial(t, storage.DialConfig{Endpoints: []string{address}})
	for i := range 8 {
		if _, err := e.Create(t.Context(), fmt.Sprintf("/registry/large/%d", i), make([]byte, 1<<20), 0); err != nil {
			t.Fatal(err)
		}
	}
	page, err := e.List(t.Context(), "/registry/large/", 0, 0, "")
	if err != nil || len(page.Items) != 8 || len(page.Items[7].Value) != 1<<20 {
		t.Errorf("%d items, %v", len(page.Items), err)
	}
	changes := e.Watch(t.Context(), "/registry/large/", page.Items[0].ModRevision-1)
	for got := 0; got < 8; {
		b := <-changes
		if b.Err != nil {
			t.Fatal(b.Err)
		}
		got += len(b.Events)
	}
}

func TestCallsEndInTime(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // who connects there hears nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	e := dial(t, storage.DialConfig{Endpoints: []string{l.Addr().String()}})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := e.Get(ctx, "/registry/x"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a deadline: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := e.Create(ctx, "/registry/x", nil, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// written is what a writer knows of its keys.
type written struct {
	acknowledged map[string]int64
	unknown      map[string]bool
}

// write creates keys of its own until stop is closed. Each that succeeds is reported.
func write(t *testing.T, e *storage.Etcd, name string, stop <-chan struct{}, report func()) written {
	w := written{map[string]int64{}, map[string]bool{}}
	for i := 0; ; i++ {
		select {
		case <-stop:
			return w
		default:
		}
		key := fmt.Sprintf("/registry/%s/%d", name, i)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		revision, err := e.Create(ctx, key, []byte(key), 0)
		cancel()
		switch {
		case err == nil:
			w.acknowledged[key] = revision
			report()
		case errors.Is(err, storage.ErrExists):
			t.Errorf("%s was written twice", key)
		default:
			w.unknown[key] = true
		}
	}
}

// underLoad writes with some clients while something is done to etcd, and holds what they were told against a watch
// that began before, and against what etcd has in the end.
func underLoad(t *testing.T, e *storage.Etcd, disturb func(progress func(writes int))) {
	t.Helper()
	healthy(t, e)
	start, err := e.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	changes := e.Watch(t.Context(), "/registry/", start)
	const writers = 8
	var (
		all     [writers]written
		running sync.WaitGroup
		stop    = make(chan struct{})
		tick    = make(chan struct{})
	)
	for i := range writers {
		running.Go(func() {
			all[i] = write(t, e, fmt.Sprint(i), stop, func() {
				select {
				case tick <- struct{}{}:
				case <-stop:
				}
			})
		})
	}
	disturb(func(writes int) {
		t.Helper()
		for range writes {
			select {
			case <-tick:
			case <-time.After(time.Minute):
				t.Fatal("no write succeeds")
			}
		}
	})
	close(stop)
	running.Wait()
	judge(t, e, start, changes, all[:])
}

func judge(t *testing.T, e *storage.Etcd, start int64, changes <-chan storage.Batch, all []written) {
	t.Helper()
	healthy(t, e)
	page, err := e.List(t.Context(), "/registry/", 0, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int64{}
	for _, kv := range page.Items {
		found[kv.Key] = kv.ModRevision
	}
	known := 0
	for _, w := range all {
		for key, revision := range w.acknowledged {
			if found[key] != revision {
				t.Errorf("%s was acknowledged at %d and is at %d", key, revision, found[key])
			}
			known++
		}
		for key := range w.unknown {
			if found[key] != 0 {
				known++
			}
		}
	}
	if known != len(found) {
		t.Errorf("etcd holds %d keys, and %d were written", len(found), known)
	}
	seen := map[string]int64{}
	for reached := start; reached < page.Revision; {
		b := <-changes
		if b.Err != nil {
			t.Fatal(b.Err)
		}
		for _, ev := range b.Events {
			if ev.ModRevision <= reached {
				t.Errorf("%s at %d comes after %d", ev.Key, ev.ModRevision, reached)
			}
			reached, seen[ev.Key] = ev.ModRevision, ev.ModRevision
		}
		reached = max(reached, b.Revision)
		if len(seen) == len(found) {
			break
		}
	}
	for key, revision := range found {
		if seen[key] != revision {
			t.Errorf("the watch has not told of %s at %d", key, revision)
		}
	}
}

func TestEtcdIsKilledUnderWrites(t *testing.T) {
	dir, address := t.TempDir(), freeAddress(t)
	kill := process(t, dir, address)
	e := dial(t, storage.DialConfig{Endpoints: []string{"http://" + address}})
	underLoad(t, e, func(progress func(int)) {
		for range 2 {
			progress(200)
			kill()
			if _, err := e.Create(t.Context(), "/registry/dead", nil, 0); status.Code(errors.Unwrap(err)) != codes.Unavailable {
				t.Errorf("a write without etcd: %v", err)
			}
			kill = process(t, dir, address)
		}
		progress(200)
	})
}

func TestLeadersChangeUnderWrites(t *testing.T) {
	peers, endpoints := map[string]string{}, []string{}
	for i := range 3 {
		peers[fmt.Sprint(i)] = freeAddress(t)
	}
	var members []member
	for name := range peers {
		address := freeAddress(t)
		members, endpoints = append(members, start(t, name, address, peers, nil, nil)), append(endpoints, "http://"+address)
	}
	for _, m := range members {
		<-m.ReadyNotify()
	}
	e := dial(t, storage.DialConfig{Endpoints: append(endpoints, "http://127.0.0.1:1")}) // where nobody listens
	leader := func() member {
		for _, m := range members {
			if m.Leader() == m.MemberID() {
				return m
			}
		}
		return members[0]
	}
	underLoad(t, e, func(progress func(int)) {
		progress(100)
		if err := leader().TryTransferLeadershipOnShutdown(); err != nil {
			t.Error(err)
		}
		progress(100)
		leader().close() // two of three go on
		progress(200)
	})
}
