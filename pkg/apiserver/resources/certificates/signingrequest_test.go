package certificates

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

func with(conditions ...certificatesv1.RequestConditionType) *signingRequest {
	r := &signingRequest{}
	for _, t := range conditions {
		r.Status.Conditions = append(r.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: t, Status: corev1.ConditionTrue})
	}
	return r
}

func signed(r *signingRequest, certificate string) *signingRequest {
	r.Status.Certificate = []byte(certificate)
	return r
}

func TestOnlyApprovalDecidesAndOnlyStatusSigns(t *testing.T) {
	const approved, denied = certificatesv1.CertificateApproved, certificatesv1.CertificateDenied
	for name, c := range map[string]struct {
		now, before *signingRequest
		may         writes
		want        string
	}{
		"approval decides":            {with(approved), with(), writes{decision: true}, ""},
		"status does not decide":      {with(approved), with(), writes{certificate: true}, `status.conditions: Forbidden: updates may not add a condition of type "Approved"`},
		"a decision stays":            {with(), with(denied), writes{decision: true}, `status.conditions: Forbidden: updates may not remove a condition of type "Denied"`},
		"approval does not sign":      {signed(with(), "x"), with(), writes{decision: true}, "status.certificate: Invalid value: \"<certificate data>\": must contain at least one CERTIFICATE PEM block"},
		"a certificate stays":         {with(), signed(with(), "x"), writes{certificate: true}, "status.certificate: Forbidden: updates may not modify existing certificate content"},
		"one decision, not both":      {with(approved, denied), with(approved, denied), writes{decision: true}, `status.conditions: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive`},
		"an update of labels changes": {with(approved), with(approved), writes{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if faults := validateUpdate(c.now, c.before, c.may); len(faults) > 0 {
				got = faults[0].Error()
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestOnlyApprovalSaysMoreOfADecision(t *testing.T) {
	const approved, failed = certificatesv1.CertificateApproved, certificatesv1.CertificateFailed
	old, now := with(approved), with(failed, approved)
	old.Status.Conditions[0].Message = "checked"
	old.Status.Conditions[0].LastUpdateTime = metav1.NewTime(time.Unix(100, 0))
	keepDecisions(now, old)
	if diff := cmp.Diff(old.Status.Conditions[0], now.Status.Conditions[1]); diff != "" || now.Status.Conditions[0].Type != failed {
		t.Errorf("kept (-), got (+):\n%s in %v", diff, now.Status.Conditions)
	}
	if faults := validateUpdate(now, old, writes{certificate: true}); len(faults) > 0 {
		t.Errorf("a signer that failed is refused: %v", faults)
	}
	if faults := validateUpdate(with(approved, certificatesv1.CertificateDenied, failed), old, writes{decision: true}); len(faults) != 1 {
		t.Errorf("two decisions and a failure: %v, want one fault", faults)
	}
}

func TestARequestSaysWhoAsksWhateverItClaims(t *testing.T) {
	r := &signingRequest{Spec: certificatesv1.CertificateSigningRequestSpec{Username: "root", Groups: []string{"system:masters"}}}
	r.Status.Certificate = []byte("x")
	ctx := request.WithUser(context.Background(), &request.User{Name: "jane", UID: "7", Groups: []string{"team"}})
	prepare(ctx, r, nil)
	want := certificatesv1.CertificateSigningRequestSpec{Username: "jane", UID: "7", Groups: []string{"team"}}
	if diff := cmp.Diff(want, r.Spec); diff != "" || len(r.Status.Certificate) > 0 {
		t.Errorf("want (-), got (+):\n%s status %v", diff, r.Status)
	}
}

func TestConditionsGetTimesAndKeepThoseOfTheSameState(t *testing.T) {
	before := metav1.NewTime(time.Unix(100, 0))
	old, now := with(certificatesv1.CertificateApproved), with(certificatesv1.CertificateApproved, certificatesv1.CertificateFailed)
	old.Status.Conditions[0].LastTransitionTime = before
	stamp(now, old, time.Unix(200, 0))
	if got := now.Status.Conditions[0].LastTransitionTime; !got.Equal(&before) {
		t.Errorf("the transition of what stays as it was is at %v, want %v", got, before)
	}
	if got := now.Status.Conditions[1].LastTransitionTime.Unix(); got != 200 {
		t.Errorf("the transition of what is new is at %d, want 200", got)
	}
}
