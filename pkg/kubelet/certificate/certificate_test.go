package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/pki"
)

// signer is an apiserver that signs every request, or denies the first ones.
type signer struct {
	t        *testing.T
	ca       *pki.Pair
	validity time.Duration
	deny     int

	mu       sync.Mutex
	requests []*certificatesv1.CertificateSigningRequest
}

func newSigner(t *testing.T, validity time.Duration) *signer {
	t.Helper()
	ca, err := pki.NewCA(pki.CertSpec{CommonName: "ca", Algorithm: pki.ECDSAP256}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &signer{t: t, ca: ca, validity: validity}
}

func (s *signer) client() *fake.Clientset {
	client := fake.NewClientset()
	client.PrependReactor("create", "certificatesigningrequests", func(a clienttesting.Action) (bool, runtime.Object, error) {
		r := a.(clienttesting.CreateAction).GetObject().(*certificatesv1.CertificateSigningRequest)
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.Name == "" {
			r.Name = "csr-made"
		}
		r.UID = "uid"
		s.requests = append(s.requests, r.DeepCopy())
		if s.deny > 0 {
			s.deny--
			r.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateDenied, Status: corev1.ConditionTrue, Reason: "No"}}
			return false, nil, nil
		}
		r.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue}}
		r.Status.Certificate = s.sign(r.Spec.Request)
		return false, nil, nil
	})
	return client
}

func (s *signer) sign(request []byte) []byte {
	block, _ := pem.Decode(request)
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		s.t.Error(err)
		return nil
	}
	cert, err := s.ca.SignPublic(pki.CertSpec{CommonName: csr.Subject.CommonName, Organizations: csr.Subject.Organization, Validity: s.validity,
		IPs: csr.IPAddresses, DNSNames: csr.DNSNames, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, csr.PublicKey, time.Now())
	if err != nil {
		s.t.Error(err)
		return nil
	}
	return pki.EncodeCertificates(cert)
}

func (s *signer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// setup writes a bootstrap kubeconfig.
// Each client is an apiserver of its own: the fake tells of all requests to whoever asks for one.
func setup(t *testing.T, s *signer) ClientConfig {
	t.Helper()
	dir := t.TempDir()
	k := clientcmdapi.NewConfig()
	k.Clusters["c"] = &clientcmdapi.Cluster{Server: "https://10.0.0.1:6443", CertificateAuthorityData: s.ca.CertificatePEM()}
	k.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: "abcdef.0123456789abcdef"}
	k.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	k.CurrentContext = "x"
	file := filepath.Join(dir, "bootstrap.conf")
	if err := clientcmd.WriteToFile(*k, file); err != nil {
		t.Fatal(err)
	}
	return ClientConfig{NodeName: "node1", Kubeconfig: filepath.Join(dir, "kubelet.conf"), BootstrapKubeconfig: file, CertDir: filepath.Join(dir, "pki"),
		Clock: clock.RealClock{}, Log: logr.Discard(), NewClient: func(*rest.Config) (kubernetes.Interface, error) { return s.client(), nil }}
}

// drain lets the library's goroutine end in the bubble: it looks at its context when a renewal is due, and
// then complains through a limiter that began at the time outside.
func drain() { time.Sleep(100 * 365 * 24 * time.Hour) }

func private(t *testing.T, file string) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Error(err)
	} else if info.Mode().Perm() != 0o600 {
		t.Errorf("%s has mode %o", file, info.Mode().Perm())
	}
}

func TestBootstrapWritesAKubeconfigThatIsUsedFromThenOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t, 24*time.Hour)
		s.deny = 1
		c := setup(t, s)
		first, err := NewClient(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		current := filepath.Join(c.CertDir, "kubelet-client-current.pem")
		private(t, current)
		private(t, c.Kubeconfig)
		if cfg := first.REST(); cfg.CertFile != current || cfg.KeyFile != current || cfg.Host != "https://10.0.0.1:6443" || !bytes.Equal(cfg.CAData, s.ca.CertificatePEM()) || cfg.BearerToken != "" {
			t.Errorf("kubeconfig %v", cfg)
		}
		if _, err := os.Stat(filepath.Join(c.CertDir, "kubelet-client.key.tmp")); err == nil {
			t.Error("the key of the request is still there")
		}
		if s.count() != 2 || s.requests[0].Name == s.requests[1].Name {
			t.Errorf("%d requests; a denied one needs another name", s.count())
		}
		if r := s.requests[1]; r.Spec.SignerName != "kubernetes.io/kube-apiserver-client-kubelet" {
			t.Errorf("request %+v", r.Spec)
		}
		pair, err := tls.LoadX509KeyPair(current, current)
		if err != nil || pair.Leaf.Subject.CommonName != "system:node:node1" || pair.Leaf.Subject.Organization[0] != "system:nodes" {
			t.Errorf("certificate %v, %v", pair.Leaf, err)
		}
		if _, err := NewClient(t.Context(), c); err != nil || s.count() != 2 {
			t.Errorf("second start: %d requests, %v", s.count(), err)
		}
		time.Sleep(25 * time.Hour)
		if _, err := NewClient(t.Context(), c); err != nil || s.count() != 3 {
			t.Errorf("start after the certificate ran out: %d requests, %v", s.count(), err)
		}
	})
}

func TestCertificateIsRenewedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t, time.Hour)
		c := setup(t, s)
		c.Rotate = true
		client, err := NewClient(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if cfg := client.REST(); cfg.Transport == nil || cfg.CertFile != "" {
			t.Errorf("connections do not follow the certificate: %v", cfg)
		}
		before := client.manager.Current().Leaf
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { client.Run(ctx); close(done) }()
		time.Sleep(58 * time.Minute)
		synctest.Wait()
		if now := client.manager.Current().Leaf; now.Equal(before) || s.count() != 2 {
			t.Errorf("after 58 minutes of an hour: %d requests, runs out at %s", s.count(), now.NotAfter)
		}
		cancel()
		<-done
		drain()
	})
}

func TestGivenKubeconfigIsEnough(t *testing.T) {
	s := newSigner(t, time.Hour)
	c := setup(t, s)
	c.Kubeconfig, c.BootstrapKubeconfig, c.Rotate = c.BootstrapKubeconfig, "", true
	client, err := NewClient(t.Context(), c)
	if err != nil || client.REST().BearerToken == "" || client.manager != nil {
		t.Errorf("got %v, %v", client, err)
	}
	c.Kubeconfig = filepath.Join(t.TempDir(), "absent")
	if _, err := NewClient(t.Context(), c); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no kubeconfig: %v", err)
	}
}

func TestServingCertificates(t *testing.T) {
	dir := t.TempDir()
	c := ServingConfig{NodeName: "node1", IPs: []net.IP{net.IPv4(10, 0, 0, 1)}, CertDir: dir, Clock: clock.RealClock{}}
	s, err := NewServing(c)
	if err != nil {
		t.Fatal(err)
	}
	private(t, filepath.Join(dir, "kubelet.key"))
	self, err := s.GetCertificate(nil)
	if err != nil || self.Leaf.VerifyHostname("node1") != nil || self.Leaf.VerifyHostname("10.0.0.1") != nil {
		t.Errorf("self-signed certificate %v, %v", self, err)
	}
	c.CertFile, c.KeyFile = filepath.Join(dir, "own.crt"), filepath.Join(dir, "own.key")
	if _, err := NewServing(c); err == nil {
		t.Error("a certificate that does not exist was taken")
	}
	give := func(name string) {
		t.Helper()
		ca := newSigner(t, time.Hour).ca
		pair, err := ca.Sign(pki.CertSpec{CommonName: name, Algorithm: pki.ECDSAP256}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := pair.WriteFiles(c.CertFile, c.KeyFile); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(c.CertFile, time.Time{}, time.Now().Add(time.Duration(len(name))*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	give("a")
	if s, err = NewServing(c); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "bb"} {
		give(name)
		if got, err := s.GetCertificate(nil); err != nil || got.Leaf.Subject.CommonName != name {
			t.Errorf("got %v, %v, want the certificate of %s", got, err, name)
		}
	}
	if err := os.WriteFile(c.CertFile, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := s.GetCertificate(nil); err != nil || got.Leaf.Subject.CommonName != "bb" {
		t.Errorf("broken file: got %v, %v", got, err)
	}
}

func TestServingCertificateOfTheAPIServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSigner(t, time.Hour)
		serving, err := NewServing(ServingConfig{NodeName: "node1", Hostname: "host1", IPs: []net.IP{net.IPv4(10, 0, 0, 1)}, CertDir: t.TempDir(),
			Request: true, Client: s.client(), Clock: clock.RealClock{}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := serving.GetCertificate(nil); err == nil {
			t.Error("there is a certificate before it was asked for")
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { serving.Run(ctx); close(done) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		got, err := serving.GetCertificate(nil)
		if err != nil || got.Leaf.VerifyHostname("host1") != nil || s.requests[0].Spec.SignerName != "kubernetes.io/kubelet-serving" {
			t.Errorf("got %v, %v", got, err)
		}
		cancel()
		<-done
		drain()
	})
}
