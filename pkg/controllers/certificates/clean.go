package certificates

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"

	"github.com/sampan-project/sampan/pkg/controller"
)

const (
	keepPending  = 24 * time.Hour
	keepDecided  = time.Hour
	cleanedEvery = time.Hour
)

// NewCleaner makes the controller that deletes requests that are over: decided an hour ago, undecided for a
// day, or with a certificate that has expired.
func NewCleaner(env *controller.Env) (controller.Runner, error) {
	requests := env.Informers.Certificates().V1().CertificateSigningRequests()
	lister := requests.Lister()
	return &controller.Periodic{
		Env: env, Name: "csrcleaner", Every: cleanedEvery, Needs: []cache.SharedIndexInformer{requests.Informer()},
		Do: func(ctx context.Context) error {
			list, err := lister.List(labels.Everything())
			if err != nil {
				return fmt.Errorf("listing certificate requests: %w", err)
			}
			var errs []error
			for _, csr := range list {
				if !Over(csr, env.Clock.Now()) {
					continue
				}
				err := env.Client.CertificatesV1().CertificateSigningRequests().Delete(ctx, csr.Name, metav1.DeleteOptions{})
				if err != nil && !apierrors.IsNotFound(err) {
					errs = append(errs, fmt.Errorf("deleting certificate request %s: %w", csr.Name, err))
				}
			}
			return errors.Join(errs...)
		},
	}, nil
}

// Over tells whether nobody needs a request any more.
func Over(csr *certificatesv1.CertificateSigningRequest, now time.Time) bool {
	decided := false
	for _, c := range csr.Status.Conditions {
		issued := len(csr.Status.Certificate) > 0
		counts := c.Type != certificatesv1.CertificateApproved || issued
		decided = decided || counts
		if counts && now.Sub(c.LastUpdateTime.Time) > keepDecided {
			return true
		}
		if !counts && now.Sub(c.LastUpdateTime.Time) > keepPending {
			return true
		}
	}
	if len(csr.Status.Conditions) == 0 && now.Sub(csr.CreationTimestamp.Time) > keepPending {
		return true
	}
	if block, _ := pem.Decode(csr.Status.Certificate); block != nil && decided {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && now.After(c.NotAfter) {
			return true
		}
	}
	return false
}
