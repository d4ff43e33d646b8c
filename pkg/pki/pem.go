package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// The types of PEM blocks that are read and written here.
const (
	blockCertificate = "CERTIFICATE"
	blockRSAKey      = "RSA PRIVATE KEY"
	blockECKey       = "EC PRIVATE KEY"
	blockPKCS8Key    = "PRIVATE KEY"
	blockPublicKey   = "PUBLIC KEY"
)

// EncodeCertificates writes certificates one behind the other.
func EncodeCertificates(certs ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: blockCertificate, Bytes: c.Raw})...)
	}
	return out
}

// ParseCertificates reads every certificate of a PEM bundle and passes over blocks of other types. A bundle
// without a certificate is an error.
func ParseCertificates(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		block, data = pem.Decode(data)
		if block == nil {
			break
		}
		if block.Type != blockCertificate {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the bundle: %w", len(certs)+1, err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, errors.New("no PEM block of type CERTIFICATE found")
	}
	return certs, nil
}

// EncodeKey writes a private key in the form that kubeadm writes: PKCS #1 for RSA, SEC 1 for ECDSA.
func EncodeKey(key crypto.Signer) ([]byte, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return pem.EncodeToMemory(&pem.Block{Type: blockRSAKey, Bytes: x509.MarshalPKCS1PrivateKey(k)}), nil
	case *ecdsa.PrivateKey:
		der, err := x509.MarshalECPrivateKey(k)
		if err != nil {
			return nil, fmt.Errorf("encoding an ECDSA key: %w", err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: blockECKey, Bytes: der}), nil
	}
	return nil, fmt.Errorf("keys of type %T cannot be written: use RSA or ECDSA", key)
}

// EncodePublicKey writes a public key as PKIX.
func EncodePublicKey(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockPublicKey, Bytes: der}), nil
}

// ParseKey reads the first private key of a PEM file.
func ParseKey(data []byte) (crypto.Signer, error) {
	for {
		var block *pem.Block
		block, data = pem.Decode(data)
		if block == nil {
			return nil, errors.New("no PEM block with a private key found")
		}
		key, err := privateKey(block)
		if err != nil {
			return nil, err
		}
		if key != nil {
			return key, nil
		}
	}
}

// privateKey answers nil, nil for a block of another type.
func privateKey(block *pem.Block) (crypto.Signer, error) {
	switch block.Type {
	case blockRSAKey:
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case blockECKey:
		return x509.ParseECPrivateKey(block.Bytes)
	case blockPKCS8Key:
		k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		signer, ok := k.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("a key of type %T cannot sign", k)
		}
		return signer, nil
	}
	return nil, nil
}

// ParsePublicKeys reads every key of a PEM file as a public key: private keys give their public half,
// certificates the key that they certify.
func ParsePublicKeys(data []byte) ([]crypto.PublicKey, error) {
	var keys []crypto.PublicKey
	for {
		var block *pem.Block
		block, data = pem.Decode(data)
		if block == nil {
			break
		}
		switch block.Type {
		case blockPublicKey:
			k, err := x509.ParsePKIXPublicKey(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("key %d of the file: %w", len(keys)+1, err)
			}
			keys = append(keys, k)
		case blockCertificate:
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("key %d of the file: %w", len(keys)+1, err)
			}
			keys = append(keys, c.PublicKey)
		default:
			k, err := privateKey(block)
			if err != nil {
				return nil, fmt.Errorf("key %d of the file: %w", len(keys)+1, err)
			}
			if k != nil {
				keys = append(keys, k.Public())
			}
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no PEM block with a public or private key found")
	}
	return keys, nil
}
