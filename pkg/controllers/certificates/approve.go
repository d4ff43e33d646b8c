package certificates

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/sampan-project/sampan/pkg/controller"
)

// NewApprover makes the controller that approves kubelets' requests for client certificates, for those whom
// RBAC permits it. Its keys are names of requests.
func NewApprover(env *controller.Env) (controller.Runner, error) {
	requests := env.Informers.Certificates().V1().CertificateSigningRequests()
	work := func(ctx context.Context, _ string, cached *certificatesv1.CertificateSigningRequest) (controller.Result, error) {
		if !waiting(cached) {
			return controller.Result{}, nil
		}
		return controller.Result{}, approve(ctx, env, cached.DeepCopy())
	}
	loop := controller.New(env, "certificate_approving", 5, controller.Of(requests.Lister().Get, work))
	controller.Watch(loop, requests.Informer(), func(_, csr *certificatesv1.CertificateSigningRequest) []string {
		if csr == nil || !waiting(csr) {
			return nil
		}
		return []string{csr.Name}
	})
	return loop, nil
}

func waiting(csr *certificatesv1.CertificateSigningRequest) bool {
	return len(csr.Status.Certificate) == 0 && !conditionOf(csr, certificatesv1.CertificateApproved) &&
		!conditionOf(csr, certificatesv1.CertificateDenied) && csr.Spec.SignerName == certificatesv1.KubeAPIServerClientKubeletSignerName
}

func approve(ctx context.Context, env *controller.Env, csr *certificatesv1.CertificateSigningRequest) error {
	r, err := parse(csr.Spec.Request)
	if err != nil || checkKubeletClient(r, csr.Spec.Usages) != nil {
		return nil // not for us to judge; a person may
	}
	for _, kind := range []struct{ subresource, message string }{
		{"selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview."},
		{"nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."},
	} {
		if kind.subresource == "selfnodeclient" && csr.Spec.Username != r.Subject.CommonName {
			continue
		}
		allowed, err := mayRequest(ctx, env.Client, csr, kind.subresource)
		if err != nil {
			return err
		}
		if !allowed {
			continue
		}
		now := metav1.NewTime(env.Clock.Now())
		csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
			Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "AutoApproved", Message: kind.message, LastUpdateTime: now, LastTransitionTime: now,
		})
		_, err = env.Client.CertificatesV1().CertificateSigningRequests().UpdateApproval(ctx, csr.Name, csr, metav1.UpdateOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("approving certificate request %s: %w", csr.Name, err)
		}
		return nil
	}
	return nil
}

// mayRequest asks whether the requester may have such a certificate without anyone looking.
func mayRequest(ctx context.Context, client kubernetes.Interface, csr *certificatesv1.CertificateSigningRequest, subresource string) (bool, error) {
	extra := map[string]authorizationv1.ExtraValue{}
	for k, v := range csr.Spec.Extra {
		extra[k] = authorizationv1.ExtraValue(v)
	}
	review, err := client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: csr.Spec.Username, UID: csr.Spec.UID, Groups: csr.Spec.Groups, Extra: extra,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Group: "certificates.k8s.io", Resource: "certificatesigningrequests", Verb: "create", Subresource: subresource, Version: "*",
		},
	}}, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("asking whether %s may request a certificate: %w", csr.Spec.Username, err)
	}
	return review.Status.Allowed, nil
}
