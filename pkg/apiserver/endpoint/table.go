package endpoint

import (
	"encoding/json"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/watchcache"
)

// tableType names Table objects.
var tableType = metav1.TypeMeta{Kind: asTable, APIVersion: "meta.k8s.io/v1"}

// plainColumns are those of a kind that names none.
func plainColumns() []metav1.TableColumnDefinition {
	doc := metav1.ObjectMeta{}.SwaggerDoc()
	return []metav1.TableColumnDefinition{
		{Name: "Name", Type: "string", Format: "name", Description: doc["name"]},
		{Name: "Created At", Type: "date", Description: doc["creationTimestamp"]},
	}
}

func (s *Served) columns() []metav1.TableColumnDefinition {
	switch {
	case s.View != nil && s.View.Columns != nil:
		return s.View.Columns
	case s.Columns != nil:
		return s.Columns
	}
	return plainColumns()
}

// cells gives an object's row.
func (s *Served) cells(o resource.Object) []any {
	switch {
	case s.View != nil && s.View.Row != nil:
		return s.View.Row(o, s.now())
	case s.Row != nil:
		return s.Row(o, s.now())
	}
	return []any{o.GetName(), o.GetCreationTimestamp().UTC().Format(time.RFC3339)}
}

// include is how much of each object stands in its row.
func includeOf(r *http.Request) (metav1.IncludeObjectPolicy, error) {
	switch p := metav1.IncludeObjectPolicy(r.URL.Query().Get("includeObject")); p {
	case "":
		return metav1.IncludeMetadata, nil
	case metav1.IncludeNone, metav1.IncludeMetadata, metav1.IncludeObject:
		return p, nil
	default:
		return "", apierrors.NewBadRequest("unrecognized includeObject value: " + `"` + string(p) + `"`)
	}
}

// row makes an entry's row.
func (s *Served) row(e *watchcache.Entry, include metav1.IncludeObjectPolicy) (metav1.TableRow, error) {
	o, err := s.Object(e)
	if err != nil {
		return metav1.TableRow{}, err
	}
	row, err := s.rowOf(o, include)
	if err != nil || include != metav1.IncludeObject {
		return row, err
	}
	whole, err := s.single(e, format{media: mediaJSON})
	row.Object = runtime.RawExtension{Raw: whole}
	return row, err
}

func (s *Served) rowOf(o resource.Object, include metav1.IncludeObjectPolicy) (metav1.TableRow, error) {
	row := metav1.TableRow{Cells: s.cells(o)}
	if s.RowConditions != nil {
		row.Conditions = s.RowConditions(o)
	}
	var err error
	switch include {
	case metav1.IncludeMetadata:
		row.Object.Raw, err = json.Marshal(s.partial(o))
	case metav1.IncludeObject:
		var served runtime.Object
		if served, err = s.fromStored(o); err == nil {
			row.Object.Raw, err = json.Marshal(served)
		}
	}
	return row, err
}

// table is a whole table of some objects.
func (s *Served) table(objects []resource.Object, meta metav1.ListMeta, include metav1.IncludeObjectPolicy) (*metav1.Table, error) {
	t := &metav1.Table{TypeMeta: tableType, ListMeta: meta, ColumnDefinitions: s.columns(), Rows: []metav1.TableRow{}}
	for _, o := range objects {
		row, err := s.rowOf(o, include)
		if err != nil {
			return nil, err
		}
		t.Rows = append(t.Rows, row)
	}
	return t, nil
}
