// Package flowcontrol declares the resources of the group flowcontrol.apiserver.k8s.io: which requests share
// which part of the server's capacity.
package flowcontrol

import (
	"cmp"
	"context"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

const usualPrecedence = 1000

type flowSchema = flowcontrolv1.FlowSchema

// FlowSchema declares flowschemas.
func FlowSchema() *resource.Resource {
	kind := flowcontrolv1.SchemeGroupVersion.WithKind("FlowSchema")
	doc := flowcontrolv1.FlowSchemaSpec{}.SwaggerDoc()
	return resource.Define(resource.Definition[*flowSchema]{
		Kind:          kind,
		Plural:        "flowschemas",
		Singular:      "flowschema",
		ClusterScoped: true,
		Default: func(obj *flowSchema) {
			obj.Spec.MatchingPrecedence = cmp.Or(obj.Spec.MatchingPrecedence, usualPrecedence)
		},
		Prepare: resource.KeepStatus(func(obj *flowSchema) *flowcontrolv1.FlowSchemaStatus { return &obj.Status }),
		Spec:    func(obj *flowSchema) any { return &obj.Spec },
		Reset:   []string{"status"},
		Validate: func(_ context.Context, obj, _ *flowSchema) field.ErrorList {
			return validateFlowSchema(obj)
		},
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("PriorityLevel", flowcontrolv1.PriorityLevelConfigurationReference{}.SwaggerDoc()["name"]),
			column.Text("MatchingPrecedence", doc["matchingPrecedence"]),
			column.Text("DistinguisherMethod", doc["distinguisherMethod"]),
			column.Age(),
			column.Text("MissingPL", "references a broken or non-existent PriorityLevelConfiguration"),
		},
		Row:     flowSchemaRow,
		SortKey: func(obj *flowSchema) int64 { return int64(obj.Spec.MatchingPrecedence) },
		Subresources: []resource.Subresource[*flowSchema]{resource.Status(kind, resource.UpdatePart[*flowSchema]{
			Prepare: func(_ context.Context, obj, old *flowSchema) {
				obj.Spec, obj.ObjectMeta = *old.Spec.DeepCopy(), ownedMeta(&obj.ObjectMeta, &old.ObjectMeta)
			},
			Validate: func(_ context.Context, obj, _ *flowSchema) field.ErrorList {
				return validateConditions(conditionTypes(obj.Status.Conditions, func(c flowcontrolv1.FlowSchemaCondition) string { return string(c.Type) }))
			},
			Reset: []string{"spec", "metadata"},
		})},
	})
}

// ownedMeta is the old metadata with the new owners of fields.
func ownedMeta(obj, old *metav1.ObjectMeta) metav1.ObjectMeta {
	meta := *old.DeepCopy()
	meta.ManagedFields = obj.ManagedFields
	return meta
}

func flowSchemaRow(obj *flowSchema) []any {
	method, missing := column.None, "?"
	if m := obj.Spec.DistinguisherMethod; m != nil {
		method = string(m.Type)
	}
	for _, c := range obj.Status.Conditions {
		if c.Type == flowcontrolv1.FlowSchemaConditionDangling {
			missing = string(c.Status)
		}
	}
	return []any{obj.Name, obj.Spec.PriorityLevelConfiguration.Name, int64(obj.Spec.MatchingPrecedence), method,
		column.Since(obj.CreationTimestamp), missing}
}
