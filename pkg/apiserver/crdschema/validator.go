package crdschema

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/cel/common"
	openapierrors "k8s.io/kube-openapi/pkg/validation/errors"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
)

// Validator judges values by a schema, without its rules.
type Validator struct{ schema *spec.Schema }

// NewValidator makes one of a schema; of none it finds nothing wrong.
func NewValidator(p *apiextensions.JSONSchemaProps) (*Validator, error) {
	s, err := openAPI(p)
	if err != nil {
		return nil, err
	}
	if s == nil {
		s = &spec.Schema{}
	}
	return &Validator{s}, nil
}

// Validate judges a value; its faults stand under at.
func (v *Validator) Validate(at *field.Path, value any) field.ErrorList {
	return faults(at, validate.NewSchemaValidator(v.schema, nil, "", strfmt.Default).Validate(value))
}

// ValidateUpdate judges a value that takes the place of another, to which correlated relates it. What did not
// change is not refused. With nothing to relate to all is judged.
func (v *Validator) ValidateUpdate(at *field.Path, value any, correlated *common.CorrelatedObject) field.ErrorList {
	if correlated == nil {
		return v.Validate(at, value)
	}
	return faults(at, (&ratchet{schema: v.schema, correlated: correlated}).Validate(value))
}

// ratchet judges one value, and hands the values inside of it to ratchets of their own.
type ratchet struct {
	schema     *spec.Schema
	root       any
	path       string
	formats    strfmt.Registry
	options    []validate.Option
	correlated *common.CorrelatedObject
}

// Validate implements validate.ValueValidator.
func (r *ratchet) Validate(any) *validate.Result {
	formats := r.formats
	if formats == nil {
		formats = strfmt.Default
	}
	options := append([]validate.Option{func(o *validate.SchemaValidatorOptions) {
		o.NewValidatorForField, o.NewValidatorForIndex = r.property, r.item
	}}, r.options...)
	result := validate.NewSchemaValidator(r.schema, r.root, r.path, formats, options...).Validate(r.correlated.Value)
	if result.IsValid() || !r.correlated.CachedDeepEqual() {
		return result
	}
	forgiven := &validate.Result{}
	forgiven.MergeAsWarnings(result)
	return forgiven
}

func (r *ratchet) property(name string, s *spec.Schema, root any, path string, formats strfmt.Registry, options ...validate.Option) validate.ValueValidator {
	// A change of the version cannot be seen: both objects were converted to one.
	if r.path == "" && (name == "kind" || name == "apiVersion") {
		return validate.NewSchemaValidator(s, root, path, formats, options...)
	}
	return within(r.correlated.Key(name), s, root, path, formats, options)
}

func (r *ratchet) item(i int, s *spec.Schema, root any, path string, formats strfmt.Registry, options ...validate.Option) validate.ValueValidator {
	return within(r.correlated.Index(i), s, root, path, formats, options)
}

func within(c *common.CorrelatedObject, s *spec.Schema, root any, path string, formats strfmt.Registry, options []validate.Option) validate.ValueValidator {
	if c == nil {
		return validate.NewSchemaValidator(s, root, path, formats, options...)
	}
	return &ratchet{s, root, path, formats, options, c}
}

// SetPath implements validate.ValueValidator.
func (r *ratchet) SetPath(string) {}

// Applies implements validate.ValueValidator.
func (r *ratchet) Applies(any, reflect.Kind) bool { return true }

// faults words the library's errors as the API does.
func faults(at *field.Path, result *validate.Result) (out field.ErrorList) {
	for _, err := range result.Errors {
		var v *openapierrors.Validation
		if !errors.As(err, &v) {
			out = append(out, field.Invalid(at, "", err.Error()))
			continue
		}
		where := at
		if v.Name != "" && v.Name != "." {
			where = where.Child(strings.TrimPrefix(v.Name, "."))
		}
		out = append(out, fault(where, v))
	}
	return out
}

func fault(at *field.Path, v *openapierrors.Validation) *field.Error {
	value := v.Value
	if value == nil {
		value = ""
	}
	switch v.Code() {
	case openapierrors.RequiredFailCode:
		return field.Required(at, "")
	case openapierrors.EnumFailCode:
		return field.NotSupported(at, v.Value, allowed(v.Values))
	case openapierrors.TooLongFailCode:
		return field.TooLong(at, "", figure(v.Valid))
	case openapierrors.MaxItemsFailCode, openapierrors.TooManyPropertiesCode:
		return field.TooMany(at, figure(v.Value), figure(v.Valid))
	case openapierrors.InvalidTypeCode:
		return field.TypeInvalid(at, value, v.Error())
	}
	return field.Invalid(at, value, v.Error())
}

func figure(v any) int {
	if i, ok := v.(int64); ok {
		return int(i)
	}
	return -1
}

// allowed are the values of an enum as text: strings as they are, others as JSON.
func allowed(values []any) []string {
	out := make([]string, 0, len(values))
	for _, v := range values {
		if s, ok := v.(string); ok {
			out = append(out, s)
			continue
		}
		b, _ := json.Marshal(v) // it was read from JSON
		out = append(out, string(b))
	}
	return out
}
