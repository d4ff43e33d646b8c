package storage

import (
	"context"
	"fmt"
	"maps"
	"slices"

	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// CSIStorageCapacity declares how much room drivers see, by class and by place.
func CSIStorageCapacity() *resource.Resource {
	doc := storagev1.CSIStorageCapacity{}.SwaggerDoc()
	return resource.Define(resource.Definition[*storagev1.CSIStorageCapacity]{
		Kind:         storagev1.SchemeGroupVersion.WithKind("CSIStorageCapacity"),
		Plural:       "csistoragecapacities",
		StrictUpdate: true,
		WholeUpdate:  true,
		Validate:     validateStorageCapacity,
		Warn:         warnStorageCapacity,
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("StorageClassName", doc["storageClassName"]),
			column.Text("Capacity", doc["capacity"]),
		},
		Row: func(c *storagev1.CSIStorageCapacity) []any {
			size := unset
			if c.Capacity != nil {
				size = c.Capacity.String()
			}
			return []any{c.Name, c.StorageClassName, size}
		},
	})
}

func validateStorageCapacity(_ context.Context, c, old *storagev1.CSIStorageCapacity) field.ErrorList {
	topology := field.NewPath("nodeTopology")
	tolerant := old != nil && len(metav1validation.ValidateLabelSelector(old.NodeTopology, metav1validation.LabelSelectorValidationOptions{}, topology)) > 0
	faults := validation.LabelSelector(topology, c.NodeTopology, tolerant)
	faults = append(faults, validation.DNSSubdomain(field.NewPath("storageClassName"), c.StorageClassName)...)
	if c.Capacity != nil && c.Capacity.Sign() < 0 {
		faults = append(faults, field.Invalid(field.NewPath("capacity"), c.Capacity.String(), "must be greater than or equal to 0"))
	}
	if old != nil { // what the size was asked for stays
		faults = append(faults, validation.Unchanged(topology, c.NodeTopology, old.NodeTopology)...)
		faults = append(faults, validation.Unchanged(field.NewPath("storageClassName"), c.StorageClassName, old.StorageClassName)...)
	}
	return faults
}

func warnStorageCapacity(_ context.Context, c, _ *storagev1.CSIStorageCapacity) []string {
	if c.NodeTopology == nil {
		return nil
	}
	at := field.NewPath("nodeTopology")
	var warnings []string
	for i, e := range c.NodeTopology.MatchExpressions {
		if text := validation.OldNodeLabel(e.Key); text != "" {
			warnings = append(warnings, fmt.Sprintf("%s: %s is %s", at.Child("matchExpressions").Index(i).Child("key"), e.Key, text))
		}
	}
	for _, label := range slices.Sorted(maps.Keys(c.NodeTopology.MatchLabels)) {
		if text := validation.OldNodeLabel(label); text != "" {
			warnings = append(warnings, fmt.Sprintf("%s: %s", at.Child("matchLabels").Child(label), text))
		}
	}
	return warnings
}
