// Package certificates answers certificate requests: it approves those of kubelets, signs what is
// approved for the cluster's four signers, and clears old requests away.
package certificates

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
)

const (
	nodeGroup      = "system:nodes"
	nodeUserPrefix = "system:node:"
)

// parse reads the PEM block of a request.
func parse(request []byte) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode(request)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	return x509.ParseCertificateRequest(block.Bytes)
}

func usages(list []certificatesv1.KeyUsage, required []certificatesv1.KeyUsage, optional ...certificatesv1.KeyUsage) bool {
	for _, u := range required {
		if !slices.Contains(list, u) {
			return false
		}
	}
	for _, u := range list {
		if !slices.Contains(required, u) && !slices.Contains(optional, u) {
			return false
		}
	}
	return true
}

// checkKubeletClient: a node's own name in the nodes' group, no other names, client use only.
func checkKubeletClient(r *x509.CertificateRequest, list []certificatesv1.KeyUsage) error {
	switch {
	case !slices.Equal(r.Subject.Organization, []string{nodeGroup}):
		return errors.New("subject organization is not system:nodes")
	case len(r.DNSNames) > 0:
		return errors.New("DNS subjectAltNames are not allowed")
	case len(r.EmailAddresses) > 0:
		return errors.New("email subjectAltNames are not allowed")
	case len(r.IPAddresses) > 0:
		return errors.New("IP subjectAltNames are not allowed")
	case len(r.URIs) > 0:
		return errors.New("URI subjectAltNames are not allowed")
	case !strings.HasPrefix(r.Subject.CommonName, nodeUserPrefix):
		return errors.New("subject common name does not begin with system:node:")
	case !usages(list, []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth}, certificatesv1.UsageKeyEncipherment):
		return errors.New("usages did not match kubernetes.io/kube-apiserver-client-kubelet signer requirements")
	}
	return nil
}

// checkKubeletServing: a node's own name, at least one address or host name, server use only.
func checkKubeletServing(r *x509.CertificateRequest, list []certificatesv1.KeyUsage) error {
	switch {
	case !slices.Equal(r.Subject.Organization, []string{nodeGroup}):
		return errors.New("subject organization is not system:nodes")
	case len(r.DNSNames) == 0 && len(r.IPAddresses) == 0:
		return errors.New("DNS or IP subjectAltName is required")
	case len(r.EmailAddresses) > 0:
		return errors.New("email subjectAltNames are not allowed")
	case len(r.URIs) > 0:
		return errors.New("URI subjectAltNames are not allowed")
	case !strings.HasPrefix(r.Subject.CommonName, nodeUserPrefix):
		return errors.New("subject common name does not begin with system:node:")
	case !usages(list, []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageServerAuth}, certificatesv1.UsageKeyEncipherment):
		return errors.New("usages did not match kubernetes.io/kubelet-serving signer requirements")
	}
	return nil
}

// checkAPIServerClient: client use only.
func checkAPIServerClient(_ *x509.CertificateRequest, list []certificatesv1.KeyUsage) error {
	if !usages(list, []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth}, certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment) {
		return fmt.Errorf("usages did not match %s signer requirements", certificatesv1.KubeAPIServerClientSignerName)
	}
	return nil
}

// conditionOf tells whether a request has a condition.
func conditionOf(csr *certificatesv1.CertificateSigningRequest, t certificatesv1.RequestConditionType) bool {
	return slices.ContainsFunc(csr.Status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) bool { return c.Type == t })
}
