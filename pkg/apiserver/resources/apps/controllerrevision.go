package apps

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// ControllerRevision declares the history that daemon sets and stateful sets keep of their templates.
func ControllerRevision() *resource.Resource {
	doc := appsv1.ControllerRevision{}.SwaggerDoc()
	return resource.Define(resource.Definition[*appsv1.ControllerRevision]{
		Kind:        appsv1.SchemeGroupVersion.WithKind("ControllerRevision"),
		Plural:      "controllerrevisions",
		WholeUpdate: true,
		Validate:    validateRevision,
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Controller", "Controller of the object"),
			column.Text("Revision", doc["revision"]),
			column.Age(),
		},
		Row: func(r *appsv1.ControllerRevision) []any {
			return []any{r.Name, controllerOf(r), r.Revision, column.Since(r.CreationTimestamp)}
		},
	})
}

// controllerOf names the owner that acts: "statefulset.apps/web".
func controllerOf(obj metav1.Object) string {
	owner := metav1.GetControllerOf(obj)
	if owner == nil {
		return column.None
	}
	group := schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind).GroupKind().Group
	kind := strings.ToLower(owner.Kind)
	if group != "" {
		kind += "." + group
	}
	return fmt.Sprintf("%s/%s", kind, owner.Name)
}

func validateRevision(_ context.Context, r, old *appsv1.ControllerRevision) field.ErrorList {
	faults := validation.NotNegative(field.NewPath("revision"), r.Revision)
	path := field.NewPath("data")
	switch {
	case old == nil:
		faults = append(faults, validateRevisionData(path, r.Data)...)
	case !sameData(r.Data, old.Data):
		faults = append(faults, field.Invalid(path, r.Data, validation.Immutable))
	}
	return faults
}

// validateRevisionData refuses what is no JSON object.
func validateRevisionData(path *field.Path, data runtime.RawExtension) field.ErrorList {
	if data.Raw == nil && data.Object != nil {
		return nil
	}
	const mandatory = "data is mandatory"
	if data.Raw == nil {
		return field.ErrorList{field.Required(path, mandatory)}
	}
	var value any
	if err := json.Unmarshal(data.Raw, &value); err != nil {
		return field.ErrorList{field.Invalid(path, "<value omitted>", fmt.Sprintf("error parsing data: %v", err))}
	}
	switch value.(type) {
	case map[string]any:
		return nil
	case nil:
		return field.ErrorList{field.Required(path, mandatory)}
	}
	return field.ErrorList{field.Required(path, "data must be a valid JSON object")}
}

func sameData(a, b runtime.RawExtension) bool {
	var x, y bytes.Buffer
	if json.Compact(&x, a.Raw) != nil || json.Compact(&y, b.Raw) != nil {
		return bytes.Equal(a.Raw, b.Raw)
	}
	return bytes.Equal(x.Bytes(), y.Bytes())
}
