package pki

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
)

// Modes of files: what is secret is for its owner alone.
const (
	secretMode = 0o600
	publicMode = 0o644
)

// Load reads a certificate and its key, and checks that they belong together.
func Load(certFile, keyFile string) (*Pair, error) {
	certs, err := LoadCertificates(certFile)
	if err != nil {
		return nil, err
	}
	key, err := LoadKey(keyFile)
	if err != nil {
		return nil, err
	}
	ours, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !ours.Equal(certs[0].PublicKey) {
		return nil, fmt.Errorf("the key in %s does not belong to the certificate in %s", keyFile, certFile)
	}
	return &Pair{Cert: certs[0], Key: key, Chain: certs[1:]}, nil
}

// LoadCertificates reads every certificate of a file.
func LoadCertificates(file string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading certificates: %w", err)
	}
	certs, err := ParseCertificates(data)
	if err != nil {
		return nil, fmt.Errorf("reading certificates from %s: %w", file, err)
	}
	return certs, nil
}

// LoadKey reads the first private key of a file.
func LoadKey(file string) (crypto.Signer, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading a private key: %w", err)
	}
	key, err := ParseKey(data)
	if err != nil {
		return nil, fmt.Errorf("reading a private key from %s: %w", file, err)
	}
	return key, nil
}

// LoadPublicKeys reads every key of a file as a public key.
func LoadPublicKeys(file string) ([]crypto.PublicKey, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading public keys: %w", err)
	}
	keys, err := ParsePublicKeys(data)
	if err != nil {
		return nil, fmt.Errorf("reading public keys from %s: %w", file, err)
	}
	return keys, nil
}

// WriteFiles writes the certificate (readable by all) and the key (by its owner alone). Each file
// appears whole or not at all; the key comes first, so that a certificate on disk always has its key.
func (p *Pair) WriteFiles(certFile, keyFile string) error {
	if err := WriteKey(keyFile, p.Key); err != nil {
		return err
	}
	return writeFile(certFile, p.CertificatePEM(), publicMode)
}

// CertificatePEM is the certificate and its chain.
func (p *Pair) CertificatePEM() []byte {
	return EncodeCertificates(append([]*x509.Certificate{p.Cert}, p.Chain...)...)
}

// WriteKey writes a private key, readable by its owner alone.
func WriteKey(file string, key crypto.Signer) error {
	data, err := EncodeKey(key)
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return writeFile(file, data, secretMode)
}

// WriteCombined writes certificate and key into one file, as the kubelet keeps its client identity.
func (p *Pair) WriteCombined(file string) error {
	key, err := EncodeKey(p.Key)
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return writeFile(file, append(p.CertificatePEM(), key...), secretMode)
}

// WriteKeyPair writes a key and its public half: sa.key and sa.pub.
func WriteKeyPair(keyFile, publicFile string, key crypto.Signer) error {
	if err := WriteKey(keyFile, key); err != nil {
		return err
	}
	public, err := EncodePublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("writing %s: %w", publicFile, err)
	}
	return writeFile(publicFile, public, publicMode)
}

// writeFile makes missing directories and replaces the file in one step.
func writeFile(file string, data []byte, mode os.FileMode) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the directory of %s: %w", file, err)
	}
	if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, data) {
		return os.Chmod(file, mode)
	}
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(file)+"-*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	defer os.Remove(tmp.Name()) // of no effect once renamed
	if _, err = tmp.Write(data); err == nil {
		err = tmp.Chmod(mode)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if closed := tmp.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}
