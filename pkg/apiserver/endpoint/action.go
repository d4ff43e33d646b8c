package endpoint

import (
	"context"
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/kinds"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/query"
)

// action answers a POST to a subresource that acts on the object.
func (s *Served) action(w http.ResponseWriter, r *http.Request, info *request.Info, chain admission.Chain, sub *resource.Subresource[resource.Object]) {
	f, err := negotiate(r, true, false)
	if err != nil {
		fail(w, r, err)
		return
	}
	opts, err := options(r, &metav1.CreateOptions{}, "CreateOptions", metav1validation.ValidateCreateOptions)
	if err != nil {
		fail(w, r, err)
		return
	}
	body, err := s.actionBody(r, info, sub, opts)
	if err != nil {
		fail(w, r, err)
		return
	}
	out, err := s.act(r.Context(), info, chain, sub, body, opts)
	if err != nil {
		fail(w, r, err)
		return
	}
	code := http.StatusCreated
	if sub.Create.Status != 0 {
		code = sub.Create.Status
	}
	if status, is := out.(*metav1.Status); is && status.Code == 0 {
		status.Code = int32(code)
	}
	if all, _, err := kinds.Scheme().ObjectKinds(out); err == nil {
		kind := all[0]
		if slices.Contains(all, sub.Kind) {
			kind = sub.Kind
		}
		out.GetObjectKind().SetGroupVersionKind(kind)
	}
	write(w, r, f, code, out)
}

// actionBody reads what an action is to do, with defaults and the managedFields of its sender. Each action judges itself
// what name it is given there.
func (s *Served) actionBody(r *http.Request, info *request.Info, sub *resource.Subresource[resource.Object], opts *metav1.CreateOptions) (runtime.Object, error) {
	media, err := mediaOf(r)
	if err != nil {
		return nil, err
	}
	raw, err := readBody(r)
	if err != nil {
		return nil, err
	}
	body := sub.Create.New()
	if err := decode(r, media, raw, sub.Kind, body, validationOf(opts.FieldValidation), sub.Create.Also...); err != nil {
		return nil, err
	}
	if m, ok := body.(metav1.Object); ok {
		if n := m.GetNamespace(); n != "" && n != info.Namespace {
			return nil, apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
		}
		m.SetNamespace(info.Namespace)
	}
	if sub.Create.Default != nil {
		sub.Create.Default(body)
	}
	return s.ownedBody(sub, body, managerOf(opts.FieldManager, r))
}

// act lets admission change and judge what an action is to do, and does it.
func (s *Served) act(ctx context.Context, info *request.Info, chain admission.Chain, sub *resource.Subresource[resource.Object], body runtime.Object, opts *metav1.CreateOptions) (runtime.Object, error) {
	a := &admission.Attributes{
		Operation: admission.Create, Kind: sub.Kind, Resource: s.GVR(), Subresource: sub.Name, Namespace: info.Namespace, Name: info.Name,
		Object: body, Options: opts, DryRun: len(opts.DryRun) > 0, User: request.UserFrom(ctx),
	}
	if err := chain.Admit(ctx, a); err != nil {
		return nil, err
	}
	if sub.Create.Validate != nil {
		if errs := sub.Create.Validate(ctx, info.Name, a.Object); len(errs) > 0 {
			return nil, apierrors.NewInvalid(sub.Kind.GroupKind(), info.Name, errs)
		}
	}
	if err := chain.Validate(ctx, a); err != nil {
		return nil, err
	}
	return sub.Create.Do(ctx, info.Namespace, info.Name, a.Object, opts)
}

// ownedBody gives the body of an action the managedFields of its sender.
func (s *Served) ownedBody(sub *resource.Subresource[resource.Object], body runtime.Object, manager string) (runtime.Object, error) {
	if _, is := body.(metav1.Object); !is {
		return body, nil
	}
	f, err := s.BodyManager(sub.Kind, sub.Name, sub.Create.New)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	none := sub.Create.New()
	none.GetObjectKind().SetGroupVersionKind(sub.Kind)
	return resource.Managed(f, none, body, manager)
}

// connect hands the connection over.
func (s *Served) connect(w http.ResponseWriter, r *http.Request, info *request.Info, chain admission.Chain, sub *resource.Subresource[resource.Object]) {
	opts := sub.Connect.NewOptions()
	if err := query.Decode(queryOf(r), opts); err != nil {
		fail(w, r, apierrors.NewBadRequest(err.Error()))
		return
	}
	a := &admission.Attributes{
		Operation: admission.Connect, Kind: sub.Kind, Resource: s.GVR(), Subresource: sub.Name, Namespace: info.Namespace, Name: info.Name,
		Object: opts, User: request.UserFrom(r.Context()),
	}
	if err := chain.Admit(r.Context(), a); err != nil {
		fail(w, r, err)
		return
	}
	if err := chain.Validate(r.Context(), a); err != nil {
		fail(w, r, err)
		return
	}
	h, err := sub.Connect.Handler(r.Context(), info.Namespace, info.Name, info.Rest, a.Object)
	if err != nil {
		fail(w, r, err)
		return
	}
	h.ServeHTTP(w, r)
}
