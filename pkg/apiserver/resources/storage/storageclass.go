// Package storage declares the resources of the group storage.k8s.io.
package storage

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

const (
	maxParametersSize = 256 << 10
	maxParameters     = 512
	unset             = "<unset>"
	defaultClass      = "storageclass.kubernetes.io/is-default-class"
	oldDefaultClass   = "storageclass.beta.kubernetes.io/is-default-class"

	defaultAttributesClass = "volumeattributesclass.alpha.kubernetes.io/is-default-class"
)

// StorageClass declares storageclasses.
func StorageClass() *resource.Resource {
	doc := storagev1.StorageClass{}.SwaggerDoc()
	return resource.Define(resource.Definition[*storagev1.StorageClass]{
		Kind:          storagev1.SchemeGroupVersion.WithKind("StorageClass"),
		Plural:        "storageclasses",
		ShortNames:    []string{"sc"},
		ClusterScoped: true,
		WholeUpdate:   true,
		ReturnDeleted: true,
		Default: func(obj *storagev1.StorageClass) {
			if obj.ReclaimPolicy == nil {
				obj.ReclaimPolicy = new(corev1.PersistentVolumeReclaimDelete)
			}
			if obj.VolumeBindingMode == nil {
				obj.VolumeBindingMode = new(storagev1.VolumeBindingImmediate)
			}
		},
		Validate: func(_ context.Context, obj, old *storagev1.StorageClass) field.ErrorList {
			faults := validateClass(obj)
			if old != nil {
				faults = append(faults, validateClassUpdate(obj, old)...)
			}
			return faults
		},
		Warn: warnClass,
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Provisioner", doc["provisioner"]),
			column.Text("ReclaimPolicy", doc["reclaimPolicy"]),
			column.Text("VolumeBindingMode", doc["volumeBindingMode"]),
			column.Text("AllowVolumeExpansion", doc["allowVolumeExpansion"]),
			column.Age(),
		},
		Row: classRow,
	})
}

func classRow(obj *storagev1.StorageClass) []any {
	name, reclaim, binding, grows := obj.Name, string(corev1.PersistentVolumeReclaimDelete), unset, false
	if obj.Annotations[defaultClass] == "true" || obj.Annotations[oldDefaultClass] == "true" {
		name += " (default)"
	}
	if obj.ReclaimPolicy != nil {
		reclaim = string(*obj.ReclaimPolicy)
	}
	if obj.VolumeBindingMode != nil {
		binding = string(*obj.VolumeBindingMode)
	}
	if obj.AllowVolumeExpansion != nil {
		grows = *obj.AllowVolumeExpansion
	}
	return []any{name, obj.Provisioner, reclaim, binding, grows, column.Since(obj.CreationTimestamp)}
}

func validateClass(obj *storagev1.StorageClass) field.ErrorList {
	faults := validateProvisioner(field.NewPath("provisioner"), obj.Provisioner)
	faults = append(faults, validateParameters(field.NewPath("parameters"), obj.Parameters)...)
	switch p := obj.ReclaimPolicy; {
	case p == nil, *p == "", *p == corev1.PersistentVolumeReclaimDelete, *p == corev1.PersistentVolumeReclaimRetain:
	default:
		faults = append(faults, field.NotSupported(field.NewPath("reclaimPolicy"), *p,
			[]corev1.PersistentVolumeReclaimPolicy{corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRetain}))
	}
	switch m := obj.VolumeBindingMode; {
	case m == nil:
		faults = append(faults, field.Required(field.NewPath("volumeBindingMode"), ""))
	case *m != storagev1.VolumeBindingImmediate && *m != storagev1.VolumeBindingWaitForFirstConsumer:
		faults = append(faults, field.NotSupported(field.NewPath("volumeBindingMode"), *m,
			[]storagev1.VolumeBindingMode{storagev1.VolumeBindingImmediate, storagev1.VolumeBindingWaitForFirstConsumer}))
	}
	return append(faults, validateTopologies(field.NewPath("allowedTopologies"), obj.AllowedTopologies)...)
}

func warnClass(_ context.Context, obj, _ *storagev1.StorageClass) []string {
	var warnings []string
	for i, term := range obj.AllowedTopologies {
		for j, r := range term.MatchLabelExpressions {
			if text := validation.OldNodeLabel(r.Key); text != "" {
				at := field.NewPath("allowedTopologies").Index(i).Child("matchLabelExpressions").Index(j).Child("key")
				warnings = append(warnings, at.String()+": "+text)
			}
		}
	}
	return warnings
}

func validateProvisioner(at *field.Path, name string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	return validation.QualifiedName(at, strings.ToLower(name))
}

func validateParameters(at *field.Path, parameters map[string]string) field.ErrorList {
	if len(parameters) > maxParameters {
		return field.ErrorList{field.TooLong(at, "", maxParameters)}
	}
	var faults field.ErrorList
	size := 0
	for key, value := range parameters {
		if key == "" {
			faults = append(faults, field.Invalid(at, key, "field can not be empty."))
		}
		size += len(key) + len(value)
	}
	if size > maxParametersSize {
		faults = append(faults, field.TooLong(at, "", maxParametersSize))
	}
	return faults
}

// validateTopologies judges where volumes may be. Two terms that say the same are one too many.
func validateTopologies(at *field.Path, terms []corev1.TopologySelectorTerm) field.ErrorList {
	var faults field.ErrorList
	// As upstream, which begins with one term that says nothing for each that is given.
	seen := make([]map[string]sets.Set[string], len(terms))
	for i, term := range terms {
		labels, more := validateTopology(at.Index(i).Child("matchLabelExpressions"), term)
		faults = append(faults, more...)
		for _, before := range seen {
			if equality.Semantic.DeepEqual(before, labels) {
				faults = append(faults, field.Duplicate(at.Index(i).Child("matchLabelExpressions"), ""))
			}
		}
		seen = append(seen, labels)
	}
	return faults
}

func validateTopology(at *field.Path, term corev1.TopologySelectorTerm) (map[string]sets.Set[string], field.ErrorList) {
	var faults field.ErrorList
	labels := map[string]sets.Set[string]{}
	for i, r := range term.MatchLabelExpressions {
		values := sets.New[string]()
		if len(r.Values) == 0 {
			faults = append(faults, field.Required(at.Index(i).Child("values"), ""))
		}
		for j, v := range r.Values {
			if values.Has(v) {
				faults = append(faults, field.Duplicate(at.Index(i).Child("values").Index(j), v))
			}
			values.Insert(v)
		}
		faults = append(faults, metav1validation.ValidateLabelName(r.Key, at.Index(i).Child("key"))...)
		if _, twice := labels[r.Key]; twice {
			faults = append(faults, field.Duplicate(at.Index(i).Child("key"), r.Key))
		}
		labels[r.Key] = values
	}
	return labels, faults
}

func validateClassUpdate(obj, old *storagev1.StorageClass) field.ErrorList {
	faults := validation.Unchanged(field.NewPath("parameters"), obj.Parameters, old.Parameters)
	faults = append(faults, validation.Unchanged(field.NewPath("provisioner"), obj.Provisioner, old.Provisioner)...)
	faults = append(faults, validation.Unchanged(field.NewPath("reclaimPolicy"), obj.ReclaimPolicy, old.ReclaimPolicy)...)
	return append(faults, validation.Unchanged(field.NewPath("volumeBindingMode"), obj.VolumeBindingMode, old.VolumeBindingMode)...)
}
