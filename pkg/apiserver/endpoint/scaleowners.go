package endpoint

import (
	"net/http"
	"strings"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// scaleChange is what a client wants of a Scale: plain makes it from the present one, applied is what a
// manager applies, whose keys that stand twice duplicates refuses or warns of. uid is that of a PUT.
type scaleChange struct {
	plain      func(*autoscalingv1.Scale) (*autoscalingv1.Scale, error)
	applied    *unstructured.Unstructured
	duplicates func() error
	uid        types.UID
}

// scaleOwners settles who owns the fields of a Scale, and so of the object that is scaled.
type scaleOwners struct {
	s       *Served
	part    *resource.ScalePart[resource.Object]
	manager string
	force   bool
}

// settle makes the wanted Scale of the one before. Its managedFields are those that the parent then has.
func (o scaleOwners) settle(parent resource.Object, before *autoscalingv1.Scale, change scaleChange) (*autoscalingv1.Scale, error) {
	gv := o.s.Store.Kind.GroupVersion()
	var path fieldpath.Path
	for _, name := range strings.Split(o.part.SpecPath, ".") {
		path = append(path, fieldpath.PathElement{FieldName: &name})
	}
	owners := managedfields.NewScaleHandler(parent.GetManagedFields(), gv, managedfields.ResourcePathMappings{gv.String(): path})
	entries, err := owners.ToSubresource()
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	before.ManagedFields = entries
	after, err := o.changed(before, change)
	if err != nil {
		return nil, err
	}
	if after.ManagedFields, err = owners.ToParent(after.ManagedFields); err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	return after, nil
}

func (o scaleOwners) changed(before *autoscalingv1.Scale, change scaleChange) (*autoscalingv1.Scale, error) {
	kind := autoscalingv1.SchemeGroupVersion.WithKind("Scale")
	f, err := o.s.BodyManager(kind, "scale", func() runtime.Object { return &autoscalingv1.Scale{} })
	if err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	if change.applied != nil {
		out, err := f.Apply(before.DeepCopy(), change.applied.DeepCopy(), o.manager, o.force)
		if err != nil {
			return nil, err
		}
		return out.(*autoscalingv1.Scale), change.duplicates()
	}
	after, err := change.plain(before.DeepCopy())
	if err != nil {
		return nil, err
	}
	after.SetGroupVersionKind(kind)
	return f.UpdateNoErrors(before, after, o.manager).(*autoscalingv1.Scale), nil
}

// scaleColumns are a Scale's in a Table; custom resources have their own words.
func (s *Served) scaleColumns() []metav1.TableColumnDefinition {
	name := column.Name()
	desired, available := "Number of desired replicas", "Number of actual replicas"
	if !s.custom() {
		name.Format = ""
		desired, available = autoscalingv1.ScaleSpec{}.SwaggerDoc()["replicas"], autoscalingv1.ScaleStatus{}.SwaggerDoc()["replicas"]
	}
	age := column.Age()
	if s.custom() {
		age.Type = "date"
	}
	return []metav1.TableColumnDefinition{name, column.Integer("Desired", desired), column.Integer("Available", available), age}
}

// answerScale answers with a Scale in the form asked for.
func (s *Served) answerScale(w http.ResponseWriter, r *http.Request, f format, scale *autoscalingv1.Scale) {
	switch f.as {
	case asTable:
		s.tableOfScale(w, r, f, scale)
	case asPartial:
		write(w, r, f, http.StatusOK, partial(scale, f.version))
	case asPartialList:
		fail(w, r, refusedForm("you requested PartialObjectMetadataList, but the requested object is not a list (*autoscaling.Scale)"))
	default:
		write(w, r, f, http.StatusOK, scale)
	}
}

func (s *Served) tableOfScale(w http.ResponseWriter, r *http.Request, f format, scale *autoscalingv1.Scale) {
	include, err := includeOf(r)
	if err != nil {
		fail(w, r, err)
		return
	}
	row := metav1.TableRow{Cells: column.At([]any{scale.Name, int64(scale.Spec.Replicas), int64(scale.Status.Replicas), column.Since(scale.CreationTimestamp)}, s.now())}
	switch include {
	case metav1.IncludeMetadata:
		row.Object.Object = partial(scale, f.version)
	case metav1.IncludeObject:
		row.Object.Object = scale
	}
	t := &metav1.Table{
		TypeMeta:          metav1.TypeMeta{Kind: asTable, APIVersion: f.version},
		ListMeta:          metav1.ListMeta{ResourceVersion: scale.ResourceVersion},
		ColumnDefinitions: s.scaleColumns(),
		Rows:              []metav1.TableRow{row},
	}
	write(w, r, f, http.StatusOK, t)
}
