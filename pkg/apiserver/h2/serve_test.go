package h2

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

var certificate = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
})

// fixture is a server that serves, with a client.
type fixture struct {
	server *http.Server
	addr   string
	client *http.Transport
	log    logged
}

// serveOurs starts a server that speaks HTTP/2 by this package.
func serveOurs(t testing.TB, handler http.Handler, configure ...func(*http.Server)) *fixture {
	return serve(t, handler, append(configure, Configure)...)
}

// serve starts a server that speaks HTTP/2 by net/http, unless it is configured otherwise.
func serve(t testing.TB, handler http.Handler, configure ...func(*http.Server)) *fixture {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cert, pool := certificate()
	f := &fixture{addr: listener.Addr().String(), log: make(logged, 100)}
	f.server = &http.Server{Handler: handler, ErrorLog: log.New(f.log, "", 0), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
	for _, c := range configure {
		c(f.server)
	}
	f.client = &http.Transport{
		ForceAttemptHTTP2: true, DisableCompression: true, ExpectContinueTimeout: patience,
		TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "localhost"},
	}
	served := make(chan error, 1)
	go func() { served <- f.server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() {
		_ = f.server.Close()
		f.client.CloseIdleConnections()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("served until %v", err)
		}
	})
	return f
}

// url is where a path of the server is.
func (f *fixture) url(path string) string { return "https://" + f.addr + path }

// notes are lines that several goroutines write down.
type notes struct {
	mu    sync.Mutex
	lines []string
}

func (n *notes) add(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lines = append(n.lines, fmt.Sprintf(format, args...))
}

// logged is what a server says, each time it does.
type logged chan string

// Write implements io.Writer.
func (l logged) Write(p []byte) (int, error) {
	select {
	case l <- string(p):
	default:
	}
	return len(p), nil
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.lines, "\n")
}

// within fails the test when what is awaited does not happen.
func within[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: not within %v", what, patience)
		panic("unreachable")
	}
}
