package endpoint

import (
	"context"
	"fmt"
	"math"
	"strings"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/sampan-project/sampan/pkg/apiserver/admission"
	"github.com/sampan-project/sampan/pkg/apiserver/request"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// unsetReplicas are those of a Scale whose parent has none: no client asks for so few.
const unsetReplicas = math.MinInt32

// scaleChange is what a client wants of a Scale: plain makes it from the present one, applied is what a
// manager applies, whose keys that stand twice duplicates refuses or warns of. uid is that of a PUT.
type scaleChange struct {
	plain      func(*autoscalingv1.Scale) (*autoscalingv1.Scale, error)
	applied    *unstructured.Unstructured
	duplicates func() error
	uid        types.UID
}

// scaleWrite is the write of a Scale: an object's Scale is made, changed as the client wants, and the object by it.
// Admission may change the Scale; it judges, after the object, the Scale that the object then has.
type scaleWrite struct {
	s          *Served
	info       *request.Info
	part       *resource.ScalePart[resource.Object]
	change     scaleChange
	manager    string
	force      bool
	chain      admission.Chain
	attributes admission.Attributes // without the objects
}

// object is the resource.Change of the object that is scaled.
func (w *scaleWrite) object(ctx context.Context, old resource.Object) (resource.Object, error) {
	obj := old.DeepCopyObject().(resource.Object)
	before := scaleOf(w.part, obj)
	unset := w.part.Missing != nil && w.part.Missing(obj) != nil
	if unset {
		before.Spec.Replicas = unsetReplicas
	}
	owners := w.owners(obj)
	var err error
	if before.ManagedFields, err = owners.ToSubresource(); err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	after, err := w.wanted(before)
	if err != nil {
		return nil, err
	}
	if err := w.s.agrees(after, w.info); err != nil {
		return nil, err
	}
	if after, err = w.admit(ctx, after, before); err != nil {
		return nil, err
	}
	if unset && after.Spec.Replicas == unsetReplicas {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the spec replicas field %q cannot be empty", "."+w.part.SpecPath))
	}
	if err := w.s.judgeScale(after, obj); err != nil {
		return nil, err
	}
	managed, err := owners.ToParent(after.ManagedFields)
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	obj.SetManagedFields(managed)
	w.part.SetReplicas(obj, after.Spec.Replicas)
	if after.ResourceVersion != "" {
		obj.SetResourceVersion(after.ResourceVersion)
	}
	return obj, nil
}

// owners brings who owns the replicas from an object to its Scale and back.
func (w *scaleWrite) owners(obj resource.Object) *managedfields.ScaleHandler {
	var path fieldpath.Path
	for _, name := range strings.Split(w.part.SpecPath, ".") {
		path = append(path, fieldpath.PathElement{FieldName: &name})
	}
	gv := w.s.Store.Kind.GroupVersion()
	return managedfields.NewScaleHandler(obj.GetManagedFields(), gv, managedfields.ResourcePathMappings{gv.String(): path})
}

// wanted makes of a Scale the one that the client wants, and settles who owns its fields.
func (w *scaleWrite) wanted(before *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
	kind := autoscalingv1.SchemeGroupVersion.WithKind("Scale")
	f, err := w.s.BodyManager(kind, "scale", func() runtime.Object { return &autoscalingv1.Scale{} })
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	if w.change.applied != nil {
		out, err := f.Apply(before.DeepCopy(), w.change.applied.DeepCopy(), w.manager, w.force)
		if err != nil {
			return nil, err
		}
		return out.(*autoscalingv1.Scale), w.change.duplicates()
	}
	after, err := w.change.plain(before.DeepCopy())
	if err != nil {
		return nil, err
	}
	after.SetGroupVersionKind(kind)
	return f.UpdateNoErrors(before, after, w.manager).(*autoscalingv1.Scale), nil
}

func (w *scaleWrite) admit(ctx context.Context, after, before *autoscalingv1.Scale) (*autoscalingv1.Scale, error) {
	a := w.attributes
	a.Object, a.OldObject = after, before
	if err := w.chain.Admit(ctx, &a); err != nil {
		return nil, err
	}
	admitted, is := a.Object.(*autoscalingv1.Scale)
	if !is {
		return nil, apierrors.NewInternalError(fmt.Errorf("admission has made a %T of a Scale", a.Object))
	}
	return admitted, nil
}

// validate lets admission judge Scales in the place of the objects.
func (w *scaleWrite) validate(ctx context.Context, whole *admission.Attributes) error {
	a := w.attributes
	a.Object, a.OldObject = scaleOf(w.part, whole.Object.(resource.Object)), scaleOf(w.part, whole.OldObject.(resource.Object))
	return w.chain.Validate(ctx, &a)
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
