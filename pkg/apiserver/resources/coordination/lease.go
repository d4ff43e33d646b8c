// Package coordination declares the resources of the group coordination.k8s.io.
package coordination

import (
	"context"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/sampan-project/sampan/pkg/apiserver/column"
	"github.com/sampan-project/sampan/pkg/apiserver/resource"
)

// Lease declares leases. Candidates race for one with its resourceVersion, so that no update goes
// without.
func Lease() *resource.Resource {
	return resource.Define(resource.Definition[*coordinationv1.Lease]{
		Kind:           coordinationv1.SchemeGroupVersion.WithKind("Lease"),
		Plural:         "leases",
		FreeFinalizers: true,
		CreateOnUpdate: true,
		StrictUpdate:   true,
		Prepare: func(_ context.Context, obj, old *coordinationv1.Lease) {
			// Election by the server, which these two ask for, is a feature that is off: they stay where they stand.
			if old == nil || old.Spec.Strategy == nil {
				obj.Spec.Strategy = nil
			}
			if old == nil || old.Spec.PreferredHolder == nil {
				obj.Spec.PreferredHolder = nil
			}
		},
		Validate: func(_ context.Context, obj, _ *coordinationv1.Lease) field.ErrorList { return validateLease(&obj.Spec) },
		Columns: []metav1.TableColumnDefinition{
			column.Name(),
			column.Text("Holder", coordinationv1.LeaseSpec{}.SwaggerDoc()["holderIdentity"]),
			column.Age(),
		},
		Row: func(obj *coordinationv1.Lease) []any {
			holder := ptr.Deref(obj.Spec.HolderIdentity, "")
			return []any{obj.Name, holder, column.Since(obj.CreationTimestamp)}
		},
	})
}

func validateLease(spec *coordinationv1.LeaseSpec) field.ErrorList {
	var faults field.ErrorList
	at := field.NewPath("spec")
	if n := spec.LeaseDurationSeconds; n != nil && *n <= 0 {
		faults = append(faults, field.Invalid(at.Child("leaseDurationSeconds"), *n, "must be greater than 0"))
	}
	if n := spec.LeaseTransitions; n != nil && *n < 0 {
		faults = append(faults, field.Invalid(at.Child("leaseTransitions"), *n, "must be greater than or equal to 0"))
	}
	return faults
}
