package webhook

import (
	"context"
	"encoding/json"
	"fmt"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	reviewv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/admission/expression"
	"github.com/sampan-project/sampan/pkg/apiserver/objectpatch"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
)

// stateName is where the passes over one object keep what happened.
const stateName = "MutatingAdmissionWebhook"

// rounds is what the first pass tells the second: only webhooks that were asked, want to be asked again, and have
// not seen the last change are.
type rounds struct {
	asked, again map[string]bool
	left         runtime.Object // the object as the webhooks left it
}

// changed lets all that were asked be asked again.
func (r *rounds) changed() {
	for key := range r.asked {
		r.again[key] = true
	}
	r.asked = map[string]bool{}
}

func roundsOf(a *admission.Attributes) *rounds {
	if r, is := a.Passes.State[stateName].(*rounds); is {
		return r
	}
	r := &rounds{asked: map[string]bool{}, again: map[string]bool{}}
	a.Passes.State[stateName] = r
	return r
}

// Admit asks the webhooks that a write concerns, one after another, and lets each change the object.
func (d *Dispatcher) Admit(ctx context.Context, a *admission.Attributes) error {
	hooks, err := d.all(ctx, a)
	if err != nil || len(hooks) == 0 {
		return err
	}
	r := roundsOf(a)
	if a.Passes.Second && !equality.Semantic.DeepEqual(r.left, a.Object) {
		r.changed() // other rules have changed what the webhooks left
	}
	in := expression.NewInputs(a, d.authorizer)
	for i, h := range hooks {
		t, err := d.concerns(ctx, h, a, in)
		if err != nil {
			return err
		}
		if t == nil || a.Passes.Second && !r.again[h.key] {
			continue
		}
		changed, err := d.mutate(ctx, h, a, *t, annotator{ctx: ctx, h: h, second: a.Passes.Second, index: i})
		if changed {
			in.Changed()
			r.changed()
			a.Passes.Again = true
		}
		if h.again {
			r.asked[h.key] = true
		}
		switch {
		case err == nil:
		case !ignorable(err) || !h.ignore:
			return answer(err)
		case ctx.Err() != nil:
			return timedOut()
		}
	}
	if a.Object != nil {
		r.left = a.Object.DeepCopyObject()
	}
	return nil
}

// mutate asks one webhook and applies its patch; it says whether that made a difference.
func (d *Dispatcher) mutate(ctx context.Context, h *hook, a *admission.Attributes, t admission.Target, notes annotator) (changed bool, err error) {
	defer func() { notes.mutated(changed) }()
	result, err := d.ask(ctx, h, a, t, true)
	if err != nil {
		if ignorable(err) && h.ignore {
			d.log.Info("A webhook could not be called and is passed over", "webhook", h.name, "error", err.Error())
			d.metrics.passedOver(h, true)
			notes.failedOpen()
		}
		return false, err
	}
	if len(result.Patch) == 0 {
		return false, nil
	}
	patch, err := jsonpatch.DecodePatch(result.Patch)
	if err != nil {
		return false, callError(h.name, fmt.Errorf("received undecodable patch in webhook response: %w", err))
	}
	if len(patch) == 0 {
		return false, nil
	}
	if a.Object == nil {
		return false, apierrors.NewInternalError(fmt.Errorf("admission webhook %q attempted to modify the object, which is not supported for this operation", h.name))
	}
	if *result.PatchType != reviewv1.PatchTypeJSONPatch {
		return false, callError(h.name, fmt.Errorf("unsupported patch type %q", *result.PatchType))
	}
	before, err := a.In(t.Kind, a.Object)
	if err != nil {
		return false, apierrors.NewInternalError(err)
	}
	before = admission.Kinded(before, t.Kind)
	after, err := patched(before, patch)
	if err != nil {
		return false, apierrors.NewInternalError(err)
	}
	changed = !equality.Semantic.DeepEqual(before, after)
	notes.patched(patch)
	stored, err := a.From(after)
	if err != nil {
		return false, err
	}
	if a.Default != nil {
		a.Default(stored)
	}
	a.Object = stored
	return changed, nil
}

// patched gives a copy of an object with a patch applied.
func patched(o runtime.Object, patch jsonpatch.Patch) (runtime.Object, error) {
	before, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	after, err := objectpatch.Operations(before, patch)
	if err != nil {
		return nil, err
	}
	return admission.Patched(o, after, false)
}

// annotator notes for the audit log what one webhook did.
type annotator struct {
	ctx    context.Context
	h      *hook
	second bool
	index  int
}

func (n annotator) note(prefix, value string) {
	round := 0
	if n.second {
		round = 1
	}
	request.Annotate(n.ctx, fmt.Sprintf("%sround_%d_index_%d", prefix, round, n.index), value)
}

func (n annotator) failedOpen() { n.note(failedOpenMutating, n.h.name) }

func (n annotator) mutated(changed bool) {
	n.json(mutationAnnotation, struct {
		Configuration string `json:"configuration"`
		Webhook       string `json:"webhook"`
		Mutated       bool   `json:"mutated"`
	}{n.h.configuration, n.h.name, changed})
}

func (n annotator) patched(patch jsonpatch.Patch) {
	n.json(patchAnnotation, struct {
		Configuration string          `json:"configuration"`
		Webhook       string          `json:"webhook"`
		Patch         jsonpatch.Patch `json:"patch,omitempty"`
		PatchType     string          `json:"patchType,omitempty"`
	}{n.h.configuration, n.h.name, patch, string(reviewv1.PatchTypeJSONPatch)})
}

func (n annotator) json(prefix string, v any) {
	if text, err := json.Marshal(v); err == nil {
		n.note(prefix, string(text))
	}
}
