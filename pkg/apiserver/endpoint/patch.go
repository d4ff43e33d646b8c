package endpoint

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/mergepatch"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/objectjson"
	"github.com/sampan-project/sampan/pkg/apiserver/objectpatch"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// maxOperations is how many operations a JSON patch may hold.
const maxOperations = 10000

// patchType reads the kind of a patch from the Content-Type, which names it in these very letters.
func (s *Served) patchType(r *http.Request) (types.PatchType, error) {
	can := []string{string(types.JSONPatchType), string(types.MergePatchType)}
	if s.protobuf() {
		can = append(can, string(types.StrategicMergePatchType))
	}
	can = append(can, string(types.ApplyYAMLPatchType))
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	for _, c := range can {
		if media == c {
			return types.PatchType(media), nil
		}
	}
	if !s.protobuf() {
		return "", unsupported(media, can...)
	}
	return "", &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnsupportedMediaType, Reason: metav1.StatusReasonUnsupportedMediaType,
		Message: "415: Unsupported Media Type", Details: &metav1.StatusDetails{},
	}}
}

// patch answers a PATCH of an object, or of the part of it that a subresource may change.
func (s *Served) patch(w http.ResponseWriter, r *http.Request, info *request.Info, chain admission.Chain, part *resource.UpdatePart[resource.Object]) {
	f, err := negotiate(r, s.protobuf(), true)
	if err != nil {
		fail(w, r, err)
		return
	}
	kind, err := s.patchType(r)
	if err != nil {
		fail(w, r, err)
		return
	}
	opts, err := options(r, &metav1.PatchOptions{}, "PatchOptions", func(o *metav1.PatchOptions) field.ErrorList {
		return metav1validation.ValidatePatchOptions(o, kind)
	})
	if err != nil {
		fail(w, r, err)
		return
	}
	body, err := readBody(r)
	if err != nil {
		fail(w, r, err)
		return
	}
	write := s.writeOf(r, info, chain, opts.DryRun, managerOf(opts.FieldManager, r), opts)
	p := &patcher{s: s, r: r, kind: kind, body: body, strict: validationOf(opts.FieldValidation), info: info}
	create := false
	change := p.change
	if kind == types.ApplyYAMLPatchType {
		write.Applied = true
		create = part == nil
		if p.wanted, err = p.parseApply(); err != nil {
			fail(w, r, err)
			return
		}
		change = func(ctx context.Context, old resource.Object) (resource.Object, error) {
			return p.apply(ctx, old, opts)
		}
	}
	out, created, err := s.Update(r.Context(), write, part, create, change)
	if err != nil {
		fail(w, r, err)
		return
	}
	s.answerWritten(w, r, f, codeOf(created), out, write.Stored)
}

// patcher applies one request's patch, as often as it takes.
type patcher struct {
	s      *Served
	r      *http.Request
	info   *request.Info
	kind   types.PatchType
	body   []byte
	strict validation
	wanted *unstructured.Unstructured // of an apply
	once   bool                       // no field is given twice in it
}

// change makes a patched object of the old one.
func (p *patcher) change(_ context.Context, old resource.Object) (resource.Object, error) {
	if obj := p.ordinary(old); obj != nil {
		obj, err := p.s.stored(obj)
		if err != nil {
			return nil, err
		}
		return obj, p.s.agrees(obj, p.info)
	}
	served, err := p.s.fromStored(old)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	p.s.name(served)
	before, err := objectjson.Marshal(served)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	into := p.s.newObject()
	if err := p.patched(before, served, into); err != nil {
		return nil, err
	}
	if p.s.custom() && p.info.Subresource != "" { // of which only a part is written
		p.s.name(into)
	}
	obj, err := p.s.stored(into)
	if err != nil {
		return nil, err
	}
	return obj, cmp.Or(p.s.agrees(obj, p.info), p.s.ofKind(obj))
}

// ordinary patches a copy of the object in place where the patch allows that; nil where it does not, or has
// faults that must be told.
func (p *patcher) ordinary(old resource.Object) resource.Object {
	var kind objectpatch.Kind
	switch {
	case p.s.View != nil || !p.s.protobuf():
		return nil
	case p.kind == types.MergePatchType:
		kind = objectpatch.Merge
	case p.kind == types.StrategicMergePatchType:
		kind = objectpatch.Strategic
	default:
		return nil
	}
	patch := map[string]any{}
	if faults, err := p.strictly(&patch); err != nil || len(faults) > 0 || patch == nil {
		return nil
	}
	obj := p.s.CopyFor(old, func(member string) bool { _, named := patch[member]; return named })
	obj.GetObjectKind().SetGroupVersionKind(p.s.Kind)
	if objectpatch.Apply(obj, patch, kind) != nil || obj.GetObjectKind().GroupVersionKind() != p.s.Kind || obj.GetName() == "" || p.s.unconvertible(obj) != nil {
		return nil
	}
	return obj
}

// patched applies the patch to an object's JSON and reads the outcome into another. Faults of the outcome
// are the patch's: 422 with the field "patch".
func (p *patcher) patched(before []byte, of, into runtime.Object) error {
	if p.kind == types.StrategicMergePatchType {
		return p.strategic(before, of, into)
	}
	var after []byte
	var faults []string
	var err error
	if p.kind == types.JSONPatchType {
		after, faults, err = p.jsonPatch(before)
	} else {
		after, faults, err = p.mergePatch(before)
	}
	if err != nil {
		return err
	}
	kind := into.GetObjectKind().GroupVersionKind()
	if kind.Empty() {
		kind = p.s.Kind
	}
	fit := p.s.Fit
	if _, parent := into.(resource.Object); !parent || kind != p.s.Kind {
		fit = nil // a Scale
	}
	if !p.s.custom() && bytes.Contains(p.body, []byte("apiVersion")) {
		if err := p.unversioned(after, faults); err != nil {
			return err
		}
	}
	gvk, err := decodeInto(p.strict != validationIgnore, mediaJSON, after, kind, into, fit)
	if err == nil && gvk.GroupVersion() != kind.GroupVersion() && fit == nil { // of custom objects see stored
		err = fmt.Errorf("unable to decode %s into %T", gvk, into)
	}
	if err == nil && fit != nil && gvk.Version == "" {
		return apierrors.NewInternalError(runtime.NewMissingVersionErr("object has no apiVersion field"))
	}
	if err == nil || runtime.IsStrictDecodingError(err) {
		err = cmp.Or(p.s.unconvertible(into), err)
	}
	return p.judge(string(after), faults, err)
}

// unversioned refuses an outcome without an apiVersion: upstream takes it for one in its own form, which has other names
// for all that it knows.
func (p *patcher) unversioned(after []byte, faults []string) error {
	outcome := map[string]json.RawMessage{}
	if json.Unmarshal(after, &outcome) != nil {
		return nil // which is told in other words
	}
	switch string(outcome["apiVersion"]) {
	case "", "null", `""`:
	default:
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(outcome)) {
		if p.strict != validationIgnore && name != "apiVersion" && name != "kind" {
			faults = append(faults, fmt.Sprintf("unknown field %q", name))
		}
	}
	return cmp.Or(p.judge(string(after), faults, nil), undeterminable(p.info))
}

// judge refuses or warns of what is wrong with a patch's outcome.
func (p *patcher) judge(shown string, faults []string, err error) error {
	if err != nil && !runtime.IsStrictDecodingError(err) {
		return invalidPatch(shown, err)
	}
	if err != nil {
		faults = append(faults, strictFaults(err)...)
	}
	if len(faults) == 0 {
		return nil
	}
	if p.strict == validationStrict {
		errs := make([]error, len(faults))
		for i, text := range faults {
			errs[i] = errors.New(text)
		}
		return invalidPatch(shown, runtime.NewStrictDecodingError(errs))
	}
	for _, text := range faults {
		request.Warn(p.r.Context(), text)
	}
	return nil
}

func invalidPatch(shown string, err error) error {
	return apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{field.Invalid(field.NewPath("patch"), shown, err.Error())})
}

// strictly decodes a patch itself; the faults are fields that stand twice or that nobody knows.
func (p *patcher) strictly(into any) (faults []string, err error) {
	if p.strict == validationIgnore {
		return nil, kjson.UnmarshalCaseSensitivePreserveInts(p.body, into)
	}
	list, err := kjson.UnmarshalStrict(p.body, into)
	for _, e := range list {
		faults = append(faults, e.Error())
	}
	return faults, err
}

// jsonPatchOp is one operation, as far as clients know its fields.
type jsonPatchOp struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	From  string `json:"from"`
	Value any    `json:"value"`
}

func (p *patcher) jsonPatch(before []byte) (after []byte, faults []string, err error) {
	if p.strict != validationIgnore {
		var operations []jsonPatchOp
		if faults, err = p.strictly(&operations); err != nil {
			text := strings.ReplaceAll(err.Error(), "endpoint.jsonPatchOp", "handlers.jsonPatchOp")
			return nil, nil, apierrors.NewBadRequest("error decoding patch: " + text)
		}
		for i, text := range faults {
			faults[i] = "json patch " + text
		}
	}
	patch, err := jsonpatch.DecodePatch(p.body)
	if err != nil {
		return nil, nil, apierrors.NewBadRequest(err.Error())
	}
	if len(patch) > maxOperations {
		return nil, nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("The allowed maximum operations in a JSON patch is %d, got %d", maxOperations, len(patch)))
	}
	after, err = objectpatch.Operations(before, patch)
	if errors.Is(err, objectpatch.ErrTooMuch) {
		return nil, nil, apierrors.NewRequestEntityTooLargeError(err.Error())
	}
	if err != nil {
		return nil, nil, unprocessable(err)
	}
	return after, faults, nil
}

func unprocessable(err error) error {
	return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false)
}

func (p *patcher) mergePatch(before []byte) (after []byte, faults []string, err error) {
	if p.strict != validationIgnore {
		if faults, err = p.strictly(&map[string]any{}); err != nil {
			return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("error decoding patch: %v", err))
		}
	}
	after, err = jsonpatch.MergePatch(before, p.body)
	if errors.Is(err, jsonpatch.ErrBadJSONPatch) {
		return nil, nil, apierrors.NewBadRequest(err.Error())
	}
	return after, faults, err
}

func (p *patcher) strategic(before []byte, of, into runtime.Object) error {
	meta, err := strategicpatch.NewPatchMetaFromStruct(of)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	original, patch := map[string]any{}, map[string]any{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(before, &original); err != nil {
		return apierrors.NewInternalError(err)
	}
	faults, err := p.strictly(&patch)
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	if err := objectpatch.Bounded(original, patch, meta); err != nil {
		return apierrors.NewRequestEntityTooLargeError(err.Error())
	}
	after, err := objectpatch.RecoverAs(mergepatch.ErrBadJSONDoc, func() (strategicpatch.JSONMap, error) {
		return strategicpatch.StrategicMergeMapPatchUsingLookupPatchMeta(original, patch, meta)
	})
	switch {
	case errors.Is(err, mergepatch.ErrBadJSONDoc), errors.Is(err, mergepatch.ErrBadPatchFormatForPrimitiveList),
		errors.Is(err, mergepatch.ErrBadPatchFormatForRetainKeys), errors.Is(err, mergepatch.ErrBadPatchFormatForSetElementOrderList),
		errors.Is(err, mergepatch.ErrUnsupportedStrategicMergePatchFormat):
		return apierrors.NewBadRequest(err.Error())
	case errors.Is(err, mergepatch.ErrNoListOfLists), mergepatch.IsPreconditionFailed(err):
		return unprocessable(err)
	case err != nil:
		return err
	}
	err = runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(after, into, p.strict != validationIgnore)
	return cmp.Or(p.judge(fmt.Sprintf("%+v", patch), faults, err), p.s.unconvertible(into))
}

// parseApply reads what a manager wants.
func (p *patcher) parseApply() (*unstructured.Unstructured, error) {
	if wanted, plain := objectjson.PlainObject(p.body); plain { // most clients send JSON, which is YAML too
		p.once = true
		return &unstructured.Unstructured{Object: wanted}, nil
	}
	wanted := map[string]any{}
	if err := checkYAML(p.body); err != nil {
		return nil, badYAML(fmt.Errorf("error converting YAML to JSON: %w", err))
	}
	if err := yaml.Unmarshal(p.body, &wanted); err != nil {
		return nil, badYAML(err)
	}
	return &unstructured.Unstructured{Object: wanted}, nil
}

// duplicates refuses or warns of fields that are given twice. Fields that the kind does not have apply itself
// refuses.
func (p *patcher) duplicates() error {
	if p.strict == validationIgnore || p.once {
		return nil
	}
	err := yaml.UnmarshalStrict(p.body, &map[string]any{})
	switch {
	case err == nil:
		return nil
	case p.strict == validationStrict:
		return apierrors.NewBadRequest(fmt.Sprintf("error strict decoding YAML: %v", err))
	}
	text := err.Error()
	if _, lines, several := strings.Cut(text, "yaml: unmarshal errors:\n"); several {
		text = lines
	}
	for line := range strings.Lines(text) {
		request.Warn(p.r.Context(), strings.TrimSpace(line))
	}
	return nil
}

func badYAML(err error) error {
	return apierrors.NewBadRequest(fmt.Sprintf("error decoding YAML: %v", err))
}

// apply merges what is wanted into the live object. What moves it elsewhere is refused as by any patch.
func (p *patcher) apply(ctx context.Context, old resource.Object, opts *metav1.PatchOptions) (resource.Object, error) {
	force := opts.Force != nil && *opts.Force
	obj, err := p.s.Apply(ctx, old, p.wanted, opts.FieldManager, p.info.Subresource, force)
	if err != nil {
		return nil, err
	}
	if err := p.duplicates(); err != nil {
		return nil, err
	}
	return obj, p.s.agrees(obj, p.info)
}
