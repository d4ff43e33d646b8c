package plugins

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/authz"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// certificateApproval asks of who approves a request the right to approve for its signer.
func certificateApproval(cfg *Config) admission.Plugin {
	return admission.Plugin{On: admission.On(admission.Update), Validate: func(ctx context.Context, a *admission.Attributes) error {
		old, ok := a.OldObject.(*certificatesv1.CertificateSigningRequest)
		if !ok || a.Subresource != "approval" {
			return nil
		}
		if !forSigner(ctx, cfg, a, "approve", old.Spec.SignerName) {
			return admission.Forbidden(a, fmt.Errorf("user not permitted to approve requests with signerName %q", old.Spec.SignerName))
		}
		return nil
	}}
}

// certificateSigning asks of who writes a certificate the right to sign for the signer.
func certificateSigning(cfg *Config) admission.Plugin {
	return admission.Plugin{On: admission.On(admission.Update), Validate: func(ctx context.Context, a *admission.Attributes) error {
		old, ok := a.OldObject.(*certificatesv1.CertificateSigningRequest)
		csr, isRequest := a.Object.(*certificatesv1.CertificateSigningRequest)
		if !ok || !isRequest || a.Subresource != "status" {
			return nil
		}
		if string(old.Status.Certificate) == string(csr.Status.Certificate) && equality.Semantic.DeepEqual(old.Status.Conditions, csr.Status.Conditions) {
			return nil
		}
		if !forSigner(ctx, cfg, a, "sign", old.Spec.SignerName) {
			return admission.Forbidden(a, fmt.Errorf("user not permitted to sign requests with signerName %q", old.Spec.SignerName))
		}
		return nil
	}}
}

// forSigner looks for the right on the signer's name, then on all names of its domain.
func forSigner(ctx context.Context, cfg *Config, a *admission.Attributes, verb, signer string) bool {
	may := func(name string) bool {
		d, _, _ := cfg.Authorizer.Authorize(ctx, a.User, &request.Info{IsResource: true, Verb: verb,
			Group: certificatesv1.GroupName, Version: "*", Resource: "signers", Name: name})
		return d == authz.Allow
	}
	domain, _, _ := strings.Cut(signer, "/")
	return may(signer) || may(domain+"/*")
}

// certificateSubject keeps certificates of cluster administrators from being had by request.
func certificateSubject(*Config) admission.Plugin {
	return admission.Plugin{On: admission.On(admission.Create), Validate: func(_ context.Context, a *admission.Attributes) error {
		csr, ok := a.Object.(*certificatesv1.CertificateSigningRequest)
		if !ok || a.Subresource != "" || csr.Spec.SignerName != certificatesv1.KubeAPIServerClientSignerName {
			return nil
		}
		parsed, err := parseRequest(csr)
		if err != nil {
			return admission.Forbidden(a, fmt.Errorf("failed to parse CSR: %w", err))
		}
		if slices.Contains(parsed.Subject.Organization, authz.MastersGroup) {
			return admission.Forbidden(a, fmt.Errorf("use of %s signer with %s group is not allowed", certificatesv1.KubeAPIServerClientSignerName, authz.MastersGroup))
		}
		return nil
	}}
}

// parseRequest reads the PEM block of a request.
func parseRequest(csr *certificatesv1.CertificateSigningRequest) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode(csr.Spec.Request)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	return x509.ParseCertificateRequest(block.Bytes)
}
