package endpoint

import (
	"encoding/json"
	"net/http"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

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
	var out *autoscalingv1.Scale
	if info.Verb == "get" {
		out, err = s.getScale(r, info, sub.Scale)
	} else {
		out, err = s.writeScale(r, info, chain, sub)
	}
	if err != nil {
		fail(w, r, err)
		return
	}
	s.answerScale(w, r, f, out)
}

func (s *Served) getScale(r *http.Request, info *request.Info, part *resource.ScalePart[resource.Object]) (*autoscalingv1.Scale, error) {
	e, o, err := s.find(r.Context(), info, queryOf(r).Get("resourceVersion"))
	if err != nil {
		return nil, err
	}
	if e != nil {
		if o, err = s.Object(e); err != nil {
			return nil, err
		}
	}
	if part.Missing != nil {
		if err := part.Missing(o); err != nil {
			return nil, err
		}
	}
	return scaleOf(part, o), nil
}

func (s *Served) writeScale(r *http.Request, info *request.Info, chain admission.Chain, sub *resource.Subresource[resource.Object]) (*autoscalingv1.Scale, error) {
	opts, change, err := s.scaleChange(r, info)
	if err != nil {
		return nil, err
	}
	w := &scaleWrite{s: s, info: info, part: sub.Scale, change: change, chain: chain}
	whole := s.writeOf(r, info, admission.Chain{Plugins: []admission.Plugin{{Name: "Scale", Validate: w.validate}}}, opts.DryRun, managerOf(opts.FieldManager, r), opts)
	whole.UID = change.uid
	whole.Applied = true // the owners of the Scale's fields are brought into the object by the change
	w.manager, w.force = whole.Manager, opts.Force != nil && *opts.Force
	w.attributes = admission.Attributes{
		Operation: admission.Update, Kind: sub.Kind, Resource: s.GVR(), Subresource: sub.Name, Namespace: info.Namespace, Name: info.Name,
		Options: opts, DryRun: whole.DryRun, User: request.UserFrom(r.Context()), Forms: whole.Attributes.Forms,
	}
	up := &resource.UpdatePart[resource.Object]{Validate: s.Validate, Warn: s.Warn, Counts: true}
	out, _, err := s.Update(r.Context(), whole, up, false, w.object)
	if err != nil {
		return nil, err
	}
	return scaleOf(sub.Scale, out), nil
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
		return &metav1.PatchOptions{DryRun: opts.DryRun, FieldManager: opts.FieldManager, FieldValidation: opts.FieldValidation}, scaleChange{
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
