package core

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// immutableWhenSet is the detail of a refusal to change an object whose immutable field is true.
const immutableWhenSet = "field is immutable when `immutable` is set"

// ConfigMap declares configmaps.
func ConfigMap() *resource.Resource {
	return resource.Define(resource.Definition[*corev1.ConfigMap]{
		Kind:        corev1.SchemeGroupVersion.WithKind("ConfigMap"),
		Plural:      "configmaps",
		ShortNames:  []string{"cm"},
		WholeUpdate: true,
		Validate: func(_ context.Context, obj, old *corev1.ConfigMap) field.ErrorList {
			if old == nil {
				return validateConfigMap(obj)
			}
			return validateConfigMapUpdate(obj, old)
		},
		Complete: func(obj *corev1.ConfigMap) {
			dropEmpty(&obj.Data)
			dropEmpty(&obj.BinaryData)
		},
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Data", corev1.ConfigMap{}.SwaggerDoc()["data"]),
			column.Age(),
		},
		Row: func(obj *corev1.ConfigMap) []any {
			return []any{obj.Name, int64(len(obj.Data) + len(obj.BinaryData)), column.Since(obj.CreationTimestamp)}
		},
	})
}

func validateConfigMap(obj *corev1.ConfigMap) field.ErrorList {
	var faults field.ErrorList
	size := 0
	for key, value := range obj.Data {
		faults = append(faults, validateConfigKey(field.NewPath("data").Key(key), key)...)
		if _, both := obj.BinaryData[key]; both {
			faults = append(faults, field.Invalid(field.NewPath("data").Key(key), key, "duplicate of key present in binaryData"))
		}
		size += len(value)
	}
	for key, value := range obj.BinaryData {
		faults = append(faults, validateConfigKey(field.NewPath("binaryData").Key(key), key)...)
		size += len(value)
	}
	if size > corev1.MaxSecretSize {
		faults = append(faults, field.TooLong(field.NewPath(""), "", corev1.MaxSecretSize))
	}
	return faults
}

func validateConfigKey(path *field.Path, key string) field.ErrorList {
	var faults field.ErrorList
	for _, text := range validation.IsConfigMapKey(key) {
		faults = append(faults, field.Invalid(path, key, text))
	}
	return faults
}

func validateConfigMapUpdate(obj, old *corev1.ConfigMap) field.ErrorList {
	var faults field.ErrorList
	if isTrue(old.Immutable) {
		if !isTrue(obj.Immutable) {
			faults = append(faults, field.Forbidden(field.NewPath("immutable"), immutableWhenSet))
		}
		if !sameAsStored(obj.Data, old.Data) {
			faults = append(faults, field.Forbidden(field.NewPath("data"), immutableWhenSet))
		}
		if !sameAsStored(obj.BinaryData, old.BinaryData) {
			faults = append(faults, field.Forbidden(field.NewPath("binaryData"), immutableWhenSet))
		}
	}
	return append(faults, validateConfigMap(obj)...)
}

// sameAsStored says whether a client leaves the data as it is. A map without anything in it is stored as none, and is
// another than none.
func sameAsStored[T any](now, stored map[string]T) bool {
	return (now == nil) == (len(stored) == 0) && equality.Semantic.DeepEqual(now, stored)
}

// dropEmpty makes of an empty map none, as it comes back from etcd.
func dropEmpty[T any](data *map[string]T) {
	if len(*data) == 0 {
		*data = nil
	}
}

func isTrue(b *bool) bool { return b != nil && *b }

// immutable answers the fault of a field that may not differ from what is stored.
func immutable(now, before any, path *field.Path) field.ErrorList {
	if equality.Semantic.DeepEqual(now, before) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, now, "field is immutable")}
}

// texts makes one fault of each message.
func texts(path *field.Path, value any, messages []string) field.ErrorList {
	var faults field.ErrorList
	for _, m := range messages {
		faults = append(faults, field.Invalid(path, value, m))
	}
	return faults
}
