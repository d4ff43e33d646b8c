package endpoint

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	internalscheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// tableType names Table objects of a version.
func tableType(version string) metav1.TypeMeta {
	return metav1.TypeMeta{Kind: asTable, APIVersion: version}
}

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

// cells gives an object's row, with what it says of times as column.Ago.
func (s *Served) cells(o resource.Object) []any {
	switch {
	case s.View != nil && s.View.Row != nil:
		return s.View.Row(o)
	case s.Row != nil:
		return s.Row(o)
	}
	return []any{o.GetName(), o.GetCreationTimestamp().UTC().Format(time.RFC3339)}
}

// includeOf reads how much of each object stands in its row.
func includeOf(r *http.Request) (metav1.IncludeObjectPolicy, error) {
	opts := &metav1.TableOptions{}
	if err := internalscheme.ParameterCodec.DecodeParameters(queryOf(r), metav1.SchemeGroupVersion, opts); err != nil {
		return "", err
	}
	if errs := metav1validation.ValidateTableOptions(opts); len(errs) > 0 {
		return "", apierrors.NewBadRequest(fmt.Sprintf("Unable to convert to Table as requested: %v", errs[0]))
	}
	if opts.IncludeObject == "" {
		return metav1.IncludeMetadata, nil
	}
	return opts.IncludeObject, nil
}

// noRows are those of a table of nothing. A kind without columns of its own has none where others are empty.
func (s *Served) noRows() []metav1.TableRow {
	if s.Columns == nil && (s.View == nil || s.View.Columns == nil) {
		return nil
	}
	return []metav1.TableRow{}
}

// rowOf is a row of an object that has no entry, or whose entry is shown but once.
func (s *Served) rowOf(o resource.Object, version string, include metav1.IncludeObjectPolicy) (metav1.TableRow, error) {
	row := metav1.TableRow{Cells: column.At(s.cells(o), s.now())}
	if s.RowConditions != nil {
		row.Conditions = s.RowConditions(o)
	}
	var err error
	switch include {
	case metav1.IncludeMetadata:
		row.Object.Raw, err = json.Marshal(s.partial(o, version))
	case metav1.IncludeObject:
		var served runtime.Object
		if served, err = s.fromStored(o); err == nil {
			row.Object.Raw, err = json.Marshal(served)
		}
	}
	return row, err
}

// table is a whole table of some objects.
func (s *Served) table(objects []resource.Object, meta metav1.ListMeta, version string, include metav1.IncludeObjectPolicy) (*metav1.Table, error) {
	t := &metav1.Table{TypeMeta: tableType(version), ListMeta: meta, ColumnDefinitions: s.columns(), Rows: []metav1.TableRow{}}
	for _, o := range objects {
		row, err := s.rowOf(o, version, include)
		if err != nil {
			return nil, err
		}
		t.Rows = append(t.Rows, row)
	}
	return t, nil
}
