// Package node declares the resources of the group node.k8s.io.
package node

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
	"github.com/sampan-project/sampan/pkg/defaults"
)

// RuntimeClass declares runtimeclasses.
func RuntimeClass() *resource.Resource {
	return resource.Define(resource.Definition[*nodev1.RuntimeClass]{
		Kind:           nodev1.SchemeGroupVersion.WithKind("RuntimeClass"),
		Plural:         "runtimeclasses",
		ClusterScoped:  true,
		CreateOnUpdate: true,
		StrictUpdate:   true,
		Default: func(obj *nodev1.RuntimeClass) {
			if obj.Overhead != nil {
				defaults.Resources(obj.Overhead.PodFixed)
			}
		},
		Validate:    validateRuntimeClass,
		WholeUpdate: true,
		Warn:        warnRuntimeClass,
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Handler", ""),
			column.Age(),
		},
		Row: func(obj *nodev1.RuntimeClass) []any {
			return []any{obj.Name, obj.Handler, column.Since(obj.CreationTimestamp)}
		},
	})
}

func validateRuntimeClass(_ context.Context, obj, old *nodev1.RuntimeClass) field.ErrorList {
	handler := field.NewPath("handler")
	var faults field.ErrorList
	faults = append(faults, validation.FilledWith(handler, obj.Handler, validation.DNSLabel)...)
	if obj.Overhead != nil {
		faults = append(faults, validation.Requirements(field.NewPath("overhead"), &corev1.ResourceRequirements{Limits: obj.Overhead.PodFixed})...)
	}
	if obj.Scheduling != nil {
		faults = append(faults, validateScheduling(field.NewPath("scheduling"), obj.Scheduling)...)
	}
	if old != nil {
		faults = append(faults, validation.Unchanged(handler, obj.Handler, old.Handler)...)
	}
	return faults
}

// warnRuntimeClass tells of labels of nodes that have another name now.
func warnRuntimeClass(_ context.Context, obj, _ *nodev1.RuntimeClass) []string {
	if obj.Scheduling == nil {
		return nil
	}
	var said []string
	for _, key := range slices.Sorted(maps.Keys(obj.Scheduling.NodeSelector)) {
		if text := validation.OldNodeLabel(key); text != "" {
			said = append(said, "scheduling.nodeSelector: "+text)
		}
	}
	return said
}

func validateScheduling(at *field.Path, s *nodev1.Scheduling) field.ErrorList {
	faults := metav1validation.ValidateLabels(s.NodeSelector, at.Child("nodeSelector"))
	list := at.Child("tolerations")
	faults = append(faults, validation.Tolerations(list, s.Tolerations)...)
	for i, t := range s.Tolerations {
		same := func(o corev1.Toleration) bool { return o.MatchToleration(&t) }
		if slices.ContainsFunc(s.Tolerations[:i], same) {
			faults = append(faults, field.Duplicate(list.Index(i), validation.GoNames(t)))
		}
	}
	return faults
}
