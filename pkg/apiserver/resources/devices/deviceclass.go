// Package devices declares the resources of the group resource.k8s.io: what devices there are, and who claims
// and uses them.
package devices

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
	"github.com/sampan-project/sampan/pkg/apiserver/validation"
)

// DeviceClass declares classes of devices that claims ask for.
func DeviceClass() *resource.Resource {
	return resource.Define(resource.Definition[*resourcev1.DeviceClass]{
		Kind:          resourcev1.SchemeGroupVersion.WithKind("DeviceClass"),
		Plural:        "deviceclasses",
		ClusterScoped: true,
		ReturnDeleted: true,
		WholeUpdate:   true,
		Spec:          func(c *resourcev1.DeviceClass) any { return c.Spec },
		Validate:      validateClass,
		Columns:       []metav1.TableColumnDefinition{column.Name(), column.Age()},
		Row: func(c *resourcev1.DeviceClass) []any {
			return []any{c.Name, column.Since(c.CreationTimestamp)}
		},
	})
}

// validateClass looks into selectors and configurations only where they changed: what is stored was sound
// by the rules of its time.
func validateClass(_ context.Context, c, old *resourcev1.DeviceClass) field.ErrorList {
	at := field.NewPath("spec")
	sameSelectors := old != nil && equality.Semantic.DeepEqual(c.Spec.Selectors, old.Spec.Selectors)
	sameConfig := old != nil && equality.Semantic.DeepEqual(c.Spec.Config, old.Spec.Config)
	faults := validateSelectors(at.Child("selectors"), c.Spec.Selectors, sameSelectors)
	faults = append(faults, eachOf(at.Child("config"), c.Spec.Config, resourcev1.DeviceConfigMaxSize,
		func(at *field.Path, config resourcev1.DeviceClassConfiguration) field.ErrorList {
			return validateConfiguration(at, config.DeviceConfiguration, sameConfig)
		})...)
	if name := c.Spec.ExtendedResourceName; name != nil && !validation.IsExtendedResource(corev1.ResourceName(*name)) {
		faults = append(faults, field.Invalid(at.Child("extendedResourceName"), *name, "must be a valid extended resource name"))
	}
	return faults
}
