package webhook

import (
	"encoding/json"
	"errors"
	"fmt"

	reviewv1 "k8s.io/api/admission/v1"
	reviewv1beta1 "k8s.io/api/admission/v1beta1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
)

// review makes the question in the first version that the webhook and the server speak, and what its answer is read
// into.
func review(h *hook, uid types.UID, request *reviewv1.AdmissionRequest) (question, answer runtime.Object, err error) {
	request.UID = uid
	for _, v := range h.versions {
		switch v {
		case "v1":
			return &reviewv1.AdmissionReview{Request: request}, &reviewv1.AdmissionReview{}, nil
		case "v1beta1":
			older, err := asBeta(request)
			return &reviewv1beta1.AdmissionReview{Request: older}, &reviewv1beta1.AdmissionReview{}, err
		}
	}
	return nil, nil, errors.New("webhook does not accept known AdmissionReview versions (v1, v1beta1)")
}

// asBeta gives the request in the version before: the fields are the same.
func asBeta(r *reviewv1.AdmissionRequest) (*reviewv1beta1.AdmissionRequest, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	out := &reviewv1beta1.AdmissionRequest{}
	return out, json.Unmarshal(data, out)
}

// describe tells the write with its objects as the webhook's rules take it.
func describe(a *admission.Attributes, t admission.Target) (*reviewv1.AdmissionRequest, error) {
	object, err := a.In(t.Kind, a.Object)
	if err != nil {
		return nil, err
	}
	old, err := a.In(t.Kind, a.OldObject)
	if err != nil {
		return nil, err
	}
	r := a.Request(t)
	r.Object, r.OldObject = raw(object, t), raw(old, t)
	return r, nil
}

// raw holds an object with its kind in it.
func raw(o runtime.Object, t admission.Target) runtime.RawExtension {
	return runtime.RawExtension{Object: admission.Kinded(o, t.Kind)}
}

// verify reads an answer, in either version, and refuses one that breaks the rules of the newer.
func verify(answer runtime.Object, uid types.UID, mutating bool) (*reviewv1.AdmissionResponse, error) {
	switch r := answer.(type) {
	case *reviewv1.AdmissionReview:
		return verifyV1(r, uid, mutating)
	case *reviewv1beta1.AdmissionReview:
		if r.Response == nil {
			return nil, errors.New("webhook response was absent")
		}
		out := &reviewv1.AdmissionResponse{Allowed: r.Response.Allowed, Result: r.Response.Result,
			AuditAnnotations: r.Response.AuditAnnotations, Warnings: r.Response.Warnings}
		if mutating && len(r.Response.Patch) > 0 {
			out.Patch, out.PatchType = r.Response.Patch, new(reviewv1.PatchTypeJSONPatch)
		}
		return out, nil
	}
	return nil, fmt.Errorf("unexpected response type %T", answer)
}

func verifyV1(r *reviewv1.AdmissionReview, uid types.UID, mutating bool) (*reviewv1.AdmissionResponse, error) {
	want := reviewv1.SchemeGroupVersion.WithKind("AdmissionReview")
	switch out := r.Response; {
	case out == nil:
		return nil, errors.New("webhook response was absent")
	case out.UID != uid:
		return nil, fmt.Errorf("expected response.uid=%q, got %q", uid, out.UID)
	case r.GroupVersionKind() != want:
		return nil, fmt.Errorf("expected webhook response of %v, got %v", want, r.GroupVersionKind())
	case !mutating && len(out.Patch) > 0:
		return nil, errors.New("validating webhook may not return response.patch")
	case !mutating && out.PatchType != nil:
		return nil, errors.New("validating webhook may not return response.patchType")
	case mutating && len(out.Patch) > 0 && out.PatchType == nil:
		return nil, errors.New("webhook returned response.patch but not response.patchType")
	case mutating && len(out.Patch) == 0 && out.PatchType != nil:
		return nil, errors.New("webhook returned response.patchType but not response.patch")
	case mutating && out.PatchType != nil && *out.PatchType == "":
		return nil, fmt.Errorf("webhook returned invalid response.patchType of %q", *out.PatchType)
	default:
		return out, nil
	}
}
