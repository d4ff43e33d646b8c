package storage

import (
	"context"
	"maps"

	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// VolumeAttributesClass declares classes of attributes that a driver can change of a volume in use.
func VolumeAttributesClass() *resource.Resource {
	return resource.Define(resource.Definition[*storagev1.VolumeAttributesClass]{
		Kind:          storagev1.SchemeGroupVersion.WithKind("VolumeAttributesClass"),
		Plural:        "volumeattributesclasses",
		ShortNames:    []string{"vac"},
		ClusterScoped: true,
		ReturnDeleted: true,
		WholeUpdate:   true,
		Validate: func(_ context.Context, c, old *storagev1.VolumeAttributesClass) field.ErrorList {
			driver, parameters := field.NewPath("driverName"), field.NewPath("parameters")
			own := validateProvisioner(driver, c.DriverName)
			if len(c.Parameters) == 0 {
				own = append(own, field.Required(parameters, "must contain at least one key/value pair"))
			} else {
				own = append(own, validateParameters(parameters, c.Parameters)...)
			}
			if old == nil {
				return own
			}
			var faults field.ErrorList
			if c.DriverName != old.DriverName {
				faults = append(faults, field.Forbidden(driver, "updates to driverName are forbidden."))
			}
			if !maps.Equal(c.Parameters, old.Parameters) {
				faults = append(faults, field.Forbidden(parameters, "updates to parameters are forbidden."))
			}
			return append(faults, own...)
		},
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("DriverName", storagev1.VolumeAttributesClass{}.SwaggerDoc()["driverName"]),
			column.Age(),
		},
		Row: func(c *storagev1.VolumeAttributesClass) []any {
			name := c.Name
			if c.Annotations[defaultAttributesClass] == "true" {
				name += " (default)"
			}
			return []any{name, c.DriverName, column.Since(c.CreationTimestamp)}
		},
	})
}
