package certificates

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	legacySigner       = "kubernetes.io/legacy-unknown"
	shortestExpiration = 600
)

// decisions are the conditions of which a request has at most one.
var decisions = []certificatesv1.RequestConditionType{certificatesv1.CertificateApproved, certificatesv1.CertificateDenied}

// writes is what a path of the API may change.
type writes struct {
	decision    bool // conditions Approved and Denied
	certificate bool
}

func validateNew(obj *signingRequest) field.ErrorList {
	faults := validateSpec(&obj.Spec)
	return append(faults, validateConditions(obj.Status.Conditions)...)
}

func validateSpec(spec *certificatesv1.CertificateSigningRequestSpec) field.ErrorList {
	var faults field.ErrorList
	at := field.NewPath("spec")
	if err := checkRequest(spec.Request); err != nil {
		faults = append(faults, field.Invalid(at.Child("request"), spec.Request, err.Error()))
	}
	if len(spec.Usages) == 0 {
		faults = append(faults, field.Required(at.Child("usages"), ""))
	}
	known := usages()
	for i, u := range spec.Usages {
		if !slices.Contains(known, u) {
			faults = append(faults, field.NotSupported(at.Child("usages").Index(i), u, known))
		}
	}
	for i, u := range spec.Usages {
		if slices.Contains(spec.Usages[:i], u) {
			faults = append(faults, field.Duplicate(at.Child("usages").Index(i), u))
		}
	}
	if spec.SignerName == legacySigner {
		faults = append(faults, field.Invalid(at.Child("signerName"), spec.SignerName, "the legacy signerName is not allowed via this API version"))
	} else {
		faults = append(faults, validateSignerName(at.Child("signerName"), spec.SignerName)...)
	}
	if s := spec.ExpirationSeconds; s != nil && *s < shortestExpiration {
		faults = append(faults, field.Invalid(at.Child("expirationSeconds"), *s, "may not specify a duration less than 600 seconds (10 minutes)"))
	}
	return faults
}

// checkRequest says why data is no PKCS#10 request that its own key signed.
func checkRequest(data []byte) error {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	parsed, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return err
	}
	return parsed.CheckSignature()
}

// validateSignerName takes a domain and one path segment: example.com/signer-name.
func validateSignerName(at *field.Path, name string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	parts := strings.Split(name, "/")
	if len(parts) != 2 {
		return field.ErrorList{field.Invalid(at, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")}
	}
	var faults field.ErrorList
	domain, segment := parts[0], parts[1]
	if len(domain) > validation.DNS1123SubdomainMaxLength {
		faults = append(faults, field.TooLong(at, domain, validation.DNS1123SubdomainMaxLength))
	}
	labels := strings.Split(domain, ".")
	faults = append(faults, firstBadLabel(at, domain, labels, validation.IsDNS1123Label)...)
	if len(labels) < 2 {
		faults = append(faults, field.Invalid(at, domain, "should be a domain with at least two segments separated by dots"))
	}
	faults = append(faults, firstBadLabel(at, segment, strings.Split(segment, "."), validation.IsDNS1123Subdomain)...)
	// A segment may be as long as a domain and a label under it.
	const longest = 2*validation.DNS1123SubdomainMaxLength + validation.DNS1123LabelMaxLength + 2
	if len(name) > longest {
		faults = append(faults, field.TooLong(at, name, longest))
	}
	return faults
}

func firstBadLabel(at *field.Path, whole string, labels []string, judge func(string) []string) field.ErrorList {
	var faults field.ErrorList
	for _, label := range labels {
		for _, text := range judge(label) {
			faults = append(faults, field.Invalid(at, whole, fmt.Sprintf("validating label %q: %s", label, text)))
		}
		if len(faults) > 0 {
			break
		}
	}
	return faults
}

func validateConditions(conditions []certificatesv1.CertificateSigningRequestCondition) field.ErrorList {
	var faults field.ErrorList
	at := field.NewPath("status", "conditions")
	seen := map[certificatesv1.RequestConditionType]bool{}
	for i, c := range conditions {
		if c.Type == "" {
			faults = append(faults, field.Required(at.Index(i).Child("type"), ""))
		}
		allowed := []corev1.ConditionStatus{corev1.ConditionTrue}
		switch c.Type {
		case certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed:
		default:
			allowed = []corev1.ConditionStatus{corev1.ConditionFalse, corev1.ConditionTrue, corev1.ConditionUnknown}
		}
		if c.Status == "" {
			faults = append(faults, field.Required(at.Index(i).Child("status"), ""))
		} else if !slices.Contains(allowed, c.Status) {
			faults = append(faults, field.NotSupported(at.Index(i).Child("status"), c.Status, allowed))
		}
		if seen[c.Type] {
			faults = append(faults, field.Duplicate(at.Index(i).Child("type"), c.Type))
		}
		seen[c.Type] = true
		if slices.Contains(decisions, c.Type) && seen[certificatesv1.CertificateApproved] && seen[certificatesv1.CertificateDenied] {
			faults = append(faults, field.Invalid(at, c.Type, "Approved and Denied conditions are mutually exclusive"))
		}
	}
	return faults
}

func validateUpdate(obj, old *signingRequest, may writes) field.ErrorList {
	faults := validateConditions(obj.Status.Conditions)
	certificate := field.NewPath("status", "certificate")
	changed := !bytes.Equal(obj.Status.Certificate, old.Status.Certificate)
	if changed {
		if err := checkCertificate(obj.Status.Certificate); err != nil {
			faults = append(faults, field.Invalid(certificate, "<certificate data>", err.Error()))
		}
	}
	faults = append(faults, validateDecision(obj, old, may)...)
	switch {
	case changed && !may.certificate:
		faults = append(faults, field.Forbidden(certificate, "updates may not set certificate content"))
	case changed && len(old.Status.Certificate) > 0:
		faults = append(faults, field.Forbidden(certificate, "updates may not modify existing certificate content"))
	}
	return faults
}

// validateDecision lets no decision be taken back, and only some paths take one.
func validateDecision(obj, old *signingRequest, may writes) field.ErrorList {
	var faults field.ErrorList
	at := field.NewPath("status", "conditions")
	forbid := func(what string, t certificatesv1.RequestConditionType) {
		faults = append(faults, field.Forbidden(at, fmt.Sprintf("updates may not %s a condition of type %q", what, t)))
	}
	for _, t := range append(slices.Clone(decisions), certificatesv1.CertificateFailed) {
		if len(conditionsOf(obj, t)) < len(conditionsOf(old, t)) {
			forbid("remove", t)
		}
	}
	for _, t := range decisions {
		if !may.decision && len(conditionsOf(obj, t)) > len(conditionsOf(old, t)) {
			forbid("add", t)
		}
	}
	return faults
}

func conditionsOf(obj *signingRequest, t certificatesv1.RequestConditionType) []certificatesv1.CertificateSigningRequestCondition {
	var out []certificatesv1.CertificateSigningRequestCondition
	for _, c := range obj.Status.Conditions {
		if c.Type == t {
			out = append(out, c)
		}
	}
	return out
}

// checkCertificate says why data is not a chain of certificates in PEM.
func checkCertificate(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	found := false
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return fmt.Errorf("only CERTIFICATE PEM blocks are allowed, found %q", block.Type)
		}
		if len(block.Headers) != 0 {
			return errors.New("no PEM block headers are permitted")
		}
		certs, err := x509.ParseCertificates(block.Bytes)
		if err != nil {
			return err
		}
		if len(certs) == 0 {
			return errors.New("found CERTIFICATE PEM block containing 0 certificates")
		}
		found, data = true, rest
	}
	if !found {
		return errors.New("must contain at least one CERTIFICATE PEM block")
	}
	return nil
}
