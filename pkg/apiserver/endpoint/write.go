package endpoint

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	internalscheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// options decodes a request's query into its kind of options and checks them.
func options[T runtime.Object](r *http.Request, into T, kind string, validate func(T) field.ErrorList) (T, error) {
	if err := internalscheme.ParameterCodec.DecodeParameters(queryOf(r), metav1.SchemeGroupVersion, into); err != nil {
		return into, apierrors.NewBadRequest(err.Error())
	}
	if errs := validate(into); len(errs) > 0 {
		return into, apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: kind}, "", errs)
	}
	return into, nil
}

// managerOf names who owns the fields of a write: as given, or from the client's own name.
func managerOf(given string, r *http.Request) string {
	if given != "" {
		return given
	}
	name, _, _ := strings.Cut(r.UserAgent(), "/")
	var clean strings.Builder
	for _, c := range name {
		if !unicode.IsPrint(c) {
			continue
		}
		if clean.Len()+utf8.RuneLen(c) > metav1validation.FieldManagerMaxLength {
			break
		}
		clean.WriteRune(c)
	}
	return cmp.Or(clean.String(), "unknown")
}

// writeOf begins a write.
func (s *Served) writeOf(r *http.Request, info *request.Info, chain admission.Chain, dryRun []string, manager string, opts runtime.Object) *resource.Write {
	w := &resource.Write{
		Namespace: info.Namespace, Name: info.Name, Subresource: info.Subresource, DryRun: len(dryRun) > 0, Options: opts,
		Manager: manager, Admission: chain,
		Attributes: admission.Attributes{Kind: s.Kind, Resource: s.GVR(), User: request.UserFrom(r.Context())},
	}
	s.Describe(&w.Attributes)
	return w
}

// body reads and decodes a request's object into the stored version.
func (s *Served) body(r *http.Request, strict string) (resource.Object, error) {
	media, err := mediaOf(r)
	if err != nil {
		return nil, err
	}
	if media == mediaProtobuf && !s.protobuf() {
		return nil, unsupported(media, mediaJSON, mediaYAML)
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	into := s.newObject()
	if err := decodeFitting(r, media, body, s.Kind, into, validationOf(strict), s.Fit); err != nil {
		return nil, err
	}
	if err := s.unconvertible(into); err != nil {
		return nil, badBody(err, body, s.Kind, &s.Kind)
	}
	return s.stored(into)
}

// unconvertible answers why kube-apiserver could not hold what was sent. A Scale, which is not of the kind, it could.
func (s *Served) unconvertible(o runtime.Object) error {
	obj, is := o.(resource.Object)
	if s.Unconvertible == nil || !is || reflect.TypeOf(o) != reflect.TypeOf(s.Store.New()) {
		return nil
	}
	return s.Unconvertible(obj)
}

// stored brings a decoded object into the stored version, with defaults. A custom object that claims to be of another
// kind stays as it is: see ofKind.
func (s *Served) stored(o runtime.Object) (resource.Object, error) {
	obj, err := s.toStored(o)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if obj.GetObjectKind().GroupVersionKind() != s.Store.Kind && s.Fit != nil {
		return obj, nil
	}
	obj.GetObjectKind().SetGroupVersionKind(s.Store.Kind)
	if s.Default != nil {
		s.Default(obj)
	}
	return obj, nil
}

// ofKind refuses a custom object that claims to be of another kind than its path's. Where it belongs is judged before.
func (s *Served) ofKind(obj resource.Object) error {
	is := obj.GetObjectKind().GroupVersionKind()
	if s.Fit == nil || is == s.Store.Kind {
		return nil
	}
	var faults field.ErrorList
	if is.Kind != s.Kind.Kind {
		faults = append(faults, field.Invalid(field.NewPath("kind"), is.Kind, "must be "+s.Kind.Kind))
	}
	if is.GroupVersion() != s.Kind.GroupVersion() {
		faults = append(faults, field.Invalid(field.NewPath("apiVersion"), is.GroupVersion().String(), "must be "+s.Kind.GroupVersion().String()))
	}
	return apierrors.NewInvalid(is.GroupKind(), obj.GetName(), faults)
}

// place makes an object agree with the namespace in the path, or refuses it.
func (s *Served) place(o metav1.Object, info *request.Info) error {
	if s.ClusterScoped {
		o.SetNamespace("")
		return nil
	}
	if n := o.GetNamespace(); n != "" && n != info.Namespace {
		return apierrors.NewBadRequest("the namespace of the provided object does not match the namespace sent on the request")
	}
	o.SetNamespace(info.Namespace)
	return nil
}

// create answers a POST.
func (s *Served) create(w http.ResponseWriter, r *http.Request, info *request.Info, chain admission.Chain) {
	f, err := negotiate(r, s.protobuf(), s.Answer == nil)
	if err != nil {
		fail(w, r, err)
		return
	}
	opts, err := options(r, &metav1.CreateOptions{}, "CreateOptions", metav1validation.ValidateCreateOptions)
	if err != nil {
		fail(w, r, err)
		return
	}
	obj, err := s.body(r, opts.FieldValidation)
	if err != nil {
		fail(w, r, err)
		return
	}
	if s.Answer != nil {
		answer, err := s.ask(r, info, chain, obj, opts)
		if err != nil {
			fail(w, r, err)
			return
		}
		write(w, r, f, http.StatusCreated, answer)
		return
	}
	if err := s.place(obj, info); err != nil {
		fail(w, r, err)
		return
	}
	if err := s.ofKind(obj); err != nil {
		fail(w, r, err)
		return
	}
	write := s.writeOf(r, info, chain, opts.DryRun, managerOf(opts.FieldManager, r), opts)
	write.Name = cmp.Or(info.Name, obj.GetName()) // admission hears of the path's, where that has one
	out, err := s.Create(r.Context(), obj, write)
	if err != nil {
		fail(w, r, err)
		return
	}
	s.answerWritten(w, r, f, http.StatusCreated, out, write.Stored)
}

// update answers a PUT of an object, or of the part of it that a subresource may change.
func (s *Served) update(w http.ResponseWriter, r *http.Request, info *request.Info, chain admission.Chain, part *resource.UpdatePart[resource.Object]) {
	f, err := negotiate(r, s.protobuf(), true)
	if err != nil {
		fail(w, r, err)
		return
	}
	opts, err := options(r, &metav1.UpdateOptions{}, "UpdateOptions", metav1validation.ValidateUpdateOptions)
	if err != nil {
		fail(w, r, err)
		return
	}
	obj, err := s.body(r, opts.FieldValidation)
	if err != nil {
		fail(w, r, err)
		return
	}
	if err := cmp.Or(s.agrees(obj, info), s.ofKind(obj)); err != nil {
		fail(w, r, err)
		return
	}
	write := s.writeOf(r, info, chain, opts.DryRun, managerOf(opts.FieldManager, r), opts)
	write.UID = obj.GetUID()
	out, created, err := s.Update(r.Context(), write, part, s.CreateOnUpdate && part == nil, func(context.Context, resource.Object) (resource.Object, error) {
		return obj.DeepCopyObject().(resource.Object), nil
	})
	if err != nil {
		fail(w, r, err)
		return
	}
	s.answerWritten(w, r, f, codeOf(created), out, write.Stored)
}

func codeOf(created bool) int {
	if created {
		return http.StatusCreated
	}
	return http.StatusOK
}

// agrees refuses a body whose name or namespace is not that of the path.
func (s *Served) agrees(o metav1.Object, info *request.Info) error {
	if err := s.place(o, info); err != nil {
		return err
	}
	switch o.GetName() {
	case "":
		return undeterminable(info)
	case info.Name:
		return nil
	}
	return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", o.GetName(), info.Name))
}

// ask answers a question, which passes admission as an object would.
func (s *Served) ask(r *http.Request, info *request.Info, chain admission.Chain, obj resource.Object, opts *metav1.CreateOptions) (runtime.Object, error) {
	ctx := r.Context()
	if err := s.place(obj, info); err != nil {
		return nil, err
	}
	obj, err := s.OwnedAnswer(obj, managerOf(opts.FieldManager, r))
	if err != nil {
		return nil, err
	}
	a := &admission.Attributes{
		Operation: admission.Create, Kind: s.Kind, Resource: s.GVR(), Namespace: info.Namespace, Name: obj.GetName(),
		Object: obj, Options: opts, DryRun: len(opts.DryRun) > 0, User: request.UserFrom(ctx),
	}
	if err := chain.Admit(ctx, a); err != nil {
		return nil, err
	}
	if err := chain.Validate(ctx, a); err != nil {
		return nil, err
	}
	answer, err := s.Answer(ctx, a.Object.(resource.Object), opts)
	if err != nil {
		return nil, err
	}
	if status, is := answer.(*metav1.Status); is {
		status.TypeMeta, status.Code = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, http.StatusCreated
		return status, nil
	}
	answer.GetObjectKind().SetGroupVersionKind(s.Kind)
	return answer, nil
}

// optionsScheme is how upstream's messages call the place where the kinds of options are known.
const optionsScheme = "pkg/apis/meta/internalversion/scheme/register.go:27"

// undeterminable refuses a body without a name.
func undeterminable(info *request.Info) error {
	return apierrors.NewBadRequest("the name of the object (" + info.Name + " based on URL) was undeterminable: name must be provided")
}

// deleteOptions come as a body or in the query.
func (s *Served) deleteOptions(r *http.Request) (*metav1.DeleteOptions, error) {
	opts := &metav1.DeleteOptions{}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		media, err := mediaOf(r)
		if err != nil {
			return nil, err
		}
		if media == mediaYAML {
			if err := checkYAML(body); err != nil {
				return nil, apierrors.NewBadRequest(err.Error())
			}
		}
		known, _ := runtime.SerializerInfoForMediaType(internalscheme.Codecs.SupportedMediaTypes(), media)
		kind := metav1.SchemeGroupVersion.WithKind("DeleteOptions")
		obj, gvk, err := internalscheme.Codecs.DecoderToVersion(known.Serializer, kind.GroupVersion()).Decode(body, &kind, opts)
		if runtime.IsNotRegisteredError(err) && gvk != nil {
			err = runtime.NewNotRegisteredErrForKind(optionsScheme, *gvk)
		}
		if err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		if obj != runtime.Object(opts) {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("decoded object cannot be converted to DeleteOptions: %v", gvk))
		}
	} else if err := internalscheme.ParameterCodec.DecodeParameters(queryOf(r), metav1.SchemeGroupVersion, opts); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	opts.IgnoreStoreReadErrorWithClusterBreakingPotential = nil // a gate opens it that is closed
	if errs := metav1validation.ValidateDeleteOptions(opts); len(errs) > 0 {
		return nil, apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "DeleteOptions"}, "", errs)
	}
	opts.TypeMeta = metav1.TypeMeta{Kind: "DeleteOptions", APIVersion: "meta.k8s.io/v1"}
	if s.WarnDelete != nil {
		for _, text := range s.WarnDelete(opts) {
			request.Warn(r.Context(), text)
		}
	}
	return opts, nil
}

// delete answers a DELETE of one object.
func (s *Served) delete(w http.ResponseWriter, r *http.Request, info *request.Info, chain admission.Chain) {
	f, err := negotiate(r, s.protobuf(), true)
	if err != nil {
		fail(w, r, err)
		return
	}
	opts, err := s.deleteOptions(r)
	if err != nil {
		fail(w, r, err)
		return
	}
	write_ := s.writeOf(r, info, chain, opts.DryRun, "", opts)
	obj, gone, err := s.Delete(r.Context(), write_, opts)
	if err != nil {
		fail(w, r, err)
		return
	}
	if gone && !s.ReturnDeleted && s.Grace == nil {
		write(w, r, format{media: f.media, pretty: f.pretty}, http.StatusOK, s.deletedStatus(obj))
		return
	}
	code := http.StatusOK
	if !gone && opts.OrphanDependents != nil && !*opts.OrphanDependents {
		code = http.StatusAccepted
	}
	s.answerWritten(w, r, f, code, obj, write_.Stored)
}

func (s *Served) deletedStatus(o resource.Object) *metav1.Status {
	return &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess,
		Details: &metav1.StatusDetails{Name: o.GetName(), Group: s.Kind.Group, Kind: s.Plural, UID: o.GetUID()},
	}
}

// deleteCollection answers a DELETE of a collection: each object as if deleted alone, the list as it was.
func (s *Served) deleteCollection(w http.ResponseWriter, r *http.Request, info *request.Info, chain admission.Chain) {
	f, err := negotiate(r, s.protobuf(), true)
	if err != nil {
		fail(w, r, err)
		return
	}
	listOpts, err := s.listOptions(r, info)
	if err != nil {
		fail(w, r, err)
		return
	}
	opts, err := s.deleteOptions(r)
	if err != nil {
		fail(w, r, err)
		return
	}
	sel, err := s.selection(listOpts, info, "")
	if err != nil {
		fail(w, r, err)
		return
	}
	if v := listOpts.ResourceVersion; v != "" && v != "0" && listOpts.ResourceVersionMatch == "" && listOpts.Continue == "" {
		listOpts.ResourceVersionMatch = metav1.ResourceVersionMatchExact // upstream pages, and pages are of the version named
	}
	p, err := s.collect(r.Context(), listOpts, info.Namespace, sel)
	if err != nil {
		fail(w, r, err)
		return
	}
	deleted := *info
	for _, e := range p.entries {
		deleted.Namespace, deleted.Name = e.Get("metadata.namespace"), e.Get("metadata.name")
		one := s.writeOf(r, &deleted, chain, opts.DryRun, "", opts)
		one.Unnamed = true
		_, _, err = s.Delete(r.Context(), one, opts)
		if err != nil && !apierrors.IsNotFound(err) {
			fail(w, r, err)
			return
		}
	}
	s.answerList(w, r, f, p)
}
