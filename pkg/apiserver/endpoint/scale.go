package endpoint

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// unsetReplicas are those of a Scale whose parent has none: no client asks for so few.
const unsetReplicas = math.MinInt32

// scaleOf gives an object's Scale.
func scaleOf(part *resource.ScalePart[resource.Object], o resource.Object) *autoscalingv1.Scale {
	return &autoscalingv1.Scale{
		TypeMeta: metav1.TypeMeta{Kind: "Scale", APIVersion: "autoscaling/v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: o.GetName(), Namespace: o.GetNamespace(), UID: o.GetUID(), ResourceVersion: o.GetResourceVersion(), CreationTimestamp: o.GetCreationTimestamp(),
		},
		Spec:   autoscalingv1.ScaleSpec{Replicas: part.Replicas(o)},
		Status: autoscalingv1.ScaleStatus{Replicas: part.StatusReplicas(o), Selector: part.Selector(o)},
	}
}

// scale answers GET, PUT and PATCH of a scale subresource.
func (s *Served) scale(w http.ResponseWriter, r *http.Request, info *request.Info, chain admission.Chain, sub *resource.Subresource[resource.Object]) {
	f, err := negotiate(r, true, true)
	if err != nil {
		fail(w, r, err)
		return
	}
	part := sub.Scale
	if info.Verb == "get" {
		e, _, err := s.find(r.Context(), info, queryOf(r).Get("resourceVersion"))
		if err != nil {
			fail(w, r, err)
			return
		}
		o, err := s.Object(e)
		if err != nil {
			fail(w, r, apierrors.NewInternalError(err))
			return
		}
		if part.Missing != nil {
			if err := part.Missing(o); err != nil {
				fail(w, r, err)
				return
			}
		}
		s.answerScale(w, r, f, scaleOf(part, o))
		return
	}
	opts, change, err := s.scaleChange(r, info)
	if err != nil {
		fail(w, r, err)
		return
	}
	wr := s.writeOf(r, info, nil, opts.DryRun, managerOf(opts.FieldManager, r), opts)
	wr.UID = change.uid
	wr.Applied = true // the owners of the Scale's fields are brought into the object below
	owners := scaleOwners{s: s, part: part, manager: wr.Manager, force: opts.Force != nil && *opts.Force}
	up := &resource.UpdatePart[resource.Object]{Validate: s.Validate, Counts: true}
	out, _, err := s.Update(r.Context(), wr, up, false, func(ctx context.Context, old resource.Object) (resource.Object, error) {
		old = old.DeepCopyObject().(resource.Object)
		before := scaleOf(part, old)
		unset := part.Missing != nil && part.Missing(old) != nil
		if unset {
			before.Spec.Replicas = unsetReplicas
		}
		after, err := owners.settle(old, before, change)
		if err != nil {
			return nil, err
		}
		if err := s.agrees(after, info); err != nil {
			return nil, err
		}
		if unset && after.Spec.Replicas == unsetReplicas {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("the spec replicas field %q cannot be empty", "."+part.SpecPath))
		}
		if err := s.judgeScale(after, old); err != nil {
			return nil, err
		}
		a := &admission.Attributes{
			Operation: admission.Update, Kind: sub.Kind, Resource: s.GVR(), Subresource: sub.Name, Namespace: info.Namespace, Name: info.Name,
			Object: after, OldObject: before, Options: opts, DryRun: len(opts.DryRun) > 0, User: request.UserFrom(ctx),
		}
		if err := chain.Admit(ctx, a); err != nil {
			return nil, err
		}
		if err := chain.Validate(ctx, a); err != nil {
			return nil, err
		}
		if admitted, is := a.Object.(*autoscalingv1.Scale); is {
			after = admitted
		}
		part.SetReplicas(old, after.Spec.Replicas)
		old.SetManagedFields(after.ManagedFields)
		if after.ResourceVersion != "" {
			old.SetResourceVersion(after.ResourceVersion)
		}
		return old, nil
	})
	if err != nil {
		fail(w, r, err)
		return
	}
	s.answerScale(w, r, f, scaleOf(part, out))
}

// judgeScale refuses a Scale of a built-in object that has faults, or that is of another object of its name. Those of
// custom resources are judged by the object that they make.
func (s *Served) judgeScale(scale *autoscalingv1.Scale, of resource.Object) error {
	if s.custom() {
		return nil
	}
	faults := apivalidation.ValidateObjectMeta(&scale.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	if scale.Spec.Replicas < 0 {
		faults = append(faults, field.Invalid(field.NewPath("spec", "replicas"), scale.Spec.Replicas, "must be greater than or equal to 0").WithOrigin("minimum"))
	}
	if len(faults) > 0 {
		return apierrors.NewInvalid(scale.GroupVersionKind().GroupKind(), of.GetName(), faults)
	}
	if scale.UID != "" && scale.UID != of.GetUID() {
		resource := s.GroupResource()
		resource.Resource += "/scale"
		return apierrors.NewConflict(resource, of.GetName(), fmt.Errorf("Precondition failed: UID in precondition: %v, UID in object meta: %v", scale.UID, of.GetUID()))
	}
	return nil
}

// scaleChange reads what the client wants the Scale to be.
func (s *Served) scaleChange(r *http.Request, info *request.Info) (*metav1.PatchOptions, scaleChange, error) {
	kind := autoscalingv1.SchemeGroupVersion.WithKind("Scale")
	if info.Verb == "update" {
		opts, err := options(r, &metav1.UpdateOptions{}, "UpdateOptions", metav1validation.ValidateUpdateOptions)
		if err != nil {
			return nil, scaleChange{}, err
		}
		media, err := mediaOf(r)
		if err != nil {
			return nil, scaleChange{}, err
		}
		body, err := readBody(r)
		if err != nil {
			return nil, scaleChange{}, err
		}
		wanted := &autoscalingv1.Scale{}
		if err := decode(r, media, body, kind, wanted, validationOf(opts.FieldValidation)); err != nil {
			return nil, scaleChange{}, err
		}
		return &metav1.PatchOptions{DryRun: opts.DryRun, FieldManager: opts.FieldManager}, scaleChange{
			plain: func(*autoscalingv1.Scale) (*autoscalingv1.Scale, error) { return wanted.DeepCopy(), nil }, uid: wanted.UID,
		}, s.agrees(wanted, info)
	}
	patchKind, err := s.patchType(r)
	if err != nil {
		return nil, scaleChange{}, err
	}
	opts, err := options(r, &metav1.PatchOptions{}, "PatchOptions", func(o *metav1.PatchOptions) field.ErrorList {
		return metav1validation.ValidatePatchOptions(o, patchKind)
	})
	if err != nil {
		return nil, scaleChange{}, err
	}
	body, err := readBody(r)
	if err != nil {
		return nil, scaleChange{}, err
	}
	p := &patcher{s: s, r: r, info: info, kind: patchKind, body: body, strict: validationOf(opts.FieldValidation)}
	if patchKind != types.ApplyYAMLPatchType {
		return opts, scaleChange{plain: p.scale}, nil
	}
	wanted, err := p.parseApply()
	return opts, scaleChange{applied: wanted, duplicates: p.duplicates}, err
}

// scale patches a Scale.
func (p *patcher) scale(old *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
	before, err := json.Marshal(old)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	into := &autoscalingv1.Scale{}
	into.SetGroupVersionKind(autoscalingv1.SchemeGroupVersion.WithKind("Scale"))
	if err := p.patched(before, old, into); err != nil {
		return nil, err
	}
	return into, nil
}
