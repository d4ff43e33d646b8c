package endpoint

import (
	"net/http"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
)

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
