package certificates

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"slices"
	"sync"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/keyutil"

	"github.com/sampan-project/sampan/pkg/controller"
)

// backdate allows for clocks that are behind.
const backdate = 5 * time.Minute

// minDuration is the shortest validity that a request can ask for.
const minDuration = 10 * time.Minute

// Authority is a certificate authority in files. It reads them again when they change.
type Authority struct {
	CertFile, KeyFile string

	mu      sync.Mutex
	certPEM []byte
	keyPEM  []byte
	cert    *x509.Certificate
	key     crypto.Signer
}

// load answers the certificate and key as the files hold them now.
func (a *Authority) load() (*x509.Certificate, crypto.Signer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	certPEM, err := os.ReadFile(a.CertFile)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the signing certificate: %w", err)
	}
	keyPEM, err := os.ReadFile(a.KeyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the signing key: %w", err)
	}
	if a.cert != nil && bytes.Equal(certPEM, a.certPEM) && bytes.Equal(keyPEM, a.keyPEM) {
		return a.cert, a.key, nil
	}
	block, _ := pem.Decode(certPEM)
	if block == nil {
		return nil, nil, fmt.Errorf("%s holds no PEM certificate", a.CertFile)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", a.CertFile, err)
	}
	key, err := keyutil.ParsePrivateKeyPEM(keyPEM)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", a.KeyFile, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("%s holds a key that cannot sign", a.KeyFile)
	}
	a.cert, a.key, a.certPEM, a.keyPEM = cert, signer, certPEM, keyPEM
	return cert, signer, nil
}

// Sign makes the certificate of a request, valid for at most duration and never longer than the authority.
func Sign(ca *x509.Certificate, key crypto.Signer, r *x509.CertificateRequest, list []certificatesv1.KeyUsage, duration time.Duration, now time.Time) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	use, extended, err := keyUsages(list)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: r.Subject, DNSNames: r.DNSNames, IPAddresses: r.IPAddresses, EmailAddresses: r.EmailAddresses, URIs: r.URIs,
		NotBefore: now.Add(-backdate), NotAfter: now.Add(-backdate).Add(duration),
		KeyUsage: use, ExtKeyUsage: extended, BasicConstraintsValid: true, PublicKey: r.PublicKey, PublicKeyAlgorithm: r.PublicKeyAlgorithm,
	}
	if template.NotAfter.Before(now) {
		template.NotAfter = now.Add(duration)
	}
	if template.NotAfter.After(ca.NotAfter) {
		template.NotAfter = ca.NotAfter
	}
	if !now.Before(ca.NotAfter) {
		return nil, fmt.Errorf("the signer has expired: NotAfter=%v", ca.NotAfter)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, r.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

var plainUsages = map[certificatesv1.KeyUsage]x509.KeyUsage{
	certificatesv1.UsageSigning: x509.KeyUsageDigitalSignature, certificatesv1.UsageDigitalSignature: x509.KeyUsageDigitalSignature,
	certificatesv1.UsageContentCommitment: x509.KeyUsageContentCommitment, certificatesv1.UsageKeyEncipherment: x509.KeyUsageKeyEncipherment,
	certificatesv1.UsageKeyAgreement: x509.KeyUsageKeyAgreement, certificatesv1.UsageDataEncipherment: x509.KeyUsageDataEncipherment,
	certificatesv1.UsageCertSign: x509.KeyUsageCertSign, certificatesv1.UsageCRLSign: x509.KeyUsageCRLSign,
	certificatesv1.UsageEncipherOnly: x509.KeyUsageEncipherOnly, certificatesv1.UsageDecipherOnly: x509.KeyUsageDecipherOnly,
}

var extendedUsages = map[certificatesv1.KeyUsage]x509.ExtKeyUsage{
	certificatesv1.UsageAny: x509.ExtKeyUsageAny, certificatesv1.UsageServerAuth: x509.ExtKeyUsageServerAuth, certificatesv1.UsageClientAuth: x509.ExtKeyUsageClientAuth,
	certificatesv1.UsageCodeSigning: x509.ExtKeyUsageCodeSigning, certificatesv1.UsageEmailProtection: x509.ExtKeyUsageEmailProtection,
	certificatesv1.UsageSMIME: x509.ExtKeyUsageEmailProtection, certificatesv1.UsageIPsecEndSystem: x509.ExtKeyUsageIPSECEndSystem,
	certificatesv1.UsageIPsecTunnel: x509.ExtKeyUsageIPSECTunnel, certificatesv1.UsageIPsecUser: x509.ExtKeyUsageIPSECUser,
	certificatesv1.UsageTimestamping: x509.ExtKeyUsageTimeStamping, certificatesv1.UsageOCSPSigning: x509.ExtKeyUsageOCSPSigning,
	certificatesv1.UsageMicrosoftSGC: x509.ExtKeyUsageMicrosoftServerGatedCrypto, certificatesv1.UsageNetscapeSGC: x509.ExtKeyUsageNetscapeServerGatedCrypto,
}

func keyUsages(list []certificatesv1.KeyUsage) (use x509.KeyUsage, extended []x509.ExtKeyUsage, err error) {
	for _, u := range list {
		if plain, ok := plainUsages[u]; ok {
			use |= plain
		} else if e, ok := extendedUsages[u]; ok {
			extended = append(extended, e)
		} else {
			return 0, nil, fmt.Errorf("unrecognized usage values: %q", u)
		}
	}
	slices.Sort(extended)
	return use, slices.Compact(extended), nil
}

// Signers are the authorities by signer; one that is nil signs nothing.
type Signers struct {
	KubeletServing, KubeletClient, APIServerClient, LegacyUnknown *Authority
	Duration                                                      time.Duration
}

func (s *Signers) find(name string) (*Authority, func(*x509.CertificateRequest, []certificatesv1.KeyUsage) error) {
	switch name {
	case certificatesv1.KubeletServingSignerName:
		return s.KubeletServing, checkKubeletServing
	case certificatesv1.KubeAPIServerClientKubeletSignerName:
		return s.KubeletClient, checkKubeletClient
	case certificatesv1.KubeAPIServerClientSignerName:
		return s.APIServerClient, checkAPIServerClient
	case "kubernetes.io/legacy-unknown":
		return s.LegacyUnknown, func(*x509.CertificateRequest, []certificatesv1.KeyUsage) error { return nil }
	}
	return nil, nil
}

// NewSigner makes the controller that signs approved requests. Its keys are names of requests.
func NewSigner(env *controller.Env, signers *Signers) (controller.Runner, error) {
	requests := env.Informers.Certificates().V1().CertificateSigningRequests()
	work := func(ctx context.Context, _ string, cached *certificatesv1.CertificateSigningRequest) (controller.Result, error) {
		if !signable(cached) {
			return controller.Result{}, nil
		}
		return controller.Result{}, sign(ctx, env, signers, cached.DeepCopy())
	}
	loop := controller.New(env, "certificate_signing", 5, controller.Of(requests.Lister().Get, work))
	controller.Watch(loop, requests.Informer(), func(_, csr *certificatesv1.CertificateSigningRequest) []string {
		if csr == nil || !signable(csr) {
			return nil
		}
		return []string{csr.Name}
	})
	return loop, nil
}

func signable(csr *certificatesv1.CertificateSigningRequest) bool {
	return conditionOf(csr, certificatesv1.CertificateApproved) && !conditionOf(csr, certificatesv1.CertificateDenied) &&
		!conditionOf(csr, certificatesv1.CertificateFailed) && len(csr.Status.Certificate) == 0
}

func sign(ctx context.Context, env *controller.Env, signers *Signers, csr *certificatesv1.CertificateSigningRequest) error {
	authority, check := signers.find(csr.Spec.SignerName)
	if authority == nil {
		return nil // another's to sign
	}
	r, err := parse(csr.Spec.Request)
	if err == nil {
		err = check(r, csr.Spec.Usages)
	}
	if err != nil {
		return refuse(ctx, env, csr, err)
	}
	if err := r.CheckSignature(); err != nil {
		return refuse(ctx, env, csr, errors.New("the request's own signature is wrong"))
	}
	ca, key, err := authority.load()
	if err != nil {
		return fmt.Errorf("signing %s: %w", csr.Name, err)
	}
	duration := signers.Duration
	if csr.Spec.ExpirationSeconds != nil {
		duration = max(min(duration, time.Duration(*csr.Spec.ExpirationSeconds)*time.Second), minDuration)
	}
	if csr.Status.Certificate, err = Sign(ca, key, r, csr.Spec.Usages, duration, env.Clock.Now()); err != nil {
		return fmt.Errorf("signing %s: %w", csr.Name, err)
	}
	return writeStatus(ctx, env, csr)
}

// refuse says for good that the signer does not sign such a request.
func refuse(ctx context.Context, env *controller.Env, csr *certificatesv1.CertificateSigningRequest, why error) error {
	now := metav1.NewTime(env.Clock.Now())
	csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateFailed, Status: corev1.ConditionTrue, Reason: "SignerValidationFailure", Message: why.Error(), LastUpdateTime: now, LastTransitionTime: now,
	})
	return writeStatus(ctx, env, csr)
}

func writeStatus(ctx context.Context, env *controller.Env, csr *certificatesv1.CertificateSigningRequest) error {
	_, err := env.Client.CertificatesV1().CertificateSigningRequests().UpdateStatus(ctx, csr, metav1.UpdateOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("answering certificate request %s: %w", csr.Name, err)
	}
	return nil
}
