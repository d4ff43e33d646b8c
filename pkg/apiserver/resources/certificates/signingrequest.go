// Package certificates declares the resources of the group certificates.k8s.io.
package certificates

import (
	"context"
	"maps"
	"slices"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	certificatesv1beta1 "k8s.io/api/certificates/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/clock"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

type signingRequest = certificatesv1.CertificateSigningRequest

// SigningRequest declares certificatesigningrequests. What is asked for never changes; who decides writes
// to approval, who signs to status.
func SigningRequest(c clock.PassiveClock) *resource.Resource {
	return resource.Define(resource.Definition[*signingRequest]{
		Kind:          certificatesv1.SchemeGroupVersion.WithKind("CertificateSigningRequest"),
		Plural:        "certificatesigningrequests",
		ShortNames:    []string{"csr"},
		ClusterScoped: true,
		ValidateName:  func(string, bool) []string { return nil },
		Prepare:       prepare,
		Reset:         []string{"spec", "status"},
		Validate: func(_ context.Context, obj, old *signingRequest) field.ErrorList {
			if old == nil {
				return validateNew(obj)
			}
			return validateUpdate(obj, old, writes{})
		},
		Columns:    columns(),
		Row:        row,
		FieldNames: []string{"spec.signerName"},
		Fields: func(obj *signingRequest) map[string]string {
			return map[string]string{"spec.signerName": obj.Spec.SignerName}
		},
		Subresources: []resource.Subresource[*signingRequest]{
			part("approval", writes{decision: true}, []string{"spec", "status.certificate"}, func(obj, old *signingRequest) {
				obj.Spec, obj.Status.Certificate = old.Spec, old.Status.Certificate
				stamp(obj, old, c.Now())
			}),
			part("status", writes{certificate: true}, []string{"spec", "status.conditions"}, func(obj, old *signingRequest) {
				obj.Spec = old.Spec
				keepDecisions(obj, old)
				stamp(obj, old, c.Now())
			}),
		},
	})
}

func part(name string, may writes, reset []string, prepare func(obj, old *signingRequest)) resource.Subresource[*signingRequest] {
	return resource.Subresource[*signingRequest]{
		Name: name, Kind: certificatesv1.SchemeGroupVersion.WithKind("CertificateSigningRequest"), Verbs: []string{"get", "patch", "update"},
		Update: &resource.UpdatePart[*signingRequest]{
			Prepare: func(_ context.Context, obj, old *signingRequest) { prepare(obj, old) },
			Validate: func(_ context.Context, obj, old *signingRequest) field.ErrorList {
				return validateUpdate(obj, old, may)
			},
			Reset: reset,
		},
	}
}

// prepare notes who asks, whatever the request says of that.
func prepare(ctx context.Context, obj, old *signingRequest) {
	if old != nil {
		obj.Spec, obj.Status = old.Spec, old.Status
		return
	}
	obj.Status = certificatesv1.CertificateSigningRequestStatus{}
	spec := &obj.Spec
	spec.Username, spec.UID, spec.Groups, spec.Extra = "", "", nil, nil
	user := request.UserFrom(ctx)
	if user == nil {
		return
	}
	spec.Username, spec.UID, spec.Groups = user.Name, user.UID, slices.Clone(user.Groups)
	for key, values := range user.Extra {
		if spec.Extra == nil {
			spec.Extra = map[string]certificatesv1.ExtraValue{}
		}
		spec.Extra[key] = values
	}
}

// keepDecisions sets back what decisions say, which is for approval to change. One that comes or goes is refused later.
func keepDecisions(obj, old *signingRequest) {
	for _, t := range decisions {
		was := conditionsOf(old, t)
		if len(conditionsOf(obj, t)) != len(was) {
			continue
		}
		for i := range obj.Status.Conditions {
			if c := &obj.Status.Conditions[i]; c.Type == t {
				*c, was = was[0], was[1:]
			}
		}
	}
}

// stamp dates conditions that came without times.
func stamp(obj, old *signingRequest, now time.Time) {
	at := metav1.NewTime(now).Rfc3339Copy()
	for i := range obj.Status.Conditions {
		c := &obj.Status.Conditions[i]
		if c.LastUpdateTime.IsZero() {
			c.LastUpdateTime = at
		}
		if !c.LastTransitionTime.IsZero() {
			continue
		}
		c.LastTransitionTime = at
		for _, o := range old.Status.Conditions {
			if o.Type == c.Type && o.Status == c.Status && !o.LastTransitionTime.IsZero() {
				c.LastTransitionTime = o.LastTransitionTime
				break
			}
		}
	}
}

func columns() []metav1.TableColumnDefinition {
	doc := certificatesv1beta1.CertificateSigningRequestSpec{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		column.Name(),
		column.Age(),
		column.Text("SignerName", doc["signerName"]),
		column.Text("Requestor", doc["request"]),
		column.Text("RequestedDuration", doc["expirationSeconds"]),
		column.Text("Condition", certificatesv1beta1.CertificateSigningRequestStatus{}.SwaggerDoc()["conditions"]),
	}
}

func row(obj *signingRequest) []any {
	asked := column.None
	if s := obj.Spec.ExpirationSeconds; s != nil {
		asked = duration.HumanDuration(time.Duration(*s) * time.Second)
	}
	return []any{obj.Name, column.Since(obj.CreationTimestamp), obj.Spec.SignerName, obj.Spec.Username, asked, state(obj)}
}

func state(obj *signingRequest) string {
	has := map[certificatesv1.RequestConditionType]bool{}
	for _, c := range obj.Status.Conditions {
		has[c.Type] = true
	}
	state := "Pending"
	switch {
	case has[certificatesv1.CertificateDenied]:
		state = "Denied"
	case has[certificatesv1.CertificateApproved]:
		state = "Approved"
	}
	if has[certificatesv1.CertificateFailed] {
		state += ",Failed"
	}
	if len(obj.Status.Certificate) > 0 {
		state += ",Issued"
	}
	return state
}

// usages are the words for what a certificate may be used for.
func usages() []certificatesv1.KeyUsage {
	known := map[certificatesv1.KeyUsage]bool{}
	for _, u := range []certificatesv1.KeyUsage{
		certificatesv1.UsageSigning, certificatesv1.UsageDigitalSignature, certificatesv1.UsageContentCommitment,
		certificatesv1.UsageKeyEncipherment, certificatesv1.UsageKeyAgreement, certificatesv1.UsageDataEncipherment,
		certificatesv1.UsageCertSign, certificatesv1.UsageCRLSign, certificatesv1.UsageEncipherOnly, certificatesv1.UsageDecipherOnly,
		certificatesv1.UsageAny, certificatesv1.UsageServerAuth, certificatesv1.UsageClientAuth, certificatesv1.UsageCodeSigning,
		certificatesv1.UsageEmailProtection, certificatesv1.UsageSMIME, certificatesv1.UsageIPsecEndSystem, certificatesv1.UsageIPsecTunnel,
		certificatesv1.UsageIPsecUser, certificatesv1.UsageTimestamping, certificatesv1.UsageOCSPSigning,
		certificatesv1.UsageMicrosoftSGC, certificatesv1.UsageNetscapeSGC,
	} {
		known[u] = true
	}
	return slices.Sorted(maps.Keys(known))
}
