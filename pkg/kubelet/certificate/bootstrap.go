package certificate

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/certificate"
	"k8s.io/client-go/util/certificate/csr"

	"github.com/sampan-project/sampan/pkg/daemon"
	"github.com/sampan-project/sampan/pkg/pki"
)

const (
	// approval is how long one request waits to be approved before it is looked at afresh.
	approval = 15 * time.Minute
	// Pauses after a request that failed or was denied.
	firstPause = 5 * time.Second
	lastPause  = 5 * time.Minute
)

// bootstrap makes the kubeconfig, unless a valid one exists.
func bootstrap(ctx context.Context, c ClientConfig) error {
	valid, err := stillValid(c.Kubeconfig, c.Clock.Now())
	if err != nil || valid {
		return err
	}
	cfg, err := daemon.ClientConfig(c.BootstrapKubeconfig, c.UserAgent)
	if err != nil {
		return fmt.Errorf("asking for a client certificate: %w", err)
	}
	store, err := clientStore(c.CertDir)
	if err != nil {
		return err
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := request(ctx, c, cfg, store)
		if err == nil {
			return writeKubeconfig(c.Kubeconfig, cfg, store.CurrentPath())
		}
		if ctx.Err() != nil {
			return fmt.Errorf("asking for a client certificate: %w", err)
		}
		c.Log.Error(err, "The node has no client certificate yet; trying again", "after", pause.String())
		select {
		case <-ctx.Done():
			return fmt.Errorf("asking for a client certificate: %w", err)
		case <-c.Clock.After(pause):
		}
	}
}

// request asks once and waits. The key outlives a restart, so that a request that waits for its approval
// is found again instead of repeated.
func request(ctx context.Context, c ClientConfig, cfg *rest.Config, store certificate.Store) error {
	client, err := c.NewClient(cfg)
	if err != nil {
		return fmt.Errorf("making the client of the bootstrap kubeconfig: %w", err)
	}
	keyFile := filepath.Join(c.CertDir, "kubelet-client.key.tmp")
	key, err := temporaryKey(keyFile)
	if err != nil {
		return err
	}
	data, err := certificateRequest(c.NodeName, key)
	if err != nil {
		return err
	}
	keyPEM, err := pki.EncodeKey(key)
	if err != nil {
		return err
	}
	usages := certificate.DefaultKubeletClientGetUsages(key)
	name, err := requestName(key.Public(), usages)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, approval)
	defer cancel()
	c.Log.Info("Asking the apiserver for a client certificate", "node", c.NodeName, "request", name)
	name, uid, err := csr.RequestCertificateWithContext(ctx, client, data, name, certificatesv1.KubeAPIServerClientKubeletSignerName, nil, usages, key)
	if err != nil {
		return fmt.Errorf("creating the certificate signing request: %w", err)
	}
	certPEM, err := csr.WaitForCertificate(ctx, client, name, uid)
	if err != nil {
		// A denied request stays denied: the next one has another key, and so another name.
		if ctx.Err() == nil {
			_ = os.Remove(keyFile)
		}
		return fmt.Errorf("waiting for the certificate signing request %s to be approved and signed: %w", name, err)
	}
	if _, err := store.Update(certPEM, keyPEM); err != nil {
		return fmt.Errorf("keeping the client certificate: %w", err)
	}
	if err := os.Remove(keyFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the key of the request: %w", err)
	}
	return nil
}

func temporaryKey(file string) (crypto.Signer, error) {
	if key, err := pki.LoadKey(file); err == nil {
		return key, nil
	}
	key, err := pki.NewKey(pki.ECDSAP256)
	if err != nil {
		return nil, err
	}
	return key, pki.WriteKey(file, key)
}

func certificateRequest(node string, key crypto.Signer) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject(node)}, key)
	if err != nil {
		return nil, fmt.Errorf("making the certificate signing request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// requestName is the same for the same key.
func requestName(key crypto.PublicKey, usages []certificatesv1.KeyUsage) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("naming the certificate signing request: %w", err)
	}
	h := sha512.New512_256()
	_, _ = h.Write(der)
	for _, u := range usages {
		_, _ = h.Write([]byte(u))
	}
	return "node-csr-" + base64.RawURLEncoding.EncodeToString(h.Sum(nil)), nil
}

// writeKubeconfig names the cluster of the bootstrap kubeconfig and the file that always holds the newest
// certificate.
func writeKubeconfig(file string, cfg *rest.Config, pair string) error {
	k := clientcmdapi.NewConfig()
	k.Clusters["default-cluster"] = &clientcmdapi.Cluster{
		Server: cfg.Host, TLSServerName: cfg.TLSClientConfig.ServerName, InsecureSkipTLSVerify: cfg.Insecure,
		CertificateAuthority: cfg.CAFile, CertificateAuthorityData: cfg.CAData,
	}
	k.AuthInfos["default-auth"] = &clientcmdapi.AuthInfo{ClientCertificate: pair, ClientKey: pair}
	k.Contexts["default-context"] = &clientcmdapi.Context{Cluster: "default-cluster", AuthInfo: "default-auth", Namespace: "default"}
	k.CurrentContext = "default-context"
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	if err := clientcmd.WriteToFile(*k, file); err != nil {
		return fmt.Errorf("writing the kubeconfig %s: %w", file, err)
	}
	return nil
}
