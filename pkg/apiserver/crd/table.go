package crd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/jsonpath"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
)

// printed are the columns of a version: those that it names, or the age.
func (v *version) printed() []apiextensionsv1.CustomResourceColumnDefinition {
	if len(v.AdditionalPrinterColumns) > 0 {
		return v.AdditionalPrinterColumns
	}
	return []apiextensionsv1.CustomResourceColumnDefinition{{
		Name: "Age", Type: "date", Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"], JSONPath: ".metadata.creationTimestamp",
	}}
}

// columns are a version's as they stand in a Table, up to the first that cannot be read.
func (v *version) columns() []metav1.TableColumnDefinition {
	out := []metav1.TableColumnDefinition{column.Name()}
	for _, c := range v.printed() {
		if _, err := pathOf(c); err != nil {
			break
		}
		description := c.Description
		if description == "" {
			description = "Custom resource definition column (in JSONPath format): " + c.JSONPath
		}
		out = append(out, metav1.TableColumnDefinition{Name: c.Name, Type: c.Type, Format: c.Format, Description: description, Priority: c.Priority})
	}
	return out
}

func pathOf(c apiextensionsv1.CustomResourceColumnDefinition) (*jsonpath.JSONPath, error) {
	p := jsonpath.New(c.Name).AllowMissingKeys(true)
	return p, p.Parse("{" + c.JSONPath + "}")
}

// row gives an object's cells.
func (v *version) row(obj *unstructured.Unstructured) []any {
	cells := []any{obj.GetName()}
	for _, c := range v.printed() {
		path, err := pathOf(c) // a path remembers where it is: each row has its own
		if err != nil {
			break
		}
		cells = append(cells, cell(path, c.Type, obj))
	}
	return cells
}

func cell(path *jsonpath.JSONPath, of string, obj *unstructured.Unstructured) any {
	found, err := path.FindResults(obj.Object)
	if err != nil || len(found) == 0 || len(found[0]) == 0 {
		return nil
	}
	value := found[0][0].Interface()
	if of != "string" {
		return typed(of, value)
	}
	var text bytes.Buffer
	if err := path.PrintResults(&text, []reflect.Value{reflect.ValueOf(value)}); err != nil {
		return nil
	}
	return text.String()
}

// typed gives a value the type of its column, nil where it has another.
func typed(of string, value any) any {
	switch of {
	case "integer":
		switch n := value.(type) {
		case int64:
			return n
		case float64:
			return int64(n)
		case json.Number:
			if i, err := n.Int64(); err == nil {
				return i
			}
		}
	case "number":
		switch n := value.(type) {
		case int64:
			return float64(n)
		case float64:
			return n
		case json.Number:
			if f, err := n.Float64(); err == nil {
				return f
			}
		}
	case "boolean":
		if b, ok := value.(bool); ok {
			return b
		}
	case "date":
		text, ok := value.(string)
		if !ok {
			return nil
		}
		var t metav1.Time
		if err := t.UnmarshalQueryParameter(text); err != nil {
			return "<invalid>"
		}
		return column.Since(t)
	}
	return nil
}

// fieldNames are what objects can be selected by.
func (v *version) fieldNames() (out []string) {
	for _, f := range v.SelectableFields {
		out = append(out, f.JSONPath[1:])
	}
	return out
}

// selected gives the values of the fields that an object of the version is selected by, "" for none.
func (v *version) selected(obj *unstructured.Unstructured) map[string]string {
	if len(v.SelectableFields) == 0 {
		return nil
	}
	out := make(map[string]string, len(v.SelectableFields))
	for _, f := range v.SelectableFields {
		out[f.JSONPath[1:]] = valueAt(obj, f.JSONPath)
	}
	return out
}

func valueAt(obj *unstructured.Unstructured, path string) string {
	p := jsonpath.New("selectableField").AllowMissingKeys(true)
	if err := p.Parse("{" + path + "}"); err != nil {
		return ""
	}
	found, err := p.FindResults(obj.Object)
	if err != nil || len(found) != 1 || len(found[0]) != 1 || found[0][0].Interface() == nil {
		return ""
	}
	return fmt.Sprint(found[0][0].Interface())
}
